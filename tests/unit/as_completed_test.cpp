// as_completed().

#include "time_test.hpp"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace knit::test {
namespace {

template <class C, class... More>
std::vector<C> moved(C first, More... more) {
    std::vector<C> all;
    all.push_back(std::move(first));
    (all.push_back(std::move(more)), ...);
    return all;
}

// ASCOMPLETED-01
CO_TEST(AsCompleted, GivesResultsInTheOrderOfCompletion) {
    Trace log;
    auto results = as_completed(
        moved(after(30ms, std::string("c")), after(2ms, std::string("a")), after(15ms, std::string("b"))));
    while (auto next = results.next()) {
        log(co_await *next);
    }
    EXPECT_TRUE(log.shows({"a", "b", "c"}));
}

// ASCOMPLETED-02
CO_TEST(AsCompleted, ThrowsAnExceptionAtItsTurnAndGoesOn) {
    Trace log;
    auto results = as_completed(moved(after(2ms, 1), fail_after(8ms, "bad"), after(15ms, 3)));
    while (auto next = results.next()) {
        log(co_await got_message(std::move(*next)));
    }
    EXPECT_TRUE(log.shows({"1", "!Err(bad)", "3"}));
}

// ASCOMPLETED-03
CO_TEST(AsCompleted, AtItsTimeoutThrowsForEachThatIsLeftAndCancelsNothing) {
    Trace log;
    const Task<int> a = create_task(after(2ms, 1));
    const Task<int> b = create_task(after(60ms, 2));
    const Task<int> c = create_task(after(61ms, 3));
    const TimePoint start = now();
    auto results = as_completed(listed(a, b, c), {.timeout = 20ms});
    while (auto next = results.next()) {
        log(co_await outcome_message(std::move(*next)));
    }
    EXPECT_EQ(now() - start, 20ms);
    log(b.done(), b.cancelling(), b.done_callback_count());
    log(co_await b, co_await c);
    EXPECT_TRUE(log.shows({"1", "!TimeoutError()", "!TimeoutError()", "false", "0", "0", "2", "3"}));
}

// ASCOMPLETED-04
CO_TEST(AsCompleted, DeliversTheSameTaskOnce) {
    const Task<int> a = create_task(after(1ms, 1));
    const Task<int> b = create_task(after(2ms, 2));
    auto results = as_completed(listed(a, a, b, a));
    std::vector<int> values;
    while (auto next = results.next()) {
        values.push_back(co_await *next);
    }
    EXPECT_EQ(values, (std::vector<int>{1, 2}));
}

// ASCOMPLETED-05: the handles themselves
CO_TEST(AsCompleted, NextTaskGivesTheOriginalHandleDone) {
    const Task<int> slow = create_task(after(5ms, 1));
    const Task<int> bad = create_task(fail_after(1ms, "x"));
    auto results = as_completed(listed(slow, bad));
    static_assert(std::is_same_v<decltype(results), AsCompleted<int>>);
    std::optional<Task<int>> first = co_await results.next_task();
    EXPECT_EQ(*first, bad);
    EXPECT_TRUE(first->done());
    EXPECT_EQ(error_text(first->exception()), "!Err");
    std::optional<Task<int>> second = co_await results.next_task();
    EXPECT_EQ(*second, slow);
    EXPECT_EQ(co_await results.next_task(), std::nullopt);
    EXPECT_FALSE(results.next().has_value());
}

CO_TEST(AsCompleted, OfFuturesGivesFutures) {
    Future<int> future;
    auto results = as_completed(listed(future));
    get_running_loop().call_later(1ms, [=]() mutable { future.set_result(1); });
    const std::optional<Future<int>> first = co_await results.next_task();
    EXPECT_EQ(*first, future);
}

// ASCOMPLETED-06
CO_TEST(AsCompleted, CanBeLeftAndGoneOnWith) {
    Trace log;
    auto results = as_completed(moved(after(3ms, 3), after(1ms, 1), after(2ms, 2)));
    while (auto next = results.next()) {
        log(co_await *next);
        break;
    }
    co_await sleep(10ms);
    log("later");
    while (auto next = results.next()) {
        log(co_await *next);
    }
    EXPECT_TRUE(log.shows({"1", "later", "2", "3"}));
}

CO_TEST(AsCompleted, LeftForGoodLetsTheOthersFinishAndLeavesNothingBehind) {
    Trace log;
    const Task<int> slow = create_task(after(5ms, 1));
    Future<int> never;
    {
        auto results = as_completed(listed(Future<int>(slow), never), {.timeout = 1h});
        EXPECT_EQ(timers(), 1U);
        co_await tick();
        EXPECT_EQ(timers(), 2U);
    }
    EXPECT_EQ(timers(), 1U);
    co_await slow;
    {
        // With children whose turn has begun, and a timer that is due.
        auto results = as_completed(listed(Future<int>(slow), never), {.timeout = 0s});
    }
    co_await tick(3);
    EXPECT_EQ(timers(), 0U);
}

// ASCOMPLETED-08
CO_TEST(AsCompleted, OfNothingYieldsNothing) {
    auto results = as_completed(std::vector<Task<int>>(), {.timeout = 1s});
    EXPECT_FALSE(results.next().has_value());
    EXPECT_EQ(co_await results.next_task(), std::nullopt);
    EXPECT_EQ(timers(), 0U);
}

// ASCOMPLETED-09
CO_TEST(AsCompleted, SeveralCanBeAwaitedAtOnce) {
    auto results = as_completed(moved(sleep(3ms, 1), sleep(3ms, 2), sleep(1ms, 3)));
    std::vector<AsCompletedNext<int>> all;
    while (auto next = results.next()) {
        all.push_back(std::move(*next));
    }
    const std::vector<int> values = co_await gather(std::move(all));
    EXPECT_EQ(values, (std::vector<int>{3, 1, 2}));
}

// ASCOMPLETED-10
CO_TEST(AsCompleted, ItsTimerEndsWithTheLastChild) {
    auto results = as_completed(moved(after(0s, 1), after(1ms, 2)), {.timeout = 1h});
    co_await sleep(5ms);
    EXPECT_EQ(timers(), 0U);
    EXPECT_EQ(co_await *results.next(), 1);
    EXPECT_EQ(co_await *results.next(), 2);
}

CO_TEST(AsCompleted, GivesWhatWasDoneBeforeTheTimeoutAfterItToo) {
    Trace log;
    auto results = as_completed(moved(after(1ms, 1), after(1h, 2)), {.timeout = 5ms});
    co_await sleep(10ms);
    while (auto next = results.next()) {
        log(co_await outcome(std::move(*next)));
    }
    EXPECT_TRUE(log.shows({"1", "!TimeoutError"}));
}

CO_TEST(AsCompleted, ADoneChildComesATurnLater) {
    const Task<int> ended = create_task(after(0s, 1));
    co_await ended;
    auto results = as_completed(listed(ended));
    bool has_turned = false;
    get_running_loop().call_soon([&] { has_turned = true; });
    co_await *results.next();
    EXPECT_TRUE(has_turned);
    Future<int> future;
    Task<int> waiter = create_task([&]() -> Coro<int> {
        auto one = as_completed(listed(future));
        co_return co_await *one.next();
    });
    co_await tick();
    future.set_result(1);
    EXPECT_EQ(co_await turns_until_done(waiter), 2);
}

CO_TEST(AsCompleted, ANextIsAwaitedOnce) {
    auto results = as_completed(moved(after(0s, 1)));
    auto next = results.next();
    EXPECT_EQ(co_await *next, 1);
    std::string refused;
    try {
        co_await *next;
    } catch (const RuntimeError& error) {
        refused = error.what();
    }
    EXPECT_EQ(refused, "cannot reuse already awaited coroutine");
}

CO_TEST(AsCompleted, ACancelledAwaitLosesNoResult) {
    Trace log;
    Future<int> future;
    Future<int> second;
    auto results = as_completed(listed(future, second));
    // While it waits.
    Task<int> waiting = create_task(*results.next());
    co_await tick();
    waiting.cancel();
    log(co_await got(waiting));
    // With the result on its way, which goes to the one behind it, before that of the second.
    results = as_completed(listed(future, second));
    Task<int> first_taker = create_task(*results.next());
    co_await tick();
    future.set_result(1);
    co_await tick();
    second.set_result(2);
    first_taker.cancel();
    Task<int> second_taker = create_task(*results.next());
    log(co_await got(first_taker), co_await got(second_taker));
    EXPECT_TRUE(log.shows({"!CancelledError", "!CancelledError", "1"}));
}

CO_TEST(AsCompleted, ACancelledAwaitHandsItsResultToTheNextThatWaits) {
    Trace log;
    Future<int> future;
    Future<int> second;
    auto results = as_completed(listed(future, second));
    Task<int> a = create_task(*results.next());
    Task<int> b = create_task(*results.next());
    co_await tick();
    future.set_result(1);
    co_await tick();
    a.cancel();
    log(co_await got(a), co_await got(b));
    EXPECT_TRUE(log.shows({"!CancelledError", "1"}));
}

CO_TEST(AsCompleted, MovesAMoveOnlyResult) {
    auto results = as_completed(moved(after(1ms, std::make_unique<int>(5))));
    const std::unique_ptr<int> value = co_await *results.next();
    EXPECT_EQ(*value, 5);
}

CO_TEST_ON_LOOPS(AsCompleted, TakesAndGivesOnAnyLoops) {
    std::vector<Task<int>> tasks;
    for (int number = 0; number < 16; ++number) {
        tasks.push_back(spawn(after(1ms * (number % 5), number)));
    }
    auto results = as_completed(tasks);
    std::vector<Task<int>> takers;
    while (auto next = results.next()) {
        takers.push_back(spawn(std::move(*next)));
    }
    std::set<int> values;
    for (const int value : co_await gather(std::move(takers))) {
        values.insert(value);
    }
    EXPECT_EQ(values.size(), 16U);
}

CO_TEST_ON_LOOPS(AsCompleted, LeftOnAnotherLoopEndsOnItsOwn) {
    Future<int> future;
    {
        auto results = as_completed(listed(Future<int>(spawn(after(5ms, 1))), future), {.timeout = 1h});
        Task<> taker = spawn([results = std::move(results)]() mutable -> Coro<> {
            EXPECT_EQ(co_await *results.next(), 1);
        });
        co_await taker;
    }
    co_await sleep(10ms);
    EXPECT_EQ(future.done_callback_count(), 0U);
    EXPECT_EQ(timers(), 0U);
}

}  // namespace
}  // namespace knit::test
