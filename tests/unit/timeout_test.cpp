// timeout_scope(), Timeout.

#include "time_test.hpp"

#include <memory>
#include <string>

namespace knit::test {
namespace {

// TIMEOUT-01
CO_TEST(Timeout, CancelsTheBodyAtItsAwaitAndThrowsTimeoutError) {
    Trace log;
    Timeout deadline = timeout(5ms);
    const TimePoint start = now();
    log(co_await outcome_message(timeout_scope(deadline, [&](Timeout& given) -> Coro<> {
        EXPECT_EQ(&given, &deadline);
        EXPECT_FALSE(given.expired());
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("body cancelled", given.expired());
            throw;
        }
    })));
    log(deadline.expired());
    EXPECT_EQ(now() - start, 5ms);
    EXPECT_TRUE(log.shows({"body cancelled", "true", "!TimeoutError()", "true"}));
}

// TIMEOUT-02
CO_TEST(Timeout, LeavesABodyAloneThatEndsInTimeAndLeavesNoTimer) {
    Timeout deadline = timeout(10s);
    const TimePoint due = now() + 10s;
    const int value = co_await timeout_scope(deadline, [](Timeout&) { return after(1ms, 5); });
    EXPECT_EQ(value, 5);
    EXPECT_FALSE(deadline.expired());
    EXPECT_EQ(deadline.when(), due);
    EXPECT_EQ(timers(), 0U);
}

// TIMEOUT-03
CO_TEST(Timeout, OfNoneNeverFires) {
    const auto body = [](Timeout& deadline) -> Coro<int> {
        EXPECT_EQ(deadline.when(), std::nullopt);
        co_await sleep(1h);
        EXPECT_FALSE(deadline.expired());
        co_return 1;
    };
    int sum = co_await timeout_scope(std::nullopt, body);
    sum += co_await timeout_scope_at(std::nullopt, body);
    sum += co_await with_timeout(std::nullopt, after(1h, 1));
    sum += co_await with_timeout_at(std::nullopt, after(1h, 1));
    EXPECT_EQ(sum, 4);
}

// TIMEOUT-04
CO_TEST(Timeout, AtATimeHasExactlyThatTime) {
    Trace log;
    const TimePoint due = now() + 3ms;
    log(co_await outcome(timeout_scope_at(due, [&](Timeout& deadline) -> Coro<> {
        EXPECT_EQ(deadline.when(), due);
        co_await sleep(kForever);
    })));
    EXPECT_EQ(now(), due);
    log(co_await outcome(with_timeout_at(now() + 2ms, sleep(kForever))));
    EXPECT_EQ(now(), due + 2ms);
    EXPECT_TRUE(log.shows({"!TimeoutError", "!TimeoutError"}));
}

// TIMEOUT-05
CO_TEST(Timeout, InThePastFiresAtTheFirstSuspension) {
    Trace log;
    log(co_await outcome(timeout_scope_at(now() - 1s, [&](Timeout& deadline) -> Coro<> {
        log("starts", deadline.expired());
        co_await sleep(0s);
        log("never");
    })));
    log(co_await outcome(timeout_scope(-1s, [&](Timeout&) -> Coro<> { co_await sleep(kForever); })));
    log(co_await outcome(timeout_scope(0s, [&](Timeout&) -> Coro<> { co_await sleep(kForever); })));
    EXPECT_TRUE(log.shows({"starts", "false", "!TimeoutError", "!TimeoutError", "!TimeoutError"}));
}

// TIMEOUT-06
CO_TEST(Timeout, DoesNotTouchABodyThatNeverSuspends) {
    Timeout deadline = timeout_at(now() - 1s);
    const int value = co_await timeout_scope(deadline, [](Timeout&) -> Coro<int> { co_return 3; });
    EXPECT_EQ(value, 3);
    EXPECT_FALSE(deadline.expired());
    co_await tick(3);
    EXPECT_EQ(cancelling(), 0);
}

CO_TEST(Timeout, TakesNoTurnOfTheLoopOnSuccess) {
    bool has_turned = false;
    get_running_loop().call_soon([&] { has_turned = true; });
    EXPECT_EQ(co_await timeout_scope(1s, [](Timeout&) -> Coro<int> { co_return 1; }), 1);
    EXPECT_EQ(co_await with_timeout(1s, [](int value) -> Coro<int> { co_return value; }(2)), 2);
    EXPECT_FALSE(has_turned);
}

CO_TEST(Timeout, BodyRunsInTheCurrentTask) {
    const TaskRef self = *current_task();
    EXPECT_TRUE(co_await timeout_scope(1s, [&](Timeout&) -> Coro<bool> { co_return *current_task() == self; }));
}

CO_TEST(Timeout, KeepsTheCallableUntilItsCoroutineHasEnded) {
    Coro<int> scope;
    {
        auto kept = std::make_unique<int>(7);
        scope = timeout_scope(1s, [kept = std::move(kept)](Timeout&) -> Coro<int> {
            co_await sleep(1ms);
            co_return *kept;
        });
    }
    EXPECT_EQ(co_await scope, 7);
}

// TIMEOUT-07
CO_TEST(Timeout, NestedTheInnerOneFiresAlone) {
    Trace log;
    log(co_await outcome(timeout_scope(1h, [&](Timeout& outer) -> Coro<> {
        log(co_await outcome(timeout_scope(2ms, [](Timeout&) -> Coro<> { co_await sleep(kForever); })));
        log(outer.expired(), cancelling());
        co_await sleep(1ms);
    })));
    EXPECT_TRUE(log.shows({"!TimeoutError", "false", "0", "void"}));
}

// TIMEOUT-08
CO_TEST(Timeout, NestedTheOuterOnePassesThroughTheInner) {
    Trace log;
    Timeout outer = timeout(2ms);
    Timeout inner = timeout(1h);
    log(co_await outcome(timeout_scope(outer, [&](Timeout&) -> Coro<> {
        log(co_await outcome(timeout_scope(inner, [](Timeout&) -> Coro<> { co_await sleep(kForever); })));
        throw CancelledError();
    })));
    log(outer.expired(), inner.expired(), cancelling());
    EXPECT_TRUE(log.shows({"!CancelledError", "!TimeoutError", "true", "false", "0"}));
}

// TIMEOUT-09, TIMEOUT-10: both in one turn
CO_TEST(Timeout, BothDueAtOnceTheOuterOneAloneThrows) {
    Trace log;
    const TimePoint due = now() + 5ms;
    for (const bool outer_first : {true, false}) {
        Timeout outer = timeout_at(outer_first ? due : due + 10ms);
        Timeout inner = timeout_at(due);
        log(co_await outcome(timeout_scope(outer, [&](Timeout&) -> Coro<> {
            co_await timeout_scope(inner, [&](Timeout&) -> Coro<> {
                outer.reschedule(due);  // now, after the inner one, or before it
                if (outer_first) {
                    inner.reschedule(due);
                }
                co_await sleep(kForever);
            });
        })));
        log(outer.expired(), inner.expired(), cancelling());
        if (outer_first) {
            EXPECT_EQ(now(), due);
        }
    }
    EXPECT_TRUE(log.shows({"!TimeoutError", "true", "true", "0", "!TimeoutError", "true", "true", "0"}));
}

// TIMEOUT-11
CO_TEST(Timeout, IsMovedByReschedule) {
    Trace log;
    const TimePoint start = now();
    co_await timeout_scope(2ms, [&](Timeout& deadline) -> Coro<> {
        deadline.reschedule(start + 100s);
        EXPECT_EQ(deadline.when(), start + 100s);
        EXPECT_EQ(timers(), 1U);
        co_await sleep(10ms);
        deadline.reschedule(std::nullopt);
        EXPECT_EQ(timers(), 0U);
        EXPECT_EQ(deadline.when(), std::nullopt);
        co_await sleep(200s);
        EXPECT_FALSE(deadline.expired());
    });
    log(co_await outcome(timeout_scope(std::nullopt, [&](Timeout& deadline) -> Coro<> {
        deadline.reschedule(now() - 1s);
        log("goes on");
        co_await sleep(kForever);
    })));
    const TimePoint before = now();
    log(co_await outcome(timeout_scope(1h, [&](Timeout& deadline) -> Coro<> {
        deadline.reschedule(now() + 1ms);
        co_await sleep(kForever);
    })));
    EXPECT_EQ(now() - before, 1ms);
    EXPECT_TRUE(log.shows({"goes on", "!TimeoutError", "!TimeoutError"}));
}

CO_TEST(Timeout, RescheduledAfterItFellDueButBeforeItFiredDoesNotFire) {
    // The timer stands in the run queue, behind the task.
    Trace log;
    const TimePoint due = now() + 5ms;
    Future<> woken;
    get_running_loop().call_at(due, [woken]() mutable { woken.set_result(); });
    co_await timeout_scope(std::nullopt, [&](Timeout& deadline) -> Coro<> {
        deadline.reschedule(due - 1ms);
        deadline.reschedule(now());  // in the run queue at once
        deadline.reschedule(due + 1h);
        co_await woken;
        log(deadline.expired());
    });
    co_await tick(3);
    EXPECT_EQ(cancelling(), 0);
    EXPECT_EQ(timers(), 0U);
    EXPECT_TRUE(log.shows({"false"}));
}

// TIMEOUT-12
CO_TEST(Timeout, CannotBeRescheduledOutsideItsBody) {
    Trace log;
    Timeout deadline = timeout(10s);
    log(call_message([&] { deadline.reschedule(std::nullopt); }));
    co_await timeout_scope(deadline, [](Timeout&) -> Coro<> { co_return; });
    log(call_message([&] { deadline.reschedule(std::nullopt); }));
    Timeout short_one = timeout(1ms);
    co_await timeout_scope(short_one, [&](Timeout& given) -> Coro<> {
        log(co_await got(sleep(kForever)));
        log(call_message([&] { given.reschedule(std::nullopt); }));
    });
    log(call_message([&] { short_one.reschedule(std::nullopt); }));
    EXPECT_TRUE(log.shows({"!RuntimeError(Timeout has not been entered)",
                           "!RuntimeError(Cannot change state of finished Timeout)", "!CancelledError",
                           "!RuntimeError(Cannot change state of expiring Timeout)",
                           "!RuntimeError(Cannot change state of expired Timeout)"}));
}

// TIMEOUT-13
CO_TEST(Timeout, CanBeEnteredOnce) {
    Trace log;
    Timeout deadline = timeout(10s);
    const auto body = [](Timeout&) -> Coro<> { co_return; };
    co_await timeout_scope(deadline, [&](Timeout& given) -> Coro<> {
        log(co_await got_message(timeout_scope(given, body)));
        given.reschedule(now() + 20s);
    });
    log(co_await got_message(timeout_scope(deadline, body)));
    EXPECT_FALSE(deadline.expired());
    EXPECT_TRUE(log.shows({"!RuntimeError(Timeout has already been entered)",
                           "!RuntimeError(Timeout has already been entered)"}));
}

TEST(Timeout, NeedsARunningLoop) {
    EXPECT_EQ(call_message([] { static_cast<void>(timeout(1s)); }), "!RuntimeError(no running event loop)");
}

// TIMEOUT-15
CO_TEST(Timeout, LetsAnExceptionOfTheBodyPass) {
    Trace log;
    Timeout unused = timeout(10s);
    log(co_await outcome_message(timeout_scope(unused, [](Timeout&) -> Coro<int> {
        co_await sleep(1ms);
        throw Err("x");
    })));
    log(unused.expired());
    Timeout hit = timeout(2ms);
    log(co_await outcome_message(timeout_scope(hit, [](Timeout&) -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err2("cleanup");
        }
    })));
    log(hit.expired(), cancelling());
    EXPECT_TRUE(log.shows({"!Err(x)", "false", "!Err2(cleanup)", "true", "0"}));
}

CO_TEST(Timeout, LetsACallableThrowThatMakesNoCoroutine) {
    Trace log;
    log(co_await outcome(timeout_scope(1s, [](Timeout&) -> Coro<> { throw Err("x"); })));
    EXPECT_EQ(timers(), 0U);
    EXPECT_TRUE(log.shows({"!Err"}));
}

// TIMEOUT-16
CO_TEST(Timeout, LetsACancellationFromOutsidePass) {
    Trace log;
    Timeout deadline = timeout(10s);
    Task<> task = create_task(timeout_scope(deadline, [&](Timeout&) { return sleeper(log); }));
    co_await tick();
    task.cancel("outside");
    log(co_await got_message(task), deadline.expired(), task.cancelled());
    EXPECT_EQ(timers(), 0U);
    EXPECT_TRUE(log.shows({"cancelled", "!CancelledError(outside)", "false", "true"}));
}

// TIMEOUT-17
CO_TEST(Timeout, EndsNormallyWhenTheBodySwallowsTheCancellation) {
    Trace log;
    Timeout deadline = timeout(2ms);
    log(co_await outcome(timeout_scope(deadline, [&](Timeout&) -> Coro<int> {
        log(co_await got(sleep(kForever)), cancelling());
        co_return 4;
    })));
    log(deadline.expired(), cancelling());
    co_await sleep(1ms);
    EXPECT_TRUE(log.shows({"!CancelledError", "1", "4", "true", "0"}));
}

// TIMEOUT-18
CO_TEST(Timeout, CancelledFromOutsideToItIsACancellation) {
    Trace log;
    Timeout deadline = timeout(2ms);
    Task<> task = create_task(timeout_scope(deadline, [&](Timeout&) -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            TaskRef(*current_task()).cancel();  // as well
            throw;
        }
    }));
    log(co_await outcome(task), task.cancelled(), deadline.expired(), task.cancelling());
    EXPECT_TRUE(log.shows({"!CancelledError", "true", "true", "1"}));
}

// TIMEOUT-19
CO_TEST(Timeout, WithinATaskThatWasCancelledBeforeCountsItsOwnRequestOnly) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        log(co_await got(sleep(kForever)));
        log(co_await outcome(with_timeout(1ms, sleep(kForever))));
        log(cancelling());
    });
    co_await tick();
    task.cancel();
    co_await task;
    EXPECT_TRUE(log.shows({"!CancelledError", "!TimeoutError", "1"}));
}

// TIMEOUT-20
CO_TEST(Timeout, CaughtItLeavesNoMarkOnTheTask) {
    Task<int> task = create_task([]() -> Coro<int> {
        try {
            co_await with_timeout(1ms, sleep(kForever));
        } catch (const TimeoutError&) {
            co_return cancelling();
        }
        co_return -1;
    });
    EXPECT_EQ(co_await task, 0);
    EXPECT_FALSE(task.cancelled());
}

CO_TEST(Timeout, DueWhileTheResultIsOnItsWayCancelsAllTheSame) {
    // The future is settled in the turn in which the deadline comes: as in asyncio the value is lost.
    Trace log;
    const TimePoint due = now() + 5ms;
    Future<int> future;
    get_running_loop().call_at(due, [future]() mutable { future.set_result(1); });
    log(co_await outcome(with_timeout_at(due, future)), future.result());
    // The other way round the deadline cancels the future first.
    Future<int> second;
    const TimePoint later = now() + 5ms;
    Task<std::string> task = create_task(outcome(with_timeout_at(later, second)));
    co_await tick();
    get_running_loop().call_at(later, [&log, second] { log(second.cancelled()); });
    log(co_await task);
    EXPECT_TRUE(log.shows({"!TimeoutError", "1", "true", "!TimeoutError"}));
}

CO_TEST(Timeout, DueAsTheBodyEndsHasNoEffect) {
    // It stands in the run queue when the scope is left.
    Trace log;
    Timeout deadline = timeout(1h);
    co_await timeout_scope(deadline, [](Timeout& given) -> Coro<> {
        co_await sleep(1ms);
        given.reschedule(now());
    });
    Task<> short_one = create_task(timeout_scope(-1s, [](Timeout&) -> Coro<> { co_return; }));
    co_await short_one;
    co_await tick(3);
    EXPECT_FALSE(deadline.expired());
    EXPECT_EQ(cancelling() + short_one.cancelling(), 0);
    EXPECT_EQ(timers(), 0U);
}

}  // namespace
}  // namespace knit::test
