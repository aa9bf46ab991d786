// Runner: several runs on the same loops.

#include "co_test.hpp"

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace knit::test {
namespace {

Coro<Loop*> its_loop() {
    co_await sleep(0s);
    co_return &get_running_loop();
}

// RUN-12, without its context
TEST(Runner, RunsSeveralTimesOnTheSameLoop) {
    Runner runner(on_loops(1));
    Loop* const first = runner.run(its_loop());
    EXPECT_EQ(runner.run(its_loop()), first);
    EXPECT_EQ(&runner.get_loop(), first);
    EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 3; }), 3);
}

TEST(Runner, RethrowsTheExceptionOfMainUnchangedAndRunsOn) {
    Runner runner(on_loops(1));
    const auto error = std::make_exception_ptr(Err("spam"));
    std::exception_ptr seen;
    try {
        runner.run([&]() -> Coro<> {
            co_await sleep(0s);
            std::rethrow_exception(error);
        });
    } catch (const Err&) {
        seen = std::current_exception();
    }
    EXPECT_EQ(seen, error);
    EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 4; }), 4);
}

// RUN-14
TEST(Runner, InsideARunningLoopIsRefused) {
    Runner runner(on_loops(1));
    bool has_run = false;
    const std::string error = runner.run([&]() -> Coro<std::string> {
        const auto inner = [&]() -> Coro<> {
            has_run = true;
            co_return;
        };
        co_return call_message([&] { runner.run(inner()); });
    });
    EXPECT_EQ(error, "!RuntimeError(Runner.run() cannot be called from a running event loop)");
    EXPECT_FALSE(has_run);
    EXPECT_EQ(run_one([]() -> Coro<std::string> {
        Runner another(on_loops(1));
        co_return call_message([&] { another.run(tick()); });
    }), "!RuntimeError(Runner.run() cannot be called from a running event loop)");
}

// RUN-15
TEST(Runner, TasksAreFrozenBetweenRunsAndCancelledByClose) {
    Trace log;
    Task<> task;
    std::optional<Future<>> go;
    {
        Runner runner(on_loops(1));
        runner.run([&]() -> Coro<> {
            go.emplace();
            task = create_task([&]() -> Coro<> {
                log("bg starts");
                co_await *go;
                log("bg resumed");
                try {
                    co_await sleep(kForever);
                } catch (const CancelledError&) {
                    log("bg cancelled");
                    throw;
                }
            });
            co_await tick(2);
        });
        log("between");
        runner.run([&]() -> Coro<> {
            go->set_result();
            co_await tick(3);
            log("b ends", task.done());
        });
    }
    EXPECT_TRUE(log.shows({"bg starts", "between", "bg resumed", "b ends", "false", "bg cancelled"}));
    EXPECT_TRUE(task.cancelled());
}

TEST(Runner, ClosedItRefusesEverythingAndClosesAgainWithoutEffect) {
    Runner runner(on_loops(1));
    Loop& loop = runner.get_loop();
    EXPECT_FALSE(loop.is_closed());
    runner.close();
    runner.close();
    EXPECT_TRUE(loop.is_closed());
    EXPECT_EQ(call_message([&] { runner.run(tick()); }), "!RuntimeError(Runner is closed)");
    EXPECT_EQ(call_message([&] { runner.get_loop(); }), "!RuntimeError(Runner is closed)");
}

// runners.Runner.close: a state that has never been entered is not left.
TEST(Runner, CloseBeforeTheFirstRunDoesNothing) {
    Runner runner(on_loops(1));
    runner.close();
    EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 1; }), 1);
}

TEST(Runner, AnEmptyCoroutineIsAValueErrorBeforeAnythingElse) {
    Runner runner(on_loops(1));
    runner.get_loop();
    runner.close();
    EXPECT_TRUE(call_message([&] { runner.run(Coro<>()); }).starts_with("!ValueError(a coroutine was expected"));
}

TEST(Runner, WhatIsScheduledBetweenTheRunsIsDoneByTheNext) {
    Trace log;
    Runner runner(on_loops(1));
    runner.get_loop().call_soon([&] { log("called"); });
    Task<int> task = runner.get_loop().create_task([]() -> Coro<int> { co_return 5; });
    EXPECT_FALSE(task.done());
    EXPECT_EQ(runner.run([&]() -> Coro<int> { co_return co_await task; }), 5);
    EXPECT_TRUE(log.shows({"called"}));
}

// test_runners.RunnerTests.test_debug
TEST(Runner, PassesItsOptionsOn) {
    RunOptions options = on_loops(1);
    options.debug = true;
    Runner runner(options);
    EXPECT_TRUE(runner.get_loop().get_debug());
}

TEST(Runner, AMainThatEndsCancelledThrowsCancelledErrorAndTheRunnerGoesOn) {
    Runner runner(on_loops(1));
    EXPECT_EQ(call_message([&] {
        runner.run([]() -> Coro<> {
            current_task()->cancel("bye");
            co_await sleep(0s);
        });
    }), "!CancelledError(bye)");
    EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 6; }), 6);
}

struct DefaultSigint {
    DefaultSigint() : before(std::signal(SIGINT, SIG_DFL)) {}
    ~DefaultSigint() { std::signal(SIGINT, before); }
    void (*before)(int);
};

// test_runners.RunnerTests.test_interrupt_call_soon, test_signal_install_not_supported_ok
TEST(Runner, ASigintThatEndsMainIsAKeyboardInterruptEachTime) {
    const DefaultSigint guard;
    Runner runner(on_loops(1));
    const auto interrupted = []() -> Coro<> {
        get_running_loop().call_later(5ms, [] { std::raise(SIGINT); });
        co_await sleep(kForever);
    };
    EXPECT_EQ(call([&] { runner.run(interrupted()); }), "!KeyboardInterrupt");
    EXPECT_EQ(call([&] { runner.run(interrupted()); }), "!KeyboardInterrupt");
    EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 7; }), 7);
    EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_DFL);
}

TEST(Runner, StoppedEarlyItSaysSoAndMainRunsOnInTheNextRun) {
    Trace log;
    Runner runner(on_loops(1));
    EXPECT_EQ(call_message([&] {
        runner.run([](Trace& trace) -> Coro<> {
            get_running_loop().stop();
            co_await sleep(0s);
            trace("on");
        }(log));
    }), "!RuntimeError(Event loop stopped before Future completed.)");
    EXPECT_EQ(log.size(), 0U);
    runner.run(tick(2));
    EXPECT_TRUE(log.shows({"on"}));
}

TEST(Runner, RunsOnTheThreadThatItsLoopsWereMadeOn) {
    Runner runner(on_loops(1));
    std::thread thread([&] {
        EXPECT_EQ(runner.run([]() -> Coro<int> { co_return 1; }), 1);
        runner.close();
    });
    thread.join();
}

TEST(Runner, ClosedInsideAnotherLoopItLeavesThatRunning) {
    run_one([]() -> Coro<> {
        Loop* const outer = &get_running_loop();
        {
            Runner runner(on_loops(1));
            runner.get_loop().create_task(tick(3));
            runner.close();
        }
        EXPECT_EQ(&get_running_loop(), outer);
        co_await tick(2);
    });
}

}  // namespace
}  // namespace knit::test
