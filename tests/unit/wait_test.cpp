// wait().

#include "time_test.hpp"

#include <list>
#include <string>
#include <vector>

namespace knit::test {
namespace {

Coro<> nothing() { co_return; }

// WAIT-01
CO_TEST(Wait, GivesTheVeryHandlesInTheOrderGiven) {
    const Task<int> a = create_task(after(10ms, 1));
    const Task<int> b = create_task(after(5ms, 2));
    const auto [done, pending] = co_await wait(listed(a, b));
    EXPECT_EQ(done, listed(a, b));
    EXPECT_TRUE(pending.empty());
    EXPECT_EQ(done[0].result(), 1);
}

// WAIT-02
CO_TEST(Wait, FirstCompletedReturnsAtTheFirst) {
    const Task<int> a = create_task(after(kForever, 1));
    const Task<int> b = create_task(after(2ms, 2));
    const Task<int> c = create_task(after(kForever, 3));
    const TimePoint start = now();
    const auto [done, pending] = co_await wait(listed(a, b, c), {.return_when = FIRST_COMPLETED});
    EXPECT_EQ(done, listed(b));
    EXPECT_EQ(pending, listed(a, c));
    EXPECT_FALSE(a.done());
    EXPECT_EQ(a.cancelling(), 0);
    EXPECT_EQ(now() - start, 2ms);
}

// WAIT-03
CO_TEST(Wait, WhatEndsUntilTheWaiterResumesIsDoneToo) {
    const Task<> a = create_task(tick(1));
    const Task<> b = create_task(tick(2));
    const auto [done, pending] =
        co_await create_task(wait(listed(a, b), {.return_when = ReturnWhen::FIRST_COMPLETED}));
    EXPECT_EQ(done, listed(a, b));
    EXPECT_TRUE(pending.empty());
}

// WAIT-04
CO_TEST(Wait, FirstExceptionReturnsAtTheFirstThatFails) {
    const Task<int> fine = create_task(after(1ms, 1));
    Task<int> cancelled = create_task(after(kForever, 1));
    get_running_loop().call_later(2ms, [=]() mutable { cancelled.cancel(); });
    const Task<int> bad = create_task(fail_after(5ms, "x"));
    const Task<int> late = create_task(after(kForever, 1));
    const TimePoint start = now();
    const auto [done, pending] =
        co_await wait(listed(fine, cancelled, bad, late), {.return_when = FIRST_EXCEPTION});
    EXPECT_EQ(done, listed(fine, cancelled, bad));
    EXPECT_EQ(pending, listed(late));
    EXPECT_EQ(now() - start, 5ms);
}

CO_TEST(Wait, FirstExceptionWithoutOneWaitsForAll) {
    const Task<int> a = create_task(after(1ms, 1));
    const Task<int> b = create_task(after(5ms, 2));
    const auto [done, pending] = co_await wait(listed(a, b), {.return_when = FIRST_EXCEPTION});
    EXPECT_EQ(done, listed(a, b));
}

CO_TEST(Wait, FirstExceptionOfOneThatHadFailedReturnsAtOnce) {
    const Task<int> bad = create_task(fail_after(0s, "x"));
    const Task<int> late = create_task(after(kForever, 1));
    co_await tick(2);
    const auto [done, pending] = co_await wait(listed(late, bad), {.return_when = FIRST_EXCEPTION});
    EXPECT_EQ(done, listed(bad));
    EXPECT_EQ(pending, listed(late));
}

/// It has looked at the error that it returns for, as asyncio's does.
CO_TEST(Wait, FirstExceptionTakesTheErrorThatEndsIt) {
    Trace log;
    on_error(log);
    const Task<int> late = create_task(after(kForever, 1));
    {
        const Task<int> bad = create_task(fail_after(1ms, "x"));
        const auto [done, pending] = co_await wait(listed(late, bad), {.return_when = FIRST_EXCEPTION});
        EXPECT_EQ(done, listed(bad));
    }
    co_await tick(2);
    EXPECT_TRUE(log.shows({}));
}

// WAIT-05
CO_TEST(Wait, ATimeoutThrowsNothingAndCancelsNothing) {
    const Task<> a = create_task(sleep(2ms));
    const Task<> b = create_task(sleep(kForever));
    const TimePoint start = now();
    const auto [done, pending] = co_await wait(listed(a, b), {.timeout = 15ms});
    EXPECT_EQ(done, listed(a));
    EXPECT_EQ(pending, listed(b));
    EXPECT_FALSE(b.done());
    EXPECT_EQ(b.cancelling(), 0);
    EXPECT_EQ(now() - start, 15ms);
    const auto at_once = co_await wait(listed(b), {.timeout = -1s});
    EXPECT_EQ(at_once.pending, listed(b));
    EXPECT_EQ(now() - start, 15ms);
}

CO_TEST(Wait, AtItsTimeoutCountsWhatIsDoneInThatTurn) {
    const TimePoint due = now() + 5ms;
    Future<> future;
    get_running_loop().call_at(due, [=]() mutable { future.set_result(); });
    const auto result = co_await wait(listed(future), {.timeout = 5ms});
    EXPECT_EQ(result.done.size(), 1U);
    EXPECT_EQ(timers(), 0U);
}

// WAIT-06
CO_TEST(Wait, LeavesExceptionsInTheTasks) {
    Trace log;
    const Task<int> bad = create_task(fail_after(1ms, "x"));
    const auto result = co_await wait(listed(bad));
    log(result.done.size());
    log(error_text(bad.exception(), true));
    EXPECT_TRUE(log.shows({"1", "!Err(x)"}));
}

// WAIT-07
CO_TEST(Wait, OfNothingIsAValueError) {
    Trace log;
    log(co_await got_message(wait(std::vector<Task<int>>())));
    EXPECT_TRUE(log.shows({"!ValueError(Set of Tasks/Futures is empty.)"}));
}

CO_TEST(Wait, OfAnEmptyHandleIsAnInvalidStateError) {
    EXPECT_EQ(call([] { static_cast<void>(wait(std::vector<Task<int>>(1))); }), "!InvalidStateError");
    co_return;
}

// WAIT-09
CO_TEST(Wait, CountsTheSameTaskOnce) {
    const Task<int> a = create_task(after(1ms, 1));
    const Task<int> b = create_task(after(2ms, 2));
    const auto [done, pending] = co_await wait(listed(b, a, b, a, a));
    EXPECT_EQ(done, listed(b, a));
}

// WAIT-10
CO_TEST(Wait, CancelledLeavesTheTasksAlone) {
    Trace log;
    const Task<> child = create_task([&]() -> Coro<> {
        co_await sleep(5ms);
        log("child finished");
    });
    Task<> waiter = create_task([&]() -> Coro<> { co_await wait(listed(child), {.timeout = 1h}); });
    co_await tick(2);
    waiter.cancel("m");
    log(co_await got_message(waiter), child.done());
    EXPECT_EQ(timers(), 1U);
    EXPECT_EQ(child.done_callback_count(), 0U);
    co_await child;
    EXPECT_TRUE(log.shows({"!CancelledError(m)", "false", "child finished"}));
}

CO_TEST(Wait, CancelledAfterItWasOverIsCancelledAllTheSame) {
    Trace log;
    Future<> future;
    Task<> waiter = create_task([&]() -> Coro<> {
        log(co_await got(wait(listed(future))));
        log(cancelling());
    });
    co_await tick();
    future.set_result();
    co_await tick();  // counted, the waiter is on its way
    waiter.cancel();
    co_await waiter;
    EXPECT_TRUE(log.shows({"!CancelledError", "1"}));
}

// WAIT-11
CO_TEST(Wait, OfWhatIsDoneNeedsNoTime) {
    const Task<int> task = create_task(after(0s, 1));
    co_await task;
    const TimePoint start = now();
    const auto [done, pending] = co_await wait(listed(task), {.timeout = 1h});
    EXPECT_EQ(done, listed(task));
    EXPECT_EQ(now(), start);
    EXPECT_EQ(timers(), 0U);
}

CO_TEST(Wait, TakesTheTurnsThatAsyncioTakes) {
    const Task<> ended = create_task(nothing());
    co_await ended;
    EXPECT_EQ(co_await turns_until_done(create_task(wait(listed(ended)))), 3);
    EXPECT_EQ(co_await turns_until_done(create_task(wait(listed(create_task(nothing()))))), 3);
    Future<int> future;
    auto waiter = create_task(wait(listed(future)));
    co_await tick();
    future.set_result(1);
    EXPECT_EQ(co_await turns_until_done(waiter), 2);
    Future<int> never;
    EXPECT_EQ(co_await turns_until_done(create_task(wait(listed(never), {.timeout = 0s}))), 4);
    waiter = create_task(wait(listed(never)));
    co_await tick();
    waiter.cancel();
    EXPECT_EQ(co_await turns_until_done(waiter), 1);
}

CO_TEST(Wait, TakesAnyRangeOfAnyHandles) {
    const Task<int> number = create_task(after(1ms, 1));
    const Task<> task = create_task(sleep(kForever));
    Future<int> future;
    future.set_result(1);
    std::vector<TaskRef> mixed;
    mixed.emplace_back(number);
    mixed.emplace_back(task);
    const WaitResult<TaskRef> refs = co_await wait(mixed, {.return_when = FIRST_COMPLETED});
    EXPECT_TRUE(refs.done.at(0) == number);
    EXPECT_TRUE(refs.pending.at(0) == task);
    std::list<Future<int>> futures;
    futures.push_back(future);
    futures.push_back(number);
    const WaitResult<Future<int>> result = co_await wait(futures);
    EXPECT_EQ(result.done, listed(future, Future<int>(number)));
    auto braces = wait({number, number});
    EXPECT_EQ((co_await std::move(braces)).done, listed(number));
}

CO_TEST(Wait, ManyEndInOneTurnWhileItIsOver) {
    // Those that end after the first one's count, before the waiter resumes.
    std::vector<Future<int>> futures(5);
    auto waiter = create_task(wait(futures, {.return_when = FIRST_COMPLETED}));
    co_await tick();
    futures[0].set_result(0);
    futures[1].set_result(1);
    co_await tick();
    futures[2].set_result(2);
    const auto result = co_await waiter;
    EXPECT_EQ(result.done, listed(futures[0], futures[1], futures[2]));
    futures[3].set_result(3);
    co_await tick(2);
}

CO_TEST_ON_LOOPS(Wait, WaitsForTasksOfAnyLoops) {
    std::vector<Task<int>> tasks;
    for (int number = 0; number < 12; ++number) {
        tasks.push_back(number % 3 == 0 ? create_task(after(1ms * number, number))
                                        : spawn(after(1ms * (12 - number), number)));
    }
    const Task<int> last = spawn(after(kForever, 99));
    tasks.push_back(last);
    auto first = co_await wait(tasks, {.return_when = FIRST_COMPLETED});
    EXPECT_GE(first.done.size(), 1U);
    EXPECT_EQ(first.done.size() + first.pending.size(), 13U);
    auto rest = co_await wait(first.pending, {.timeout = 100ms});
    EXPECT_EQ(rest.pending, listed(last));
    tasks.pop_back();
    EXPECT_EQ((co_await wait(tasks)).done, tasks);
}

CO_TEST_ON_LOOPS(Wait, ManyWaitersOnAllLoopsForTheSameFuture) {
    Future<int> future;
    std::vector<Task<std::size_t>> waiters;
    for (int number = 0; number < 10; ++number) {
        waiters.push_back(spawn([&future]() -> Coro<std::size_t> {
            const auto result = co_await wait(listed(future));
            co_return result.done.size();
        }));
    }
    waiters[3].cancel();
    get_running_loop().call_later(5ms, [=]() mutable { future.set_result(1); });
    std::size_t done = 0;
    for (Task<std::size_t>& waiter : waiters) {
        done += (co_await as_result(waiter)).value_or(0);
    }
    EXPECT_EQ(done, 9U);
}

}  // namespace
}  // namespace knit::test
