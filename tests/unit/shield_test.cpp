// shield().

#include "time_test.hpp"

#include <memory>
#include <string>

namespace knit::test {
namespace {

Coro<> fail_behind(Future<>& gate) {
    co_await gate;
    throw Err("x");
}

// SHIELD-01
CO_TEST(Shield, GivesWhatTheInnerOneGives) {
    Trace log;
    log(co_await shield(after(1ms, 1)), co_await outcome_message(shield(fail_after(1ms, "x"))));
    const Task<> task = create_task(sleep(1ms));
    co_await shield(task);
    log(task.done(), co_await shield(sleep(1ms, 2)));
    Future<int> late;
    const Future<int> shielded = shield(late);
    late.set_result(3);
    log(co_await shielded);
    EXPECT_TRUE(log.shows({"1", "!Err(x)", "true", "2", "3"}));
}

// SHIELD-02
CO_TEST(Shield, CancellingItsAwaiterLeavesTheInnerOneAlone) {
    Trace log;
    Task<> inner = create_task([&]() -> Coro<> {
        co_await sleep(5ms);
        log("inner done");
    });
    Task<> outer = create_task([&]() -> Coro<> {
        try {
            co_await shield(inner);
        } catch (const CancelledError&) {
            log("outer cancelled");
            throw;
        }
    });
    co_await tick(2);
    outer.cancel();
    log(co_await got(outer), inner.done());
    co_await inner;
    EXPECT_EQ(inner.cancelling(), 0);
    EXPECT_TRUE(log.shows({"outer cancelled", "!CancelledError", "false", "inner done"}));
}

// SHIELD-03
CO_TEST(Shield, IsCancelledWithTheInnerOne) {
    Trace log;
    Task<> inner = create_task(sleep(kForever));
    const Future<> shielded = shield(inner);
    co_await tick();
    inner.cancel();
    log(co_await got(shielded), shielded.cancelled());
    EXPECT_TRUE(log.shows({"!CancelledError", "true"}));
}

// SHIELD-04
CO_TEST(Shield, OfWhatIsDoneIsThatItself) {
    Future<int> future;
    future.set_result(1);
    EXPECT_EQ(shield(future), future);
    Task<int> task = create_task(after(0s, 1));
    co_await task;
    EXPECT_EQ(shield(task), task);
}

// SHIELD-05
CO_TEST(Shield, CancelledDropsAResultSilently) {
    Trace log;
    on_error(log);
    Future<int> future;
    Future<int> shielded = shield(future);
    EXPECT_TRUE(shielded.cancel());
    EXPECT_FALSE(shielded.cancel());
    co_await tick();
    future.set_result(1);
    co_await tick(3);
    log(shielded.cancelled(), future.result());
    EXPECT_TRUE(log.shows({"true", "1"}));
}

// SHIELD-06
CO_TEST(Shield, CancelledReportsWhatNobodyTakes) {
    Trace log;
    on_error(log);
    Future<int> future;
    shield(future).cancel();
    co_await tick();
    future.set_exception(Err("foo"));
    co_await tick(2);
    EXPECT_TRUE(log.shows({"handler:Err exception in shielded future"}));
}

CO_TEST(Shield, CancelledReportsATaskWithItsHandle) {
    std::optional<TaskRef> reported;
    get_running_loop().set_exception_handler([&](const ExceptionContext& context) { reported = context.task; });
    const Task<int> task = create_task(fail_after(1ms, "x"));
    shield(task).cancel();
    co_await sleep(5ms);
    EXPECT_TRUE(reported == TaskRef(task));
}

CO_TEST(Shield, CancelledReportsNothingThatSomebodyElseTakes) {
    Trace log;
    on_error(log);
    for (const bool awaited_before : {true, false}) {
        Future<int> future;
        Task<std::string> awaiter;
        if (awaited_before) {
            awaiter = create_task(got(Future<int>(future)));
            co_await tick();
        }
        shield(future).cancel();
        co_await tick(2);
        if (!awaited_before) {
            awaiter = create_task(got(Future<int>(future)));
            co_await tick();
        }
        future.set_exception(Err("foo"));
        log(co_await awaiter);
        co_await tick(3);
    }
    EXPECT_TRUE(log.shows({"!Err", "!Err"}));
}

/// wait() resumes a turn after the inner one has ended, and its awaiter looks at the error only then.
CO_TEST(Shield, CancelledReportsNothingThatTheAwaiterOfAWaitTakes) {
    Trace log;
    on_error(log);
    const Task<int> inner = create_task(fail_after(1ms, "x"));
    Future<int> shielded = shield(inner);
    const Task<> waiter = create_task([&]() -> Coro<> {
        const auto [done, pending] = co_await wait(listed(inner));
        log(error_text(done[0].exception()));
    });
    co_await tick();
    shielded.cancel();
    co_await waiter;
    co_await tick(3);
    EXPECT_TRUE(log.shows({"!Err"}));
}

CO_TEST(Shield, CancelledReportsNothingForAnInnerOneThatIsCancelled) {
    Trace log;
    on_error(log);
    Task<> inner = create_task(sleep(kForever));
    shield(inner).cancel();
    co_await tick(2);
    inner.cancel();
    log(co_await got(inner));
    co_await tick(3);
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

// SHIELD-07
CO_TEST(Shield, SeveralCancelledReportOnce) {
    Trace log;
    on_error(log);
    Future<int> future;
    for (int round = 0; round < 3; ++round) {
        Future<int> shielded = shield(future);
        co_await tick();
        shielded.cancel();
        co_await tick();
    }
    future.set_exception(Err("foo"));
    co_await tick(3);
    EXPECT_TRUE(log.shows({"handler:Err exception in shielded future"}));
}

CO_TEST(Shield, CancelledBesideOneThatLivesReportsNothing) {
    Trace log;
    on_error(log);
    Future<int> future;
    Future<int> cancelled = shield(future);
    const Future<int> kept = shield(future);
    cancelled.cancel();
    co_await tick(2);
    future.set_exception(Err("foo"));
    log(co_await got_message(kept));
    co_await tick(3);
    EXPECT_TRUE(log.shows({"!Err(foo)"}));
}

// SHIELD-08
CO_TEST(Shield, OfAGatherLeavesItAndItsChildrenRunning) {
    Trace log;
    Future<int> a;
    Future<int> b;
    auto parent = gather(a, b);
    Future<std::tuple<int, int>> shielded = shield(parent);
    co_await tick();
    shielded.cancel();
    co_await tick();
    a.set_result(1);
    b.set_result(2);
    co_await tick(2);
    EXPECT_TRUE(shielded.cancelled());
    EXPECT_EQ(parent.result(), std::make_tuple(1, 2));
}

// SHIELD-09
CO_TEST(Shield, GatheredIsCancelledAloneWithTheGather) {
    Future<int> a;
    Future<int> b;
    auto shield_a = shield(a);
    auto shield_b = shield(b);
    auto parent = gather(shield_a, shield_b);
    Future<std::tuple<int, int>> handle = parent.future();
    co_await tick();
    parent.cancel();
    co_await tick(3);
    EXPECT_TRUE(handle.done());
    EXPECT_TRUE(shield_a.cancelled());
    EXPECT_TRUE(shield_b.cancelled());
    EXPECT_FALSE(a.done() || b.done());
    EXPECT_EQ(call([&] { handle.result(); }), "!CancelledError");
    a.set_result(1);
    b.set_result(2);
}

// SHIELD-10
CO_TEST(Shield, StartsACoroutineAtOnce) {
    Trace log;
    const auto body = [&]() -> Coro<> {
        log("started");
        co_return;
    };
    Future<> shielded = shield(body());
    co_await tick();
    log("not awaited yet");
    co_await shielded;
    EXPECT_TRUE(log.shows({"started", "not awaited yet"}));
}

CO_TEST(Shield, TakesTheTurnsThatAsyncioTakes) {
    const auto await_shield = [](Future<int> future) -> Coro<int> { co_return co_await shield(future); };
    Future<int> future;
    Task<int> waiter = create_task(await_shield(future));
    co_await tick();
    future.set_result(1);
    EXPECT_EQ(co_await turns_until_done(waiter), 2);
    Future<int> second;
    waiter = create_task(await_shield(second));
    co_await tick();
    second.cancel();
    EXPECT_EQ(co_await turns_until_done(waiter), 2);
    Future<int> third;
    waiter = create_task(await_shield(third));
    co_await tick();
    waiter.cancel();
    EXPECT_EQ(co_await turns_until_done(waiter), 1);
    third.set_result(1);
    waiter = create_task(await_shield(third));
    EXPECT_EQ(co_await turns_until_done(waiter), 1);
}

CO_TEST(Shield, RethrowsTheVeryExceptionOfTheInnerOne) {
    const Task<int> inner = create_task(fail_after(1ms, "x"));
    std::exception_ptr seen;
    try {
        co_await shield(inner);
    } catch (const Err&) {
        seen = std::current_exception();
    }
    EXPECT_EQ(seen, inner.exception());
}

CO_TEST(Shield, DroppedItLetsTheInnerOneFinishAndReportsItsFailureOnce) {
    Trace log;
    on_error(log);
    static_cast<void>(shield(fail_after(1ms, "x")));
    co_await sleep(5ms);
    EXPECT_TRUE(log.shows({"handler:Future exception was never retrieved"}));
}

CO_TEST(Shield, CancelledInTheTurnInWhichTheInnerOneEndsIsCancelled) {
    Trace log;
    on_error(log);
    Future<int> future;
    Future<int> shielded = shield(future);
    future.set_result(1);
    shielded.cancel();
    co_await tick(3);
    log(shielded.cancelled());
    Future<int> second;
    Future<int> other = shield(second);
    other.cancel();
    second.set_exception(Err("x"));
    co_await tick(3);
    log(other.cancelled(), error_text(second.exception()));
    EXPECT_TRUE(log.shows({"true", "true", "!Err"}));
}

// Python 3.14: the shield is not told any more, and does not look after an inner one that has ended already.
CO_TEST(Shield, CancelledInTheTurnInWhichATaskFailsLeavesItsFailureUnretrieved) {
    Trace log;
    on_error(log);
    Future<> gate;
    Future<> shielded = shield(fail_behind(gate));
    co_await tick();
    gate.set_result();
    co_await tick();
    shielded.cancel();
    co_await tick(3);
    log(shielded.cancelled());
    EXPECT_TRUE(log.shows({"handler:Task exception was never retrieved", "true"}));
}

CO_TEST(Shield, MovesAMoveOnlyResult) {
    const std::unique_ptr<int> value = co_await shield(after(1ms, std::make_unique<int>(5)));
    EXPECT_EQ(*value, 5);
}

CO_TEST_ON_LOOPS(Shield, OfATaskOfAnotherLoopWorksAlike) {
    Task<int> inner = spawn(after(5ms, 1));
    Task<int> cancelled = create_task([&]() -> Coro<int> { co_return co_await shield(inner); });
    co_await tick(2);
    cancelled.cancel();
    EXPECT_EQ(co_await got(cancelled), "!CancelledError");
    EXPECT_EQ(co_await shield(inner), 1);
    Task<> endless = spawn(sleep(kForever));
    const Future<> shielded = shield(endless);
    co_await sleep(1ms);
    endless.cancel();
    EXPECT_EQ(co_await got(shielded), "!CancelledError");
    EXPECT_TRUE(shielded.cancelled());
    // Cancelled from elsewhere.
    Task<int> other = spawn(after(5ms, 2));
    Future<int> handle = shield(other);
    Task<> canceller = spawn([handle]() mutable -> Coro<> {
        handle.cancel();
        co_return;
    });
    co_await canceller;
    EXPECT_EQ(co_await got(handle), "!CancelledError");
    EXPECT_EQ(co_await other, 2);
}

}  // namespace
}  // namespace knit::test
