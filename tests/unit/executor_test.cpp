// run_in_executor(), ThreadPoolExecutor, shutdown_default_executor().

#include "co_test.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

/// Where a test holds a function in its thread.
struct Gate {
    void wait() const {
        while (!is_open) {
            std::this_thread::yield();
        }
    }
    std::atomic<bool> is_open{false};
};

CO_TEST_ON_LOOPS(RunInExecutor, GivesTheValueFromAnotherThread) {
    Future<int> sum = get_running_loop().run_in_executor(nullptr, [](int a, int b) { return a + b; }, 40, 2);
    EXPECT_EQ(co_await sum, 42);
    ThreadPoolExecutor executor(1);
    const Future<std::thread::id> id =
        get_running_loop().run_in_executor(&executor, [] { return std::this_thread::get_id(); });
    EXPECT_NE(co_await id, std::this_thread::get_id());
}

// TOTHREAD-10
CO_TEST(RunInExecutor, SubmitsAtTheCallNotAtTheAwait) {
    ThreadPoolExecutor executor(1);
    std::promise<void> has_run;
    const Future<std::string> future = get_running_loop().run_in_executor(&executor, [&]() -> std::string {
        has_run.set_value();
        return "mine";
    });
    has_run.get_future().wait();  // ends although the loop does not turn
    EXPECT_EQ(co_await future, "mine");
}

/// What a job holds goes without the executor's mutex: its destructor may submit.
CO_TEST(RunInExecutor, WhatAJobHoldsMaySubmitWhenItGoes) {
    ThreadPoolExecutor executor(1);
    Future<> has_run;
    std::shared_ptr<int> held(new int(1), [&executor, has_run](const int* value) {
        executor.submit([has_run](bool) mutable { has_run.set_result(); });
        delete value;
    });
    executor.submit([held = std::move(held)](bool) {});
    co_await has_run;
}

CO_TEST(RunInExecutor, GivesTheExceptionOfTheFunction) {
    Future<> future = get_running_loop().run_in_executor(nullptr, [] { throw Err("test"); });
    EXPECT_EQ(co_await got_message(future), "!Err(test)");
}

CO_TEST(RunInExecutor, MovesArgumentsAndResults) {
    const auto twice = [](std::unique_ptr<int> value) {
        *value *= 2;
        return value;
    };
    Future<std::unique_ptr<int>> future =
        get_running_loop().run_in_executor(nullptr, twice, std::make_unique<int>(21));
    const std::unique_ptr<int> result = co_await std::move(future);
    EXPECT_EQ(*result, 42);
}

CO_TEST(RunInExecutor, OneThreadRunsTheJobsInTheOrderOfSubmission) {
    Trace log;
    ThreadPoolExecutor executor(1);
    std::vector<Future<>> futures;
    for (int i = 0; i < 4; ++i) {
        futures.push_back(get_running_loop().run_in_executor(&executor, [&log, i] { log(i); }));
    }
    co_await gather(futures);
    EXPECT_TRUE(log.shows({"0", "1", "2", "3"}));
}

CO_TEST(RunInExecutor, TheFutureIsOfTheLoopThatWasNamed) {
    const Future<> future = get_running_loop().run_in_executor(nullptr, [] {});
    EXPECT_EQ(&future.get_loop(), &get_running_loop());
    co_await future;
    const Future<> from_a_thread =
        co_await to_thread([loop = &get_running_loop()] { return loop->run_in_executor(nullptr, [] {}); });
    EXPECT_EQ(&from_a_thread.get_loop(), &get_running_loop());
    co_await from_a_thread;
}

// test_events.test_run_in_executor_cancel, python/cpython#107505
CO_TEST(RunInExecutor, CancelledItDropsTheResultOfAFunctionThatRuns) {
    const auto gate = std::make_shared<Gate>();
    const auto has_begun = std::make_shared<Gate>();
    const auto has_ended = std::make_shared<Gate>();
    Future<> future = get_running_loop().run_in_executor(nullptr, [=] {
        has_begun->is_open = true;
        gate->wait();
        has_ended->is_open = true;
    });
    has_begun->wait();
    EXPECT_TRUE(future.cancel());
    EXPECT_EQ(co_await got(future), "!CancelledError");
    EXPECT_FALSE(has_ended->is_open);
    gate->is_open = true;
    co_await to_thread([=] { has_ended->wait(); });
    EXPECT_TRUE(future.cancelled());
}

CO_TEST(RunInExecutor, CancelledBeforeItsTurnTheFunctionNeverRuns) {
    const auto gate = std::make_shared<Gate>();
    const auto has_run = std::make_shared<std::atomic<bool>>(false);
    ThreadPoolExecutor executor(1);
    const Future<> first = get_running_loop().run_in_executor(&executor, [=] { gate->wait(); });
    Future<> second = get_running_loop().run_in_executor(&executor, [=] { *has_run = true; });
    const Future<> third = get_running_loop().run_in_executor(&executor, [] {});
    EXPECT_TRUE(second.cancel());
    gate->is_open = true;
    co_await third;
    EXPECT_FALSE(*has_run);
}

CO_TEST(RunInExecutor, AnExceptionThatNobodyTakesIsReported) {
    Trace log;
    on_error(log);
    {
        Future<> future = get_running_loop().run_in_executor(nullptr, [] { throw Err("lost"); });
        while (!future.done()) {
            co_await yield();
        }
    }
    while (log.size() == 0) {
        co_await yield();  // the job's thread may give its handle up last, later than it settles it
    }
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"handler:Future exception was never retrieved"}));
}

// TOTHREAD-11
TEST(RunInExecutor, AJobThatEndsAfterTheLoopHasClosedIsHarmless) {
    const auto gate = std::make_shared<Gate>();
    const auto has_ended = std::make_shared<Gate>();
    ThreadPoolExecutor executor(1);
    Future<int> future{detail::CoreRef()};
    {
        Runtime runtime(on_loops(1));
        future = runtime.loop(0).run_in_executor(&executor, [=] {
            gate->wait();
            has_ended->is_open = true;
            return 1;
        });
    }
    gate->is_open = true;
    has_ended->wait();
    executor.shutdown();
    EXPECT_EQ(future.result(), 1);
}

TEST(RunInExecutor, OnAClosedLoopIsRefused) {
    Runtime runtime(on_loops(1));
    runtime.close();
    EXPECT_EQ(call_message([&] { runtime.loop(0).run_in_executor(nullptr, [] {}); }),
              "!RuntimeError(Event loop is closed)");
}

TEST(RunInExecutor, BeforeTheRunItIsSubmittedAndTheRunGetsTheResult) {
    Runtime runtime(on_loops(1));
    Future<int> future = runtime.loop(0).run_in_executor(nullptr, [] { return 7; });
    EXPECT_EQ(runtime.run_until_complete(future), 7);
}

TEST(ThreadPoolExecutor, WithoutThreadsIsAValueError) {
    EXPECT_EQ(call_message([] { ThreadPoolExecutor(0); }), "!ValueError(max_workers must be greater than 0)");
}

CO_TEST(ThreadPoolExecutor, ShutdownWaitsForItsJobsAndThenRefuses) {
    ThreadPoolExecutor executor(2);
    std::atomic<int> done{0};
    std::vector<Future<>> futures;
    for (int i = 0; i < 8; ++i) {
        futures.push_back(get_running_loop().run_in_executor(&executor, [&] { ++done; }));
    }
    executor.shutdown();
    EXPECT_EQ(done, 8);
    executor.shutdown();
    EXPECT_EQ(call_message([&] { get_running_loop().run_in_executor(&executor, [] {}); }),
              "!RuntimeError(cannot schedule new futures after shutdown)");
    co_await gather(futures);
}

CO_TEST(ThreadPoolExecutor, UsesNoMoreThreadsThanItWasGiven) {
    ThreadPoolExecutor executor(2);
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    std::vector<Future<>> futures;
    for (int i = 0; i < 16; ++i) {
        futures.push_back(get_running_loop().run_in_executor(&executor, [&] {
            const int count = ++now;
            int seen = most;
            while (count > seen && !most.compare_exchange_weak(seen, count)) {
            }
            std::this_thread::yield();
            --now;
        }));
    }
    co_await gather(futures);
    EXPECT_LE(most, 2);
}

CO_TEST(ShutdownDefaultExecutor, RefusesWhatComesLaterOnEveryLoop) {
    EXPECT_EQ(co_await to_thread([] { return 1; }), 1);
    co_await get_running_loop().shutdown_default_executor();
    const std::string refused = "!RuntimeError(Executor shutdown has been called)";
    EXPECT_EQ(co_await got_message(to_thread([] {})), refused);
    EXPECT_EQ(call_message([] { get_running_loop().run_in_executor(nullptr, [] {}); }), refused);
    ThreadPoolExecutor executor(1);
    co_await get_running_loop().run_in_executor(&executor, [] {});  // one's own goes on
    co_await get_running_loop().shutdown_default_executor();        // and a second time is harmless
}

CO_TEST(ShutdownDefaultExecutor, RefusesAlsoWhereItHasNeverBeenUsed) {
    co_await get_running_loop().shutdown_default_executor();
    EXPECT_EQ(co_await got_message(to_thread([] {})), "!RuntimeError(Executor shutdown has been called)");
}

CO_TEST(ShutdownDefaultExecutor, IsLazy) {
    Coro<> coro = get_running_loop().shutdown_default_executor();
    EXPECT_EQ(co_await to_thread([] { return 1; }), 1);
    coro.close();
    EXPECT_EQ(co_await to_thread([] { return 2; }), 2);
}

CO_TEST_ON_LOOPS(ShutdownDefaultExecutor, WaitsForTheJobsWhileTheLoopGoesOn) {
    Gate gate;
    std::atomic<bool> is_done{false};
    const Task<> job = create_task(to_thread([&] {
        gate.wait();
        is_done = true;
    }));
    co_await tick(2);
    const Task<> shutdown = create_task(get_running_loop().shutdown_default_executor());
    co_await tick(10);
    EXPECT_FALSE(shutdown.done());
    gate.is_open = true;
    co_await shutdown;
    EXPECT_TRUE(is_done);
    co_await job;
}

CO_TEST(ShutdownDefaultExecutor, GivesUpAfterTheTimeoutWithAWarning) {
    const LogCapture capture;
    const auto gate = std::make_shared<Gate>();
    const Task<> job = create_task(to_thread([gate] { gate->wait(); }));
    co_await tick(2);
    const TimePoint start = get_running_loop().time();
    co_await get_running_loop().shutdown_default_executor(50ms);
    EXPECT_EQ(get_running_loop().time(), start + 50ms);
    EXPECT_TRUE(capture.has(LogLevel::warning, "The executor did not finish joining its threads within 0.05 seconds."));
    gate->is_open = true;
    co_await job;
    EXPECT_EQ(get_running_loop().timer_count(), 0U);
}

CO_TEST(ShutdownDefaultExecutor, InTimeItLeavesNoTimerAndNoWarning) {
    const LogCapture capture;
    co_await to_thread([] {});
    const Task<> shutdown = create_task(get_running_loop().shutdown_default_executor(kForever));
    while (!shutdown.done()) {
        co_await yield();  // so that the clock does not jump to the deadline while the threads end
    }
    co_await shutdown;
    EXPECT_EQ(get_running_loop().timer_count(), 0U);
    EXPECT_TRUE(capture.records().empty());
}

CO_TEST(ShutdownDefaultExecutor, CancelledOnlyTheWaitingEnds) {
    const auto gate = std::make_shared<Gate>();
    const Task<> job = create_task(to_thread([gate] { gate->wait(); }));
    co_await tick(2);
    Task<> shutdown = create_task(get_running_loop().shutdown_default_executor(kForever));
    co_await tick(2);
    shutdown.cancel();
    EXPECT_EQ(co_await got(shutdown), "!CancelledError");
    EXPECT_EQ(get_running_loop().timer_count(), 0U);
    EXPECT_FALSE(job.done());
    gate->is_open = true;
    co_await job;
    EXPECT_EQ(co_await got_message(to_thread([] {})), "!RuntimeError(Executor shutdown has been called)");
}

TEST(ShutdownDefaultExecutor, OnAClosedLoopIsRefused) {
    Runtime runtime(on_loops(1));
    Loop& loop = runtime.loop(0);
    runtime.close();
    EXPECT_EQ(run_one([&]() -> Coro<std::string> { co_return co_await got_message(loop.shutdown_default_executor()); }),
              "!RuntimeError(Event loop is closed)");
}

}  // namespace
}  // namespace knit::test
