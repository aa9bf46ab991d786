// Loop: callbacks, timers, running and stopping, reports.

#include "co_test.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

/// Runs the stopped loop for exactly one turn.
void brief(Runtime& runtime) {
    runtime.stop();
    runtime.run_forever();
}

CO_TEST(CallSoon, CallsAtTheNextTurnInOrderWithItsArguments) {
    Trace log;
    Loop& loop = get_running_loop();
    loop.call_soon([&] { log(1); });
    loop.call_soon([&](int number, const std::string& text) { log(number, text); }, 2, "arg");
    log("now");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"now", "1", "2", "arg"}));
}

CO_TEST(CallSoon, ACallbackOfACallbackWaitsForTheTurnAfter) {
    Trace log;
    Loop& loop = get_running_loop();
    loop.call_soon([&] {
        log("a");
        loop.call_soon([&] { log("a2"); });
    });
    loop.call_soon([&] { log("b"); });
    co_await sleep(0s);
    log("--");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"a", "b", "--", "a2"}));
}

CO_TEST(CallSoon, AHandleCancelsAndIsHarmlessAfterwards) {
    Trace log;
    Loop& loop = get_running_loop();
    Handle never = loop.call_soon([&] { log("never"); });
    EXPECT_FALSE(never.cancelled());
    Handle copy = never;
    copy.cancel();
    never.cancel();
    EXPECT_TRUE(never.cancelled());
    co_await sleep(0s);
    Handle ran = loop.call_soon([&] { log("ran"); });
    co_await sleep(0s);
    ran.cancel();
    Handle().cancel();
    EXPECT_TRUE(log.shows({"ran"}));
}

CO_TEST(CallSoon, ItsFailureIsReportedAndTheOthersGoOn) {
    Trace log;
    on_error(log);
    Loop& loop = get_running_loop();
    loop.call_soon([] { throw Err(); });
    loop.call_soon([&] { log("next"); });
    co_await sleep(0s);
    loop.set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"handler:Exception in callback", "next"}));
}

CO_TEST(CallSoon, TakesArgumentsThatCanOnlyBeMoved) {
    Trace log;
    Loop& loop = get_running_loop();
    const auto show = [&log](std::unique_ptr<int> number) { log(*number); };
    loop.call_soon(show, std::make_unique<int>(1));
    loop.call_later(1ms, show, std::make_unique<int>(2));
    loop.call_at(loop.time() + 2ms, show, std::make_unique<int>(3));
    loop.call_soon_threadsafe([&log, number = std::make_unique<int>(4)] { log(*number); });
    co_await sleep(5ms);
    EXPECT_TRUE(log.shows({"1", "4", "2", "3"}));
}

CO_TEST(CallSoon, GivesArgumentsThatTheFunctionWantsToChange) {
    Trace log;
    const auto extend = [&log](std::string& text) {
        text += "!";
        log(text);
    };
    get_running_loop().call_soon(extend, std::string("kept"));
    co_await tick();
    EXPECT_TRUE(log.shows({"kept!"}));
}

CO_TEST(CallSoon, IsRefusedOnAnotherThread) {
    Loop& loop = get_running_loop();
    std::vector<std::string> errors;
    std::thread thread([&] {
        errors.push_back(call_message([&] { loop.call_soon([] {}); }));
        errors.push_back(call_message([&] { loop.call_later(60s, [] {}); }));
        errors.push_back(call_message([&] { loop.call_at(TimePoint(), [] {}); }));
    });
    thread.join();
    for (const std::string& error : errors) {
        EXPECT_TRUE(error.starts_with("!RuntimeError(Non-thread-safe operation invoked on an event loop other than the "
                                      "current one")) << error;
    }
    co_return;
}

CO_TEST_ON_LOOPS(CallSoonThreadsafe, CallsOnTheLoopFromAThreadAndFromOtherLoops) {
    Loop& loop = get_running_loop();
    Future<std::string> future;
    std::thread thread([&loop, future] {
        loop.call_soon_threadsafe([future]() mutable { future.set_result("from a thread"); });
    });
    EXPECT_EQ(co_await future, "from a thread");
    thread.join();
    Runtime& runtime = get_runtime();
    Future<> called;
    Loop& last = runtime.loop(runtime.size() - 1);
    last.call_soon_threadsafe([&] {
        EXPECT_EQ(&get_running_loop(), &last);
        called.set_result();
    });
    co_await called;
}

CO_TEST(CallSoonThreadsafe, OnTheLoopItselfComesBehindWhatAThreadHasSentBefore) {
    Trace log;
    Loop& loop = get_running_loop();
    std::thread thread([&] { loop.call_soon_threadsafe([&] { log("the thread's"); }); });
    thread.join();
    loop.call_soon_threadsafe([&] { log("its own"); });
    co_await tick(2);
    EXPECT_TRUE(log.shows({"the thread's", "its own"}));
}

CO_TEST(CallLater, CallsInTheOrderOfDeadlinesAndKnowsItsTime) {
    Trace log;
    Loop& loop = get_running_loop();
    const TimePoint start = loop.time();
    loop.call_later(15ms, [&] { log("b"); });
    const Handle handle = loop.call_later(3ms, [&] { log("a"); });
    EXPECT_EQ(handle.when(), start + 3ms);
    EXPECT_EQ(loop.timer_count(), 2U);
    co_await sleep(40ms);
    EXPECT_EQ(loop.timer_count(), 0U);
    EXPECT_TRUE(log.shows({"a", "b"}));
}

CO_TEST(CallLater, NegativeDelaysSortByTheirNominalTime) {
    Trace log;
    Loop& loop = get_running_loop();
    loop.call_later(-1s, [&] { log("a"); });
    loop.call_later(-2s, [&] { log("b"); });
    co_await tick(2);
    EXPECT_TRUE(log.shows({"b", "a"}));
}

CO_TEST(CallLater, ACancelledTimerIsGoneAtOnceAndFreesItsCaptures) {
    Loop& loop = get_running_loop();
    const auto shared = std::make_shared<int>(1);
    {
        Handle handle = loop.call_later(kForever, [shared] {});
        EXPECT_EQ(loop.timer_count(), 1U);
        handle.cancel();
        EXPECT_TRUE(handle.cancelled());
        EXPECT_EQ(loop.timer_count(), 0U);
    }
    EXPECT_EQ(shared.use_count(), 1);
    co_return;
}

CO_TEST(CallAt, EqualTimesAreCalledInTheOrderOfTheCalls) {
    Trace log;
    Loop& loop = get_running_loop();
    const TimePoint when = loop.time() + 3ms;
    for (int i = 0; i < 6; ++i) {
        loop.call_at(when, [&log, i] { log(i); });
    }
    co_await sleep(10ms);
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4", "5"}));
}

CO_TEST(CallAt, APastTimeIsCalledAtTheNextTurnBehindWhatWasReady) {
    Trace log;
    Loop& loop = get_running_loop();
    loop.call_at(loop.time() - 5s, [&] { log("past"); });
    loop.call_soon([&] { log("soon"); });
    co_await tick(2);
    EXPECT_TRUE(log.shows({"soon", "past"}));
}

CO_TEST(Loop, TimeIsTheTimersClock) {
    Loop& loop = get_running_loop();
    const TimePoint before = loop.time();
    co_await sleep(10ms);
    EXPECT_EQ(loop.time(), before + 10ms);
}

TEST(Loop, IsRunningOnlyWhileItRuns) {
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    EXPECT_FALSE(loop.is_running());
    EXPECT_EQ(call_message([] { get_running_loop(); }), "!RuntimeError(no running event loop)");
    runtime.run_until_complete([](Loop& expected, Runtime& whose) -> Coro<> {
        EXPECT_TRUE(expected.is_running());
        EXPECT_EQ(&get_running_loop(), &expected);
        EXPECT_EQ(&get_runtime(), &whose);
        co_return;
    }(loop, runtime));
    EXPECT_FALSE(loop.is_running());
    EXPECT_FALSE(loop.is_closed());
}

TEST(Loop, WorkScheduledWhileItIsStoppedIsDoneByTheNextRun) {
    Trace log;
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    loop.call_soon([&] { log(1); });
    loop.call_soon([&] { log(2); });
    log("not running");
    brief(runtime);
    loop.call_soon([&] { log(3); });
    brief(runtime);
    EXPECT_TRUE(log.shows({"not running", "1", "2", "3"}));
}

TEST(Loop, StopFinishesTheTurnAndKeepsTheRest) {
    Trace log;
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    loop.call_soon([&] {
        log("first");
        loop.call_soon([&] { log("later"); });
        loop.stop();
    });
    loop.call_soon([&] { log("same turn"); });
    runtime.run_forever();
    EXPECT_TRUE(log.shows({"first", "same turn"}));
    brief(runtime);
    EXPECT_TRUE(log.shows({"first", "same turn", "later"}));
}

TEST(Loop, StopBeforeTheRunIsOneTurnAndNoneIsLeftForTheNext) {
    Trace log;
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    loop.stop();
    loop.stop();
    loop.call_soon([&] {
        log("first");
        loop.call_soon([&] { log("second"); });
    });
    runtime.run_forever();
    EXPECT_TRUE(log.shows({"first"}));
    runtime.run_until_complete(tick(3));
    EXPECT_TRUE(log.shows({"first", "second"}));
}

TEST(Loop, StopTwiceInOneTurnStopsOneRun) {
    Runtime runtime(on_loops(1));
    runtime.loop(0).call_soon([&] {
        runtime.loop(0).stop();
        runtime.stop();
    });
    runtime.run_forever();
    runtime.run_until_complete(tick(3));  // would throw, stopped early
}

TEST(Loop, StopOnAnotherLoopStopsTheRun) {
    for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
        testing::set_seed(seed);
        Runtime runtime(on_loops(3));
        runtime.loop(2).call_soon_threadsafe([&] { runtime.loop(2).stop(); });
        runtime.run_forever();
        EXPECT_EQ(runtime.run_until_complete([]() -> Coro<int> { co_return 1; }), 1);
    }
    testing::set_seed(1);
}

TEST(Loop, ClosedItRefusesEverything) {
    Runtime runtime(on_loops(2));
    Loop& loop = runtime.loop(0);
    runtime.close();
    EXPECT_TRUE(loop.is_closed());
    EXPECT_TRUE(runtime.loop(1).is_closed());
    const std::string closed = "!RuntimeError(Event loop is closed)";
    const auto nothing = []() -> Coro<> { co_return; };
    EXPECT_EQ(call_message([&] { loop.call_soon([] {}); }), closed);
    EXPECT_EQ(call_message([&] { loop.call_later(1s, [] {}); }), closed);
    EXPECT_EQ(call_message([&] { loop.call_at(TimePoint(), [] {}); }), closed);
    EXPECT_EQ(call_message([&] { loop.call_soon_threadsafe([] {}); }), closed);
    EXPECT_EQ(call_message([&] { loop.create_task(nothing()); }), closed);
    EXPECT_EQ(call_message([&] { loop.create_future<int>(); }), closed);
    EXPECT_EQ(call_message([&] { runtime.run_forever(); }), closed);
    EXPECT_EQ(call_message([&] { runtime.run_until_complete(nothing()); }), closed);
    EXPECT_EQ(call_message([&] { runtime.submit(nothing()); }), closed);
}

TEST(Loop, ClosingDropsQueuedCallbacksAndFreesThem) {
    const auto shared = std::make_shared<int>(1);
    bool is_called = false;
    {
        Runtime runtime(on_loops(1));
        runtime.loop(0).call_later(1h, [shared, &is_called] { is_called = true; });
        EXPECT_EQ(shared.use_count(), 2);
    }
    EXPECT_EQ(shared.use_count(), 1);
    EXPECT_FALSE(is_called);
}

TEST(ExceptionHandler, GetsWhatIsKnownAndNullRestoresTheDefault) {
    Trace log;
    const LogCapture capture;
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    loop.set_exception_handler([&](const ExceptionContext& context) {
        log(context.loop == &loop, context.message, error_text(context.exception, true), context.task.has_value());
    });
    EXPECT_TRUE(static_cast<bool>(loop.get_exception_handler()));
    loop.call_soon([] { throw Err("first"); });
    brief(runtime);
    loop.set_exception_handler(nullptr);
    EXPECT_FALSE(static_cast<bool>(loop.get_exception_handler()));
    loop.call_soon([] { throw Err("second"); });
    brief(runtime);
    EXPECT_TRUE(log.shows({"true", "Exception in callback", "!Err(first)", "false"}));
    EXPECT_EQ(capture.records().size(), 1U);
    EXPECT_TRUE(capture.has(LogLevel::error, "Exception in callback"));
    EXPECT_TRUE(capture.has(LogLevel::error, "second"));
}

TEST(ExceptionHandler, ThatThrowsIsLoggedAndStopsNothing) {
    const LogCapture capture;
    run_one([&]() -> Coro<> {
        get_running_loop().set_exception_handler([](const ExceptionContext&) { throw Err("in the handler"); });
        get_running_loop().call_soon([] { throw Err("original"); });
        co_await tick(2);
    });
    EXPECT_TRUE(capture.has(LogLevel::error, "Unhandled error in exception handler"));
    EXPECT_TRUE(capture.has(LogLevel::error, "in the handler"));
}

TEST(ExceptionHandler, OfTheRuntimeIsThatOfEveryLoop) {
    Trace log;
    RunOptions options = on_loops(3);
    options.exception_handler = [&](const ExceptionContext& context) { log("loop", context.loop->id()); };
    run([&]() -> Coro<> {
        const auto fail = []() -> Coro<> {
            get_running_loop().call_soon([] { throw Err(); });
            co_await tick(2);
        };
        for (std::size_t index = 0; index < 3; ++index) {
            const Task<> task = create_task(fail(), {.loop = &get_runtime().loop(index)});
            co_await task;
        }
    }, options);
    EXPECT_TRUE(log.shows({"loop", "0", "loop", "1", "loop", "2"}));
}

CO_TEST(Loop, IdsCountFromZero) {
    EXPECT_EQ(get_running_loop().id(), 0U);
    EXPECT_EQ(get_runtime().size(), 1U);
    EXPECT_EQ(&get_runtime().loop(0), &get_running_loop());
    std::string error = call([] { get_runtime().loop(1); });
    EXPECT_EQ(error, "!exception");
    co_return;
}

CO_TEST(Loop, DebugModeIsAFlagThatCanBeSetWhileItRuns) {
    Loop& loop = get_running_loop();
    EXPECT_EQ(loop.slow_callback_duration, 100ms);
    loop.set_debug(true);
    EXPECT_TRUE(loop.get_debug());
    loop.set_debug(false);
    EXPECT_FALSE(loop.get_debug());
    co_return;
}

Coro<int> one() { co_return 1; }

TEST(Submit, IsRunByALoopThatIsNeverIdle) {
    Runtime runtime(on_loops(1));
    const Task<int> task = runtime.submit(one());
    bool has_run = false;
    runtime.run_until_complete([&]() -> Coro<> {
        for (int turn = 0; turn < 100'000 && !has_run; ++turn) {
            co_await yield();
            has_run = task.done();
        }
    });
    EXPECT_TRUE(has_run);
}

}  // namespace
}  // namespace knit::test
