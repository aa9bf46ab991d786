// run() and Runtime: the beginning and the end.

#include "co_test.hpp"

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<int> number(int value) { co_return value; }
Coro<> say(Trace& log, std::string what) {
    log(what);
    co_return;
}

/// Sleeps until it is cancelled, then cleans up, for a while.
Coro<> leftover(Trace& log, std::string name, Duration cleanup = 0s) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name + " hit");
    }
    if (cleanup > 0s) {
        co_await sleep(cleanup);
    }
    log(name + " clean");
    throw CancelledError();
}
Coro<> failing_leftover(Trace& log) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("left cancelled");
    }
    throw Err2();
}

TEST(Run, GivesTheValueOfMain) {
    Trace log;
    const int value = run_one([&]() -> Coro<int> {
        log("start");
        co_await sleep(0s);
        log("end");
        co_return 42;
    });
    EXPECT_EQ(value, 42);
    EXPECT_TRUE(log.shows({"start", "end"}));
    EXPECT_EQ(*run_one([]() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(1); }), 1);
}

TEST(Run, RethrowsTheExceptionOfMainUnchanged) {
    const auto error = std::make_exception_ptr(Err("spam"));
    std::exception_ptr seen;
    try {
        run_one([&]() -> Coro<> {
            co_await sleep(0s);
            std::rethrow_exception(error);
        });
    } catch (const Err&) {
        seen = std::current_exception();
    }
    EXPECT_EQ(seen, error);
}

TEST(Run, InsideARunningLoopIsRefusedAndHarmless) {
    bool has_run = false;
    const std::string result = run_one([&]() -> Coro<std::string> {
        const auto inner = [&]() -> Coro<> {
            has_run = true;
            co_return;
        };
        const std::string error = call_message([&] { run(inner()); });
        EXPECT_TRUE(error.starts_with("!RuntimeError(run() cannot be called from a running event loop")) << error;
        co_await sleep(0s);
        co_return "outer ok";
    });
    EXPECT_EQ(result, "outer ok");
    EXPECT_FALSE(has_run);
}

TEST(Run, TwiceInARowHasLoopsOfItsOwnEachTime) {
    std::vector<Loop*> loops;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(run_one([&]() -> Coro<int> {
            loops.push_back(&get_running_loop());
            co_return i;
        }), i);
    }
    for (const Loop* loop : loops) {
        EXPECT_TRUE(loop->is_closed());
    }
    EXPECT_NE(loops[0], loops[1]);
    EXPECT_NE(loops[1], loops[2]);
}

TEST(Run, CancelsWhatIsLeftAndWaitsForItsCleanup) {
    Trace log;
    Task<> task;
    run_one([&]() -> Coro<> {
        task = create_task(leftover(log, "left", 5ms));
        co_await sleep(0s);
        log("main done");
    });
    log("returned", task.cancelled());
    EXPECT_TRUE(log.shows({"main done", "left hit", "left clean", "returned", "true"}));
}

TEST(Run, CancelsAllLeftoversBeforeItWaitsForAny) {
    Trace log;
    run_one([&]() -> Coro<> {
        create_task(leftover(log, "a", 20ms));
        create_task(leftover(log, "b", 5ms));
        co_await sleep(0s);
    });
    std::vector<std::string> lines = log.lines();
    std::sort(lines.begin(), lines.begin() + 2);
    EXPECT_EQ(lines, (std::vector<std::string>{"a hit", "b hit", "b clean", "a clean"}));
}

TEST(Run, ReportsAFailureOfALeftover) {
    Trace log;
    const int value = run_one([&]() -> Coro<int> {
        on_error(log);
        create_task(failing_leftover(log));
        co_await sleep(0s);
        co_return 123;
    });
    EXPECT_EQ(value, 123);
    EXPECT_TRUE(log.shows({"left cancelled", "handler:unhandled exception during run() shutdown"}));
}

TEST(Run, TheExceptionOfMainWinsOverThoseOfLeftovers) {
    Trace log;
    const std::string result = call_message([&] {
        run_one([&]() -> Coro<> {
            on_error(log);
            create_task(failing_leftover(log));
            co_await sleep(0s);
            throw Err("main");
        });
    });
    EXPECT_EQ(result, "!Err(main)");
    EXPECT_TRUE(log.shows({"left cancelled", "handler:unhandled exception during run() shutdown"}));
}

TEST(Run, ATaskThatMainMadeLastTakesItsFirstStep) {
    Trace log;
    run_one([&]() -> Coro<> {
        create_task(leftover(log, "left"));
        create_task(say(log, "first step"));
        co_return;
    });
    EXPECT_TRUE(log.shows({"first step", "left hit", "left clean"}));  // as in CPython
}

TEST(Run, ATaskThatCleanupMakesRunsAndIsAskedToEndInItsTurn) {
    Trace log;
    Task<> late;
    run_one([&]() -> Coro<> {
        create_task([&]() -> Coro<> {
            try {
                co_await sleep(kForever);
            } catch (const CancelledError&) {
                late = create_task(leftover(log, "late", 1ms));
                throw;
            }
        });
        co_await sleep(0s);
    });
    EXPECT_TRUE(late.cancelled());
    EXPECT_TRUE(log.shows({"late hit", "late clean"}));
}

TEST(Run, CancelsLeftoversOnEveryLoop) {
    for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
        testing::set_seed(seed);
        Trace log;
        run([&]() -> Coro<> {
            for (std::size_t index = 0; index < get_runtime().size(); ++index) {
                create_task(leftover(log, "left", 1ms), {.loop = &get_runtime().loop(index)});
            }
            for (int i = 0; i < 8; ++i) {
                spawn(leftover(log, "left"));
            }
            co_await sleep(1ms);
        }, on_loops(4));
        EXPECT_EQ(log.count("left hit"), 12U);
        EXPECT_EQ(log.count("left clean"), 12U);
    }
    testing::set_seed(1);
}

TEST(Run, AMainThatEndsCancelledThrowsCancelledError) {
    const std::string result = call_message([] {
        run_one([]() -> Coro<> {
            current_task()->cancel("bye");
            co_await sleep(0s);
            ADD_FAILURE() << "went on";
        });
    });
    EXPECT_EQ(result, "!CancelledError(bye)");
}

TEST(Run, WaitsForJobsOfThePool) {
    Trace log;
    std::atomic<bool> may_end{false};
    run_one([&]() -> Coro<> {
        create_task(to_thread([&] {
            while (!may_end) {
                std::this_thread::yield();
            }
            log("job done");
        }));
        co_await tick(2);
        log("main done");
        may_end = true;
    });
    log("returned");
    EXPECT_TRUE(log.shows({"main done", "job done", "returned"}));
}

TEST(Run, ABaseExceptionOfATaskComesOutOfIt) {
    for (const unsigned loops : {1U, 3U}) {
        Task<> task;
        const std::string result = call([&] {
            run([&]() -> Coro<> {
                const auto body = []() -> Coro<> {
                    co_await sleep(0s);
                    throw BaseErr();
                };
                task = create_task(body(), {.loop = &get_runtime().loop(loops - 1)});
                co_await sleep(kForever);
            }, on_loops(loops));
        });
        EXPECT_EQ(result, "!BaseErr");
        EXPECT_EQ(error_text(task.exception()), "!BaseErr");
    }
}

TEST(Run, ABaseExceptionOfMainOrOfACallbackComesOutOfIt) {
    const LogCapture capture;
    EXPECT_EQ(call([] {
        run_one([]() -> Coro<> {
            throw BaseErr();
            co_return;
        });
    }), "!BaseErr");
    EXPECT_EQ(call([] {
        run_one([]() -> Coro<> {
            get_running_loop().call_soon([] { throw BaseErr(); });
            co_await sleep(kForever);
        });
    }), "!BaseErr");
    EXPECT_TRUE(capture.records().empty());  // told once, by run()
}

TEST(Run, AForeignExceptionTypeIsOnlyStored) {
    EXPECT_EQ(run_one([]() -> Coro<std::string> {
        const Task<> task = create_task([]() -> Coro<> {
            throw 42;
            co_return;
        });
        co_return co_await got(task);
    }), "!unknown");
}

/// SIGINT as the process had it at its start, whatever started the tests.
struct DefaultSigint {
    DefaultSigint() : before(std::signal(SIGINT, SIG_DFL)) {}
    ~DefaultSigint() { std::signal(SIGINT, before); }
    void (*before)(int);
};

TEST(Run, ASigintCancelsMainWhichMaySwallowIt) {
    const DefaultSigint guard;
    Trace log;
    const int value = run_one([&]() -> Coro<int> {
        get_running_loop().call_later(5ms, [] { std::raise(SIGINT); });
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("swallowed");
        }
        co_return 5;
    });
    EXPECT_EQ(value, 5);
    EXPECT_TRUE(log.shows({"swallowed"}));
}

TEST(Run, ASigintThatEndsMainIsAKeyboardInterrupt) {
    const DefaultSigint guard;
    EXPECT_EQ(call([] {
        run_one([]() -> Coro<> {
            get_running_loop().call_later(5ms, [] { std::raise(SIGINT); });
            co_await sleep(kForever);
        });
    }), "!KeyboardInterrupt");
    EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_DFL);
}

TEST(Run, ASigintAfterAnotherCancelIsACancelledError) {
    const DefaultSigint guard;
    EXPECT_EQ(call([] {
        run_one([]() -> Coro<> {
            TaskRef main = *current_task();
            create_task([main]() mutable -> Coro<> {
                co_await sleep(0s);
                main.cancel();
                std::raise(SIGINT);
            });
            co_await sleep(kForever);
        });
    }), "!CancelledError");
}

TEST(Run, WorksInSeveralThreadsAtOnce) {
    std::vector<std::thread> threads;
    std::vector<int> results(3);
    for (std::size_t count = 1; count <= 3; ++count) {
        threads.emplace_back([count, &results] {
            results[count - 1] = run_one([count]() -> Coro<int> {
                std::vector<Task<>> tasks;
                for (std::size_t i = 0; i < count; ++i) {
                    tasks.push_back(create_task(tick(5)));
                }
                const bool is_own = all_tasks().size() == count + 1;
                co_await gather(tasks);
                co_return is_own ? 1 : 0;
            });
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(results, (std::vector<int>{1, 1, 1}));
}

TEST(Runtime, RunsUntilACoroutineOrAFutureIsComplete) {
    Runtime runtime(on_loops(1));
    Future<std::string> future = runtime.loop(0).create_future<std::string>();
    runtime.loop(0).call_later(2ms, [future]() mutable { future.set_result("future value"); });
    EXPECT_EQ(runtime.run_until_complete(number(1)), 1);
    EXPECT_EQ(runtime.run_until_complete(future), "future value");
    EXPECT_EQ(runtime.run_until_complete(runtime.loop(0).create_task(number(3))), 3);
    EXPECT_EQ(call_message([&] {
        runtime.run_until_complete([]() -> Coro<> {
            throw Err("x");
            co_return;
        }());
    }), "!Err(x)");
}

TEST(Runtime, TasksStayFrozenBetweenRunsAndAreCancelledByClose) {
    Trace log;
    Runtime runtime(on_loops(1));
    Future<> go = runtime.loop(0).create_future();
    Task<> background = runtime.loop(0).create_task([](Trace& trace, Future<> signal) -> Coro<> {
        trace("starts");
        co_await signal;
        trace("resumed");
        co_await leftover(trace, "background");
    }(log, go));
    runtime.run_until_complete(tick(2));
    log("between");
    go.set_result();
    runtime.run_until_complete(tick(3));
    log(background.done());
    runtime.close();
    EXPECT_TRUE(log.shows({"starts", "between", "resumed", "false", "background hit", "background clean"}));
    EXPECT_TRUE(background.cancelled());
}

TEST(Runtime, RunsAgainAfterABaseExceptionCameOutOfIt) {
    Runtime runtime(on_loops(1));
    runtime.loop(0).call_soon([] { throw BaseErr(); });
    const auto pause = [](Duration delay) -> Coro<std::string> {
        co_return co_await sleep(delay, std::string("second run"));
    };
    EXPECT_EQ(call([&] { runtime.run_until_complete(pause(5ms)); }), "!BaseErr");
    EXPECT_EQ(runtime.run_until_complete(pause(10ms)), "second run");
}

}  // namespace
}  // namespace knit::test
