// wait_for().

#include "time_test.hpp"

#include <memory>
#include <string>

namespace knit::test {
namespace {

// WAITFOR-01
CO_TEST(WaitFor, GivesTheValueOfWhatEndsInTime) {
    EXPECT_EQ(co_await wait_for(after(1ms, 1), 10s), 1);
    EXPECT_EQ(co_await wait_for(after(1ms, 2), std::nullopt), 2);
    EXPECT_EQ(co_await wait_for(after(1ms, 3), std::optional<Duration>(10s)), 3);
    EXPECT_EQ(timers(), 0U);
}

// WAITFOR-02
CO_TEST(WaitFor, WaitsForTheEndOfWhatItCancelled) {
    Trace log;
    const TimePoint start = now();
    Task<> task = create_task(slow_sleeper(log, 10ms));
    log(co_await outcome_message(wait_for(task, 5ms)), task.cancelled());
    EXPECT_EQ(now() - start, 15ms);
    EXPECT_TRUE(log.shows({"cleanup", "cleanup over", "!TimeoutError()", "true"}));
}

// WAITFOR-03
CO_TEST(WaitFor, GivesTheValueOfOneThatSwallowsTheCancellation) {
    Trace log;
    const auto stubborn = [&]() -> Coro<int> {
        log(co_await got(sleep(kForever)));
        co_return 5;
    };
    log(co_await outcome(wait_for(stubborn(), 1ms)));
    Task<int> task = create_task(stubborn());
    log(co_await outcome(wait_for(task, 1ms)), cancelling());
    EXPECT_TRUE(log.shows({"!CancelledError", "5", "!CancelledError", "5", "0"}));
}

// WAITFOR-04
CO_TEST(WaitFor, ThrowsWhatTheCleanupThrows) {
    Trace log;
    const auto body = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err("cleanup failed");
        }
    };
    log(co_await outcome_message(wait_for(body(), 5ms)));
    log(co_await outcome_message(wait_for(create_task(body()), 5ms)));
    EXPECT_TRUE(log.shows({"!Err(cleanup failed)", "!Err(cleanup failed)"}));
}

// WAITFOR-05
CO_TEST(WaitFor, OfNoTimeNeverStartsACoroutine) {
    Trace log;
    const auto body = [&]() -> Coro<> {
        log("never");
        co_return;
    };
    log(co_await outcome(wait_for(body(), 0s)));
    log(co_await outcome(wait_for(body(), -1s)));
    log(co_await outcome(wait_for(sleep(1s), -1s)), cancelling());
    EXPECT_TRUE(log.shows({"!TimeoutError", "!TimeoutError", "!TimeoutError", "0"}));
}

// WAITFOR-06
CO_TEST(WaitFor, OfNoTimeGivesWhatIsDoneAlready) {
    Trace log;
    Future<int> done;
    done.set_result(1);
    Future<int> failed;
    failed.set_exception(Err("x"));
    Future<int> cancelled;
    cancelled.cancel("m");
    bool has_turned = false;
    get_running_loop().call_soon([&] { has_turned = true; });
    log(co_await outcome(wait_for(done, 0s)), co_await outcome_message(wait_for(failed, -1s)),
        co_await outcome_message(wait_for(cancelled, 0s)));
    EXPECT_FALSE(has_turned);
    EXPECT_TRUE(log.shows({"1", "!Err(x)", "!CancelledError(m)"}));
}

// WAITFOR-07
CO_TEST(WaitFor, OfNoTimeCancelsATaskAndWaitsForItsEnd) {
    Trace log;
    Task<> task = create_task(slow_sleeper(log, 10ms));
    co_await tick();
    log(co_await outcome(wait_for(task, 0s)), task.cancelled());
    Task<int> stubborn = create_task([&]() -> Coro<int> {
        log(co_await got(sleep(kForever)));
        co_return 5;
    });
    co_await tick();
    log(co_await outcome(wait_for(stubborn, 0s)));
    Future<int> future;
    log(co_await outcome(wait_for(future, 0s)), future.cancelled());
    EXPECT_TRUE(log.shows({"cleanup", "cleanup over", "!TimeoutError", "true", "!CancelledError", "5",
                           "!TimeoutError", "true"}));
}

CO_TEST(WaitFor, OfNoTimeTakesTheTurnsThatAsyncioTakes) {
    Trace log;
    // The future's callback, then the waiter.
    Future<int> future;
    Task<std::string> waiter = create_task(outcome(wait_for(future, 0s)));
    EXPECT_EQ(co_await turns_until_done(waiter), 3);
    // The same behind the coroutine's task, which ends unstarted.
    Task<std::string> second = create_task(outcome(wait_for(after(1s, 1), 0s)));
    EXPECT_EQ(co_await turns_until_done(second), 4);
}

CO_TEST(WaitFor, OfNoTimeCancelledLeavesTheTaskToItsEnd) {
    Trace log;
    Task<> task = create_task(slow_sleeper(log, 10ms));
    Task<> waiter = create_task(wait_for(task, 0s));
    co_await tick(2);
    waiter.cancel("w");
    log(co_await outcome_message(waiter), task.done());
    log(co_await outcome(task));
    EXPECT_TRUE(log.shows({"!CancelledError(w)", "false", "!CancelledError"}) ||
                log.shows({"cleanup", "!CancelledError(w)", "false", "cleanup over", "!CancelledError"}));
}

// WAITFOR-08
CO_TEST(WaitFor, CancelledCancelsAndWaitsAndThrowsCancelledError) {
    Trace log;
    Task<> inner = create_task(slow_sleeper(log, 10ms));
    Task<> outer = create_task(wait_for(inner, 60s));
    co_await tick(2);
    outer.cancel("stop");
    log(co_await outcome(outer), inner.cancelled(), outer.cancelled());
    EXPECT_TRUE(log.shows({"cleanup", "cleanup over", "!CancelledError", "true", "true"}));
}

// WAITFOR-09
CO_TEST(WaitFor, CancelledWhileTheTimedOutOneCleansUpIsCancelled) {
    Trace log;
    Task<> outer = create_task(wait_for(slow_sleeper(log, 10ms), 5ms));
    co_await sleep(7ms);
    outer.cancel();
    log(co_await outcome(outer));
    EXPECT_TRUE(log.shows({"cleanup", "!CancelledError"}));
}

// WAITFOR-10
CO_TEST(WaitFor, OfAShieldLeavesTheTaskRunning) {
    Trace log;
    Task<int> task = create_task(after(20ms, 1));
    log(co_await outcome(wait_for(shield(task), 3ms)), task.done(), task.cancelled());
    log(co_await task);
    EXPECT_TRUE(log.shows({"!TimeoutError", "false", "false", "1"}));
}

// WAITFOR-12
CO_TEST(WaitFor, RunsACoroutineInTheCurrentTask) {
    const TaskRef self = *current_task();
    bool has_turned = false;
    get_running_loop().call_soon([&] { has_turned = true; });
    const auto body = [&]() -> Coro<bool> { co_return *current_task() == self && !has_turned; };
    EXPECT_TRUE(co_await wait_for(body(), 10s));
    EXPECT_FALSE(has_turned);
}

// WAITFOR-14
CO_TEST(WaitFor, NestedTheInnerLimitIsHandledInside) {
    Trace log;
    const auto body = [&]() -> Coro<std::string> {
        log("inner", co_await outcome(wait_for(sleep(kForever), 2ms)));
        co_return "recovered";
    };
    log(co_await wait_for(body(), 10s));
    EXPECT_TRUE(log.shows({"inner", "!TimeoutError", "recovered"}));
}

// WAITFOR-16
CO_TEST(WaitFor, LetsATimeoutErrorOfTheAwaitedOnePass) {
    Trace log;
    const auto body = []() -> Coro<> {
        co_await sleep(1ms);
        throw TimeoutError("mine");
    };
    log(co_await outcome_message(wait_for(body(), 10s)), cancelling());
    EXPECT_TRUE(log.shows({"!TimeoutError(mine)", "0"}));
}

// WAITFOR-17
CO_TEST(WaitFor, LeavesNoWaiterBehind) {
    Task<int> task = create_task(after(20ms, 1));
    const Future<int> shielded = shield(task);
    EXPECT_EQ(co_await outcome(wait_for(sleep(kForever), 2ms)), "!TimeoutError");
    EXPECT_EQ(timers(), 1U);
    EXPECT_EQ(shielded.done_callback_count(), 0U);
    co_await task;
}

CO_TEST(WaitFor, LostToACancellationThatComesWithTheResult) {
    // asyncio's race: the future is settled, then the waiter is cancelled before it resumes.
    Trace log;
    Future<int> future;
    Task<int> waiter = create_task(wait_for(future, 10s));
    co_await tick();
    future.set_result(1);
    waiter.cancel();
    log(co_await outcome(waiter));
    EXPECT_EQ(timers(), 0U);
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

CO_TEST(WaitFor, MovesAMoveOnlyResult) {
    EXPECT_EQ(*co_await wait_for(after(1ms, std::make_unique<int>(6)), 1s), 6);
    Future<std::unique_ptr<int>> done;
    done.set_result(std::make_unique<int>(7));
    EXPECT_EQ(*co_await wait_for(done, 0s), 7);
}

CO_TEST_ON_LOOPS(WaitFor, TimesOutOnWhateverLoops) {
    const auto body = [](int number) -> Coro<int> {
        Trace log;
        Task<> inner = spawn(sleeper(log));
        const std::string result = co_await outcome(wait_for(inner, 1ms * number));
        EXPECT_EQ(result, "!TimeoutError");
        EXPECT_TRUE(inner.done());
        EXPECT_TRUE(inner.cancelled());
        EXPECT_EQ(cancelling(), 0);
        co_return co_await wait_for(spawn(after(1ms, number)), 1h);
    };
    std::vector<Task<int>> tasks;
    for (int number = 0; number < 8; ++number) {
        tasks.push_back(spawn(body(number)));
    }
    int sum = 0;
    for (const int number : co_await gather(std::move(tasks))) {
        sum += number;
    }
    EXPECT_EQ(sum, 28);
}

}  // namespace
}  // namespace knit::test
