// AsyncGenerator: its steps, in one task or several, on one loop or several. Its end is in
// async_generator_end_test.cpp.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "groups.hpp"

namespace knit::test {
namespace {

AsyncGenerator<int> count(int limit, Duration delay = 0s) {
    for (int number = 0; number < limit; ++number) {
        if (delay > 0s) {
            co_await sleep(delay);
        }
        co_yield number;
    }
}

template <class T>
Coro<std::string> listed(AsyncGenerator<T> generator) {
    std::string all;
    while (const auto value = co_await generator.next()) {
        all += text(*value) + " ";
    }
    co_return all;
}

CO_TEST(AsyncGenerator, GivesItsValuesInOrderThenNothing) {
    auto numbers = count(3, 1ms);
    EXPECT_EQ(co_await numbers.next(), 0);
    EXPECT_EQ(co_await numbers.next(), 1);
    EXPECT_EQ(co_await numbers.next(), 2);
    EXPECT_EQ(co_await numbers.next(), std::nullopt);
    EXPECT_EQ(co_await numbers.next(), std::nullopt);
}

CO_TEST(AsyncGenerator, IsWrittenAsAWhileLoop) {
    int sum = 0;
    auto numbers = count(5);
    while (const auto number = co_await numbers.next()) {
        sum += *number;
    }
    EXPECT_EQ(sum, 10);
}

CO_TEST(AsyncGenerator, IsLazy) {
    Trace log;
    const auto generate = [&]() -> AsyncGenerator<int> {
        log("begins");
        co_yield 1;
    };
    { const auto unused = generate(); }
    auto used = generate();
    log("first next");
    co_await used.next();
    EXPECT_TRUE(log.shows({"first next", "begins"}));
}

CO_TEST(AsyncGenerator, TakesNoTurnOfTheLoop) {
    bool other_ran = false;
    const Task<> other = create_task([&]() -> Coro<> {
        other_ran = true;
        co_return;
    });
    EXPECT_EQ(co_await listed(count(3)), "0 1 2 ");
    EXPECT_FALSE(other_ran);
    co_await other;
}

CO_TEST(AsyncGenerator, RunsInTheTaskThatAwaitsNext) {
    const auto names = []() -> AsyncGenerator<std::string> {
        for (;;) {
            co_yield current_task()->name();
        }
    };
    auto generator = names();
    const auto named = [&](std::string name) -> Coro<bool> {
        current_task()->set_name(name);
        co_return *(co_await generator.next()) == name;
    };
    EXPECT_TRUE(co_await create_task(named("first")));
    EXPECT_TRUE(co_await create_task(named("second")));
}

CO_TEST(AsyncGenerator, ManyStepsThatDoNotSuspendDoNotDeepenTheStack) {
    auto numbers = count(100'000);
    int steps = 0;
    while (co_await numbers.next()) {
        ++steps;
    }
    EXPECT_EQ(steps, 100'000);
}

CO_TEST(AsyncGenerator, GivesMoveOnlyValues) {
    const auto generate = []() -> AsyncGenerator<std::unique_ptr<int>> {
        for (int number = 1; number < 3; ++number) {
            auto value = std::make_unique<int>(number);
            co_yield std::move(value);
        }
    };
    int sum = 0;
    auto generator = generate();
    while (const std::optional<std::unique_ptr<int>> value = co_await generator.next()) {
        sum += **value;
    }
    EXPECT_EQ(sum, 3);
}

CO_TEST(AsyncGenerator, CopiesWhatItKeepsAndConvertsToItsType) {
    const auto generate = []() -> AsyncGenerator<std::string> {
        std::string kept = "kept";
        co_yield kept;
        co_yield kept + "!";
        co_yield "literal";
    };
    EXPECT_EQ(co_await listed(generate()), "kept kept! literal ");
}

CO_TEST(AsyncGenerator, GivesAPointerForAReference) {
    int number = 1;
    const auto generate = [&]() -> AsyncGenerator<int&> {
        for (int count = 0; count < 3; ++count) {
            co_yield number;
        }
    };
    auto generator = generate();
    while (int* const same = co_await generator.next()) {
        EXPECT_EQ(same, &number);
        ++*same;
    }
    EXPECT_EQ(number, 4);
}

CO_TEST(AsyncGenerator, MayAwaitAnother) {
    struct Doubled {
        static AsyncGenerator<int> of(AsyncGenerator<int> source) {
            while (const auto number = co_await source.next()) {
                co_yield 2 * *number;
            }
        }
    };
    EXPECT_EQ(co_await listed(Doubled::of(Doubled::of(count(3, 1ms)))), "0 4 8 ");
}

CO_TEST(AsyncGenerator, AnErrorLeavesItOnceAndEndsIt) {
    const auto generate = []() -> AsyncGenerator<int> {
        co_yield 1;
        throw Err("boom");
    };
    auto generator = generate();
    Trace log;
    log(co_await got(generator.next()), co_await got_message(generator.next()));
    EXPECT_EQ(co_await generator.next(), std::nullopt);
    EXPECT_TRUE(log.shows({"value", "!Err(boom)"}));
}

CO_TEST(AsyncGenerator, AnEmptyHandleHasNothingToGive) {
    AsyncGenerator<int> none;
    EXPECT_FALSE(none);
    EXPECT_EQ(co_await none.next(), std::nullopt);
    co_await none.aclose();
}

CO_TEST(AsyncGenerator, MayBeMovedBetweenSteps) {
    auto first = count(3);
    co_await first.next();
    AsyncGenerator<int> second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(co_await second.next(), 1);
    second = count(1);
    EXPECT_EQ(co_await second.next(), 0);
}

// What runs already.

CO_TEST(AsyncGenerator, RefusesASecondStepAtTheSameTime) {
    Trace log;
    auto numbers = count(2, 10ms);
    const Task<std::optional<int>> first = create_task(numbers.next());
    co_await sleep(0s);
    log(co_await got_message(numbers.next()), co_await got_message(numbers.aclose()),
        co_await got_message(numbers.athrow(Err())));
    EXPECT_EQ(co_await first, 0);
    EXPECT_EQ(co_await numbers.next(), 1);
    EXPECT_TRUE(log.shows({"!RuntimeError(anext(): asynchronous generator is already running)",
                           "!RuntimeError(aclose(): asynchronous generator is already running)",
                           "!RuntimeError(athrow(): asynchronous generator is already running)"}));
}

CO_TEST(AsyncGenerator, RefusesAStepByItself) {
    AsyncGenerator<std::string> itself;
    const auto generate = [&]() -> AsyncGenerator<std::string> { co_yield co_await got(itself.next()); };
    itself = generate();
    EXPECT_EQ(*(co_await itself.next()), "!RuntimeError");
}

CO_TEST_ON_LOOPS(AsyncGenerator, AnotherTaskOnAnotherLoopMayTakeTheNextStep) {
    auto numbers = count(20, 1ms);
    const auto take_two = [&]() -> Coro<int> {
        const int first = *(co_await numbers.next());
        const int second = *(co_await numbers.next());
        co_return first + second;
    };
    int sum = 0;
    for (int consumer = 0; consumer < 10; ++consumer) {
        sum += co_await spawn(take_two());
    }
    EXPECT_EQ(sum, 190);
    EXPECT_EQ(co_await numbers.next(), std::nullopt);
}

CO_TEST_ON_LOOPS(AsyncGenerator, MayMoveItsConsumerToAnotherLoop) {
    const auto wander = []() -> AsyncGenerator<unsigned> {
        Runtime& runtime = get_runtime();
        for (std::size_t place = 0; place < runtime.size(); ++place) {
            co_await resume_on(runtime.loop(place));
            co_yield get_running_loop().id();
        }
    };
    unsigned expected = 0;
    auto generator = wander();
    while (const auto id = co_await generator.next()) {
        EXPECT_EQ(*id, expected);
        EXPECT_EQ(get_running_loop().id(), expected);
        ++expected;
    }
}

}  // namespace
}  // namespace knit::test
