// Tasks that await each other are told so, whatever loops they live on, and nobody else is.

#include "co_test.hpp"

#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

const std::string kItself = "!RuntimeError(Task cannot await on itself";

struct Ring {
    explicit Ring(std::size_t size) : tasks(size) {}
    std::vector<Task<>> tasks;
};

/// Task `index` of the ring awaits the next one, once `go` is settled.
Coro<> await_next(Ring& ring, std::size_t index, Future<> go) {
    co_await go;
    co_await ring.tasks[(index + 1) % ring.tasks.size()];
}

/// A ring of `size` tasks, spread over the loops, ends, and by that error.
Coro<> expect_refusal(std::size_t size) {
    Ring ring(size);
    Future<> go;
    Runtime& runtime = get_runtime();
    for (std::size_t i = 0; i < size; ++i) {
        ring.tasks[i] = create_task(await_next(ring, i, go), {.loop = &runtime.loop(i % runtime.size())});
    }
    go.set_result();
    for (const Task<>& task : ring.tasks) {
        const std::string error = co_await got_message(task);
        EXPECT_TRUE(error.starts_with(kItself)) << error;
    }
}

CO_TEST_ON_LOOPS(AwaitCycle, OfTwoTasksIsRefused) { co_await expect_refusal(2); }

CO_TEST_ON_LOOPS(AwaitCycle, OfSeveralTasksIsRefused) {
    for (const std::size_t size : {3U, 4U, 5U, 9U}) {
        co_await expect_refusal(size);
    }
}

CO_TEST_ON_LOOPS(AwaitCycle, LongerThanOneLookIsRefused) { co_await expect_refusal(150); }

CO_TEST_ON_LOOPS(AwaitCycle, OfOneTaskIsRefusedAtOnce) { co_await expect_refusal(1); }

// The last await to come about closes the ring, whichever that is.
CO_TEST_ON_LOOPS(AwaitCycle, ThatIsClosedLastByAnyOfItsTasksIsRefused) {
    constexpr std::size_t kSize = 4;
    for (std::size_t last = 0; last < kSize; ++last) {
        Ring ring(kSize);
        std::vector<Future<>> go(kSize);
        Runtime& runtime = get_runtime();
        for (std::size_t i = 0; i < kSize; ++i) {
            ring.tasks[i] = create_task(await_next(ring, i, go[i]), {.loop = &runtime.loop(i % runtime.size())});
        }
        for (std::size_t i = 0; i < kSize; ++i) {
            if (i != last) {
                go[i].set_result();
            }
        }
        co_await sleep(1ms);
        for (const Task<>& task : ring.tasks) {
            EXPECT_FALSE(task.done());
        }
        go[last].set_result();
        for (const Task<>& task : ring.tasks) {
            const std::string error = co_await got_message(task);
            EXPECT_TRUE(error.starts_with(kItself)) << error;
        }
    }
}

CO_TEST_ON_LOOPS(AwaitCycle, OfSpawnedTasksIsRefused) {
    for (int round = 0; round < 5; ++round) {
        Ring ring(6);
        Future<> go;
        for (std::size_t i = 0; i < ring.tasks.size(); ++i) {
            ring.tasks[i] = spawn(await_next(ring, i, go));
        }
        co_await tick(round);
        go.set_result();
        for (const Task<>& task : ring.tasks) {
            const std::string error = co_await got_message(task);
            EXPECT_TRUE(error.starts_with(kItself)) << error;
        }
    }
}

CO_TEST_ON_LOOPS(AwaitCycle, WithoutOneALongChainOverTheLoopsEndsAsEver) {
    for (const bool is_forwards : {true, false}) {
        Ring chain(200);
        Future<> go;
        Future<> end;
        Runtime& runtime = get_runtime();
        const std::size_t last = chain.tasks.size() - 1;
        for (std::size_t i = 0; i < last; ++i) {
            const std::size_t index = is_forwards ? i : last - 1 - i;
            chain.tasks[index] =
                create_task(await_next(chain, index, go), {.loop = &runtime.loop(index % runtime.size())});
        }
        chain.tasks[last] = create_task([](Future<> future) -> Coro<> { co_await future; }(end));
        go.set_result();
        co_await sleep(1ms);
        end.set_result();
        for (const Task<>& task : chain.tasks) {
            EXPECT_EQ(co_await got_message(task), "void");
        }
    }
}

// Somebody outside awaits a ring: the ring is refused, the outside hears of it by what it awaits.
CO_TEST_ON_LOOPS(AwaitCycle, IsToldToThoseWhoAwaitItFromOutside) {
    Ring ring(3);
    Future<> go;
    Runtime& runtime = get_runtime();
    for (std::size_t i = 0; i < ring.tasks.size(); ++i) {
        ring.tasks[i] = create_task(await_next(ring, i, go), {.loop = &runtime.loop(i % runtime.size())});
    }
    Task<> outside = create_task([](Task<> task) -> Coro<> { co_await task; }(ring.tasks[1]),
                                 {.loop = &runtime.loop(runtime.size() - 1)});
    const Task<> further = create_task([](Task<> task) -> Coro<> { co_await task; }(outside));
    co_await sleep(1ms);
    go.set_result();
    const std::string error = co_await got_message(further);
    EXPECT_TRUE(error.starts_with(kItself)) << error;
    co_await gather(return_exceptions, ring.tasks);
}

// A task that was refused goes on, and may await others; what it awaited goes on, too.
CO_TEST_ON_LOOPS(AwaitCycle, TheOneThatIsRefusedMayGoOn) {
    Future<> go;
    Runtime& runtime = get_runtime();
    Task<std::string> first;
    Task<std::string> second;
    first = create_task([&]() -> Coro<std::string> {
        co_await go;
        const Result<std::string> result = co_await as_result(second);
        co_await sleep(1ms);
        co_return result.has_value() ? "saw " + result.value() : "refused";
    });
    second = create_task([&]() -> Coro<std::string> {
        co_await go;
        const Result<std::string> result = co_await as_result(first);
        co_await sleep(1ms);
        co_return result.has_value() ? "saw " + result.value() : "refused";
    }, {.loop = &runtime.loop(runtime.size() - 1)});
    go.set_result();
    const std::string both = co_await first + ", " + co_await second;
    EXPECT_TRUE(both == "refused, saw refused" || both == "saw refused, refused" || both == "refused, refused") << both;
}

CO_TEST_ON_LOOPS(AwaitCycle, CancelledBeforeItIsFoundEndsToo) {
    Ring ring(4);
    Future<> go;
    Runtime& runtime = get_runtime();
    for (std::size_t i = 0; i < ring.tasks.size(); ++i) {
        ring.tasks[i] = create_task(await_next(ring, i, go), {.loop = &runtime.loop(i % runtime.size())});
    }
    go.set_result();
    co_await tick(2);
    ring.tasks[2].cancel();
    for (const Task<>& task : ring.tasks) {
        const std::string error = co_await got_message(task);
        EXPECT_TRUE(error.starts_with(kItself) || error.starts_with("!CancelledError")) << error;
    }
}

}  // namespace
}  // namespace knit::test
