// Where tasks run: create_task, spawn, submit, resume_on, reschedule; budgets and the depth of the stack.

#include "co_test.hpp"
#include "small_stack.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<unsigned> where() { co_return get_running_loop().id(); }
Coro<int> ready(int value) { co_return value; }
Coro<long> fib(int n) {
    if (n < 2) {
        co_return n;
    }
    const auto [a, b] = co_await gather(spawn(fib(n - 1)), spawn(fib(n - 2)));
    co_return a + b;
}

CO_TEST_ON_LOOPS(Scheduling, CreateTaskStaysOnTheCreatorsLoop) {
    for (std::size_t index = 0; index < get_runtime().size(); ++index) {
        const auto body = []() -> Coro<bool> {
            Loop& here = get_running_loop();
            const Task<unsigned> child = create_task(where());
            EXPECT_EQ(&child.get_loop(), &here);
            const unsigned id = co_await child;
            co_return id == here.id() && &get_running_loop() == &here;
        };
        const Task<bool> task = create_task(body(), {.loop = &get_runtime().loop(index)});
        EXPECT_TRUE(co_await task);
        EXPECT_EQ(task.get_loop().id(), index);
    }
}

CO_TEST_ON_LOOPS(Scheduling, SpawnWithALoopIsTakenByThatLoopAlone) {
    std::vector<Task<unsigned>> tasks;
    Loop& last = get_runtime().loop(get_runtime().size() - 1);
    for (int i = 0; i < 20; ++i) {
        tasks.push_back(spawn(where(), {.loop = &last}));
    }
    for (const unsigned id : co_await gather(tasks)) {
        EXPECT_EQ(id, last.id());
    }
}

CO_TEST_ON_LOOPS(Scheduling, ASpawnedTaskKeepsTheLoopThatStartedIt) {
    const auto body = []() -> Coro<bool> {
        Loop& home = get_running_loop();
        bool is_home = true;
        for (int i = 0; i < 5; ++i) {
            co_await sleep(i % 2 == 0 ? 1ms : 0ms);
            is_home = is_home && &get_running_loop() == &home && co_await create_task(where()) == home.id();
        }
        co_return is_home;
    };
    std::vector<Task<bool>> tasks;
    for (int i = 0; i < 20; ++i) {
        tasks.push_back(spawn(body()));
    }
    for (const bool is_home : co_await gather(tasks)) {
        EXPECT_TRUE(is_home);
    }
}

TEST(Scheduling, SpawnedTasksSpreadOverTheLoops) {
    const std::set<unsigned> loops = run([]() -> Coro<std::set<unsigned>> {
        std::vector<Task<unsigned>> tasks;
        for (int i = 0; i < 200; ++i) {
            tasks.push_back(spawn([]() -> Coro<unsigned> {
                co_await yield();
                co_return get_running_loop().id();
            }));
        }
        const std::vector<unsigned> ids = co_await gather(tasks);
        co_return std::set<unsigned>(ids.begin(), ids.end());
    }, on_loops(4));
    EXPECT_EQ(loops, (std::set<unsigned>{0, 1, 2, 3}));
}

TEST(Scheduling, WithoutStealingSpawnedTasksStay) {
    RunOptions options = on_loops(4);
    options.steal = false;
    run([]() -> Coro<> {
        std::vector<Task<unsigned>> tasks;
        for (int i = 0; i < 50; ++i) {
            tasks.push_back(spawn(where()));
        }
        for (const unsigned id : co_await gather(tasks)) {
            EXPECT_EQ(id, 0U);
        }
    }, options);
}

CO_TEST_ON_LOOPS(Scheduling, ForkJoinGivesTheRightNumber) { EXPECT_EQ(co_await fib(15), 610); }

CO_TEST_ON_LOOPS(Scheduling, AnOfferedTaskIsNotStarvedByYieldingOnes) {
    bool has_run = false;
    const Task<> offered = spawn([&]() -> Coro<> {
        has_run = true;
        co_return;
    });
    for (int i = 0; i < 100'000 && !has_run; ++i) {
        co_await yield();
    }
    EXPECT_TRUE(has_run);
    co_await offered;
}

CO_TEST_ON_LOOPS(ResumeOn, MovesTheTaskAndItsChildrenToThatLoop) {
    Runtime& runtime = get_runtime();
    const TaskRef self = *current_task();
    for (std::size_t round = 0; round < 3; ++round) {
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            co_await resume_on(runtime.loop(index));
            EXPECT_EQ(&get_running_loop(), &runtime.loop(index));
            EXPECT_TRUE(*current_task() == self);
            EXPECT_EQ(&self.get_loop(), &runtime.loop(index));
            EXPECT_EQ(co_await create_task(where()), index);
            const std::vector<TaskRef> here = all_tasks();
            EXPECT_EQ(std::ranges::count(here, self), 1);
        }
    }
}

CO_TEST(ResumeOn, TheLoopItIsOnDoesNotSuspend) {
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await resume_on(get_running_loop());
    log("at once");
    co_await yield();
    EXPECT_TRUE(log.shows({"at once", "loop ran"}));
}

CO_TEST_ON_LOOPS(ResumeOn, CancelledOnTheWayItIsDeliveredWhereItArrives) {
    Runtime& runtime = get_runtime();
    Loop& last = runtime.loop(runtime.size() - 1);
    Loop* where = nullptr;
    Task<> task = create_task([&]() -> Coro<> {
        co_await resume_on(last);
        where = &get_running_loop();
        co_await sleep(kForever);
    });
    co_await yield();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(where == nullptr || where == &last);
}

CO_TEST_ON_LOOPS(Reschedule, GoesOnOnSomeLoopAndGivesAHomeThere) {
    for (int i = 0; i < 20; ++i) {
        co_await reschedule();
        Loop& home = get_running_loop();
        EXPECT_EQ(&current_task()->get_loop(), &home);
        EXPECT_EQ(co_await create_task(where()), home.id());
        EXPECT_EQ(&get_running_loop(), &home);
    }
}

CO_TEST(Reschedule, OnOneLoopIsAYield) {
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await reschedule();
    log("again");
    EXPECT_TRUE(log.shows({"loop ran", "again"}));
}

CO_TEST_ON_LOOPS(Reschedule, CancelledOnTheWayItIsDeliveredWhereItArrives) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        co_await reschedule();
        co_await sleep(1ms);
        log("never");
    });
    co_await yield();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({}));
}

CO_TEST_ON_LOOPS(PlainThread, CanCancelATask) {
    Future<> never;  // no sleep: virtual time would not wait for the thread
    Task<> task = create_task([&]() -> Coro<> { co_await never; });
    co_await tick();
    std::thread thread([task]() mutable { task.cancel("thread"); });
    EXPECT_EQ(co_await got_message(task), "!CancelledError(thread)");
    thread.join();
}

TEST(Submit, FromPlainThreadsRunsAndCanBeWaitedFor) {
    for (const unsigned loops : {1U, 3U}) {
        Runtime runtime(on_loops(loops));
        std::vector<int> results(4);
        std::vector<std::thread> threads;
        Future<> go = runtime.loop(0).create_future();
        for (std::size_t i = 0; i < results.size(); ++i) {
            threads.emplace_back([&, i] {
                Task<int> task = runtime.submit(ready(static_cast<int>(i)));
                results[i] = task.wait() + 1;
                Task<int> thrower = runtime.submit([]() -> Coro<int> {
                    throw Err("submitted");
                    co_return 0;
                });
                EXPECT_EQ(call_message([&] { thrower.wait(); }), "!Err(submitted)");
                EXPECT_TRUE(thrower.wait_for(1h));
            });
        }
        std::thread finisher([&] {
            for (std::thread& thread : threads) {
                thread.join();
            }
            go.set_result();
        });
        runtime.run_until_complete(go);
        finisher.join();
        EXPECT_EQ(results, (std::vector<int>{1, 2, 3, 4}));
    }
}

TEST(Submit, WithOneLoopItWaitsForTheNextRun) {
    Runtime runtime(on_loops(1));
    Task<int> task = runtime.submit(ready(3));
    EXPECT_FALSE(task.done());
    EXPECT_FALSE(task.wait_for(1ms));
    EXPECT_EQ(runtime.run_until_complete(task), 3);
}

TEST(RunCoroutineThreadsafe, MakesATaskOnThatLoop) {
    Runtime runtime(on_loops(3));
    Future<> go = runtime.loop(0).create_future();
    unsigned id = 0;
    std::thread thread([&] {
        id = run_coroutine_threadsafe(where(), runtime.loop(2)).wait();
        go.set_result();
    });
    runtime.run_until_complete(go);
    thread.join();
    EXPECT_EQ(id, 2U);
}

TEST(Budget, ABusyLoopStillPollsItsDriver) {
    RunOptions options = on_loops(1);
    options.budget = 10;
    run([]() -> Coro<> {
        const std::uint64_t before = testing::poll_count();
        for (int i = 0; i < 1000; ++i) {
            get_running_loop().call_soon([] {});
        }
        co_await yield();  // one turn with a thousand callbacks in it
        const std::uint64_t after_callbacks = testing::poll_count();
        EXPECT_GE(after_callbacks - before, 90U);
        std::vector<Task<int>> tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.push_back(spawn(ready(i)));
        }
        co_await gather(std::move(tasks));
        EXPECT_GE(testing::poll_count() - after_callbacks, 90U);
    }, options);
}

Coro<long> descend(long depth) {
    if (depth == 0) {
        co_await yield();
        co_return 0;
    }
    co_return 1 + co_await descend(depth - 1);
}
Coro<> descend_and_fail(int depth) {
    if (depth == 0) {
        throw Err("bottom");
    }
    co_await descend_and_fail(depth - 1);
}

TEST(StackDepth, StaysFlatThroughAMillionAwaitsOfReadyCoroutines) {
    on_small_stack([] {
        EXPECT_EQ(run_one([]() -> Coro<long> {
            long sum = 0;
            for (int i = 0; i < 1'000'000; ++i) {
                sum += co_await ready(1);
            }
            co_return sum;
        }), 1'000'000);
    });
}

CO_TEST(Scheduling, AFloodOfMessagesLeavesTurnsToTheLoopsOwnTasks) {
    constexpr int kMessages = 20'000;
    int ran = 0;
    bool is_in_order = true;
    Loop& loop = get_running_loop();
    std::thread([&] {
        for (int number = 0; number < kMessages; ++number) {
            loop.call_soon_threadsafe([&, number] { is_in_order = is_in_order && ran++ == number; });
        }
    }).join();
    int turns = 0;
    while (ran < kMessages) {
        co_await yield();
        ++turns;
    }
    EXPECT_GE(turns, 10);
    EXPECT_TRUE(is_in_order);
}

TEST(Scheduling, WhatAThreadHasSentBeforeTheLastTurnRunsHoweverMuchItIs) {
    constexpr int kMessages = 5'000;
    int ran = 0;
    run_one([&]() -> Coro<> {
        Loop& loop = get_running_loop();
        std::thread([&] {
            for (int number = 0; number < kMessages; ++number) {
                loop.call_soon_threadsafe([&ran] { ++ran; });
            }
        }).join();
        co_await yield();
        co_await yield();
    });
    EXPECT_EQ(ran, kMessages);
}

TEST(StackDepth, AHundredThousandNestedAwaitsFitOnASmallStack) {
    on_small_stack([] { EXPECT_EQ(run_one([]() -> Coro<long> { co_return co_await descend(100'000); }), 100'000); });
}

TEST(StackDepth, AnExceptionComesUpThroughManyFrames) {
    on_small_stack([] {
        EXPECT_EQ(run_one([]() -> Coro<std::string> { co_return co_await got(descend_and_fail(5'000)); }), "!Err");
    });
}

TEST(StackDepth, StaysFlatThroughManySettledFuturesAndChainedTasks) {
    on_small_stack([] {
        run_one([]() -> Coro<> {
            Future<int> settled;
            settled.set_result(1);
            long sum = 0;
            for (int i = 0; i < 200'000; ++i) {
                sum += co_await settled;
            }
            EXPECT_EQ(sum, 200'000);
            std::vector<Task<int>> tasks;
            for (int i = 0; i < 50'000; ++i) {
                tasks.push_back(spawn(ready(1)));
            }
            const std::vector<int> ones = co_await gather(std::move(tasks));
            EXPECT_EQ(ones.size(), 50'000U);
            EXPECT_EQ(co_await fib(16), 987);
        });
    });
}

}  // namespace
}  // namespace knit::test
