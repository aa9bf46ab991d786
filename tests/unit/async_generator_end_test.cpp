// AsyncGenerator: dropped, closed, thrown into, cancelled.

#include <string>
#include <utility>

#include "groups.hpp"

namespace knit::test {
namespace {

/// Logs when the scope ends in which it stands.
struct Mark {
    Mark(Trace& where, std::string what) : log(&where), name(std::move(what)) {}
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    ~Mark() { (*log)(name); }
    Trace* log;
    std::string name;
};

AsyncGenerator<int> marked(Trace& log) {
    const Mark mark(log, "closed");
    for (int number = 0; true; ++number) {
        co_yield number;
    }
}

// Dropping and closing.

CO_TEST(AsyncGenerator, DroppedHalfWayItsLocalsAreDestroyed) {
    Trace log;
    {
        auto generator = marked(log);
        co_await generator.next();
        log("dropped");
    }
    log("after");
    EXPECT_TRUE(log.shows({"dropped", "closed", "after"}));
}

CO_TEST(AsyncGenerator, IsClosedAtItsYield) {
    Trace log;
    auto generator = marked(log);
    co_await generator.next();
    co_await generator.aclose();
    log("after");
    co_await generator.aclose();
    EXPECT_EQ(co_await generator.next(), std::nullopt);
    EXPECT_TRUE(log.shows({"closed", "after"}));
}

CO_TEST(AsyncGenerator, ClosedBeforeItsStartItNeverRuns) {
    Trace log;
    auto generator = marked(log);
    co_await generator.aclose();
    EXPECT_EQ(co_await generator.next(), std::nullopt);
    EXPECT_TRUE(log.shows({}));
}

CO_TEST(AsyncGenerator, MayAwaitItsCleanupWhenItIsClosed) {
    Trace log;
    const auto generate = [&]() -> AsyncGenerator<int> {
        bool is_closing = false;
        try {
            co_yield 1;
        } catch (const GeneratorExit&) {
            is_closing = true;
        }
        if (is_closing) {
            co_await sleep(5ms);
            log("cleaned up");
        }
    };
    auto generator = generate();
    co_await generator.next();
    co_await generator.aclose();
    log("closed");
    EXPECT_TRUE(log.shows({"cleaned up", "closed"}));
}

CO_TEST(AsyncGenerator, ThatYieldsInsteadOfClosingIsAnError) {
    const auto generate = []() -> AsyncGenerator<int> {
        try {
            co_yield 1;
        } catch (const GeneratorExit&) {
        }
        co_yield 2;
    };
    auto generator = generate();
    co_await generator.next();
    EXPECT_EQ(co_await got_message(generator.aclose()), "!RuntimeError(async generator ignored GeneratorExit)");
    EXPECT_EQ(co_await generator.next(), std::nullopt);
}

CO_TEST(AsyncGenerator, AnErrorOfItsCleanupComesOutOfAclose) {
    const auto generate = []() -> AsyncGenerator<int> {
        try {
            co_yield 1;
        } catch (const GeneratorExit&) {
            throw Err("in close");
        }
    };
    auto generator = generate();
    co_await generator.next();
    EXPECT_EQ(co_await got_message(generator.aclose()), "!Err(in close)");
}

CO_TEST(AsyncGenerator, AnErrorCanBeThrownIn) {
    const auto generate = []() -> AsyncGenerator<std::string> {
        std::string seen;
        try {
            co_yield "first";
        } catch (const Err& error) {
            seen = error.what();
        }
        co_yield "caught " + seen;
    };
    auto generator = generate();
    co_await generator.next();
    EXPECT_EQ(*(co_await generator.athrow(Err("x"))), "caught x");
    EXPECT_EQ(co_await got(generator.athrow(Err2())), "!Err2");
    EXPECT_EQ(co_await generator.athrow(Err()), std::nullopt);
    EXPECT_EQ(co_await generator.next(), std::nullopt);
}

CO_TEST(AsyncGenerator, AnErrorThrownInBeforeItsStartEndsIt) {
    Trace log;
    auto generator = marked(log);
    EXPECT_EQ(co_await got_message(generator.athrow(Err("x"))), "!Err(x)");
    EXPECT_EQ(co_await generator.next(), std::nullopt);
    EXPECT_TRUE(log.shows({}));
}

// Cancellation.

CO_TEST(AsyncGenerator, ACancellationOfTheConsumerIsThrownAtItsAwait) {
    Trace log;
    const auto generate = [&]() -> AsyncGenerator<int> {
        const Mark mark(log, "unwound");
        co_await leaf(log, "cancelled");
        co_yield 1;
    };
    auto generator = generate();
    Task<std::optional<int>> consumer = create_task(generator.next());
    co_await sleep(0s);
    consumer.cancel("m");
    log(co_await got_message(consumer));
    EXPECT_TRUE(consumer.cancelled());
    EXPECT_EQ(co_await generator.next(), std::nullopt);
    EXPECT_TRUE(log.shows({"cancelled", "unwound", "!CancelledError(m)"}));
}

CO_TEST(AsyncGenerator, MayCatchACancellationAndGoOn) {
    const auto generate = []() -> AsyncGenerator<std::string> {
        bool was_cancelled = false;
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            was_cancelled = true;
        }
        co_yield text(was_cancelled);
        co_yield "more";
    };
    auto generator = generate();
    Task<std::optional<std::string>> consumer = create_task(generator.next());
    co_await sleep(0s);
    consumer.cancel();
    EXPECT_EQ(*(co_await consumer), "true");
    EXPECT_EQ(*(co_await generator.next()), "more");
}

CO_TEST(AsyncGenerator, IsDestroyedWhenItsConsumerIsCancelledElsewhere) {
    Trace log;
    const auto consume = [&]() -> Coro<> {
        auto generator = marked(log);
        co_await generator.next();
        co_await leaf(log, "consumer cancelled");
    };
    Task<> consumer = create_task(consume());
    co_await sleep(0s);
    consumer.cancel();
    log(co_await got(consumer));
    EXPECT_TRUE(log.shows({"consumer cancelled", "closed", "!CancelledError"}));
}

CO_TEST(AsyncGenerator, ACancellationDuringAcloseIsThrownInTheCleanup) {
    Trace log;
    const auto generate = [&]() -> AsyncGenerator<int> {
        bool is_closing = false;
        try {
            co_yield 1;
        } catch (const GeneratorExit&) {
            is_closing = true;
        }
        if (is_closing) {
            co_await leaf(log, "cleanup cancelled");
        }
    };
    auto generator = generate();
    co_await generator.next();
    Task<> closer = create_task(generator.aclose());
    co_await sleep(0s);
    closer.cancel();
    log(co_await got(closer));
    EXPECT_TRUE(log.shows({"cleanup cancelled", "!CancelledError"}));
}

TEST(AsyncGenerator, IsUnwoundAtTheEndOfTheRun) {
    Trace log;
    const auto consume = [&]() -> Coro<> {
        const auto generate = [&]() -> AsyncGenerator<int> {
            const Mark mark(log, "unwound");
            co_yield 1;
            co_await sleep(kForever);
        };
        auto generator = generate();
        while (co_await generator.next()) {
            log("value");
        }
    };
    run_one([&]() -> Coro<> {
        create_task(consume());
        co_await tick(2);
    });
    EXPECT_TRUE(log.shows({"value", "unwound"}));
}

TEST(AsyncGenerator, MayOutliveTheRun) {
    Trace log;
    {
        AsyncGenerator<int> kept = marked(log);
        run_one([&]() -> Coro<> { EXPECT_EQ(co_await kept.next(), 0); });
        run_one([&]() -> Coro<> { EXPECT_EQ(co_await kept.next(), 1); });
        log("runs are over");
    }
    EXPECT_TRUE(log.shows({"runs are over", "closed"}));
}

}  // namespace
}  // namespace knit::test
