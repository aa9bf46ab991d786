// What the end of run() does to tasks in numbers, and to cleanup that makes tasks of its own.

#include "co_test.hpp"
#include "runtime_core.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <thread>
#include <utility>

namespace knit::test {
namespace {

Coro<> wait_for_ever() { co_await sleep(kForever); }
Coro<> wait_for_task(Task<> task) { co_await task; }
Coro<> wait_for_predecessor(Task<> task) {
    if (task) {
        co_await task;
    }
}

TEST(Shutdown, CleanupMayGatherTasksOfItsOwn) {
    for (const unsigned loops : {1U, 3U}) {
        Trace log;
        run([&]() -> Coro<> {
            create_task([&]() -> Coro<> {
                const Result<> ended = co_await as_result(sleep(kForever));
                EXPECT_FALSE(ended.has_value());
                const auto [a, b] = co_await gather(sleep(1ms, 1), spawn(sleep(1ms, 2)));
                log(a + b);
            });
            co_await sleep(0s);
        }, {.loops = loops});
        EXPECT_TRUE(log.shows({"3"}));
    }
}

/// Then no loop is ever without work, which is when it would say so.
TEST(Shutdown, ATaskThatCleanupMakesIsAskedToEndThoughItNeverWaits) {
    for (const unsigned loops : {1U, 2U}) {
        Task<> late;
        run([&]() -> Coro<> {
            create_task([&late]() -> Coro<> {
                const Result<> ended = co_await as_result(sleep(kForever));
                EXPECT_FALSE(ended.has_value());
                late = create_task([]() -> Coro<> {
                    for (;;) {
                        co_await yield();
                    }
                });
            });
            co_await sleep(0s);
        }, {.loops = loops});
        EXPECT_TRUE(late.cancelled());
    }
}

/// Gives work to its loop when it is destroyed.
class Late {
public:
    explicit Late(std::function<void()> last_act) : last_act_(std::move(last_act)) {}
    ~Late() { last_act_(); }
    Late(const Late&) = delete;
    Late& operator=(const Late&) = delete;

private:
    std::function<void()> last_act_;
};

/// Such a callback goes when its loop closes.
TEST(Shutdown, ATaskThatTheDestructorOfADroppedCallbackMakesEndsWithoutAStep) {
    for (const unsigned loops : {1U, 3U}) {
        bool has_begun = false;
        const auto body = [&has_begun]() -> Coro<> {
            has_begun = true;
            co_await sleep(kForever);
        };
        Task<> created;
        Task<> eager;
        Task<> spawned;
        run([&]() -> Coro<> {
            auto late = std::make_shared<Late>([&] {
                created = create_task(body());
                eager = create_task(body(), {.eager_start = true});
                spawned = spawn(body());
            });
            get_runtime().loop(loops - 1).call_soon_threadsafe([late = std::move(late)]() mutable {
                get_running_loop().call_later(kForever, [late = std::move(late)] {});
            });
            co_await sleep(1ms);
        }, on_loops(loops));
        EXPECT_FALSE(has_begun);
        EXPECT_TRUE(created.cancelled());
        EXPECT_TRUE(eager.cancelled());
        EXPECT_TRUE(spawned.cancelled());
    }
}

// On a small stack each of these overflowed as long as one task's step went down to the next by recursion.
constexpr int kChain = 20'000;

TEST(Shutdown, ALongChainOfTasksThatAwaitEachOtherEnds) {
    run([]() -> Coro<> {
        Task<> last = create_task(wait_for_ever());
        for (int i = 0; i < kChain; ++i) {
            last = create_task(wait_for_task(last));
        }
        co_await sleep(0s);
        co_await sleep(0s);
    }, {.loops = 1});
}

TEST(Shutdown, ALongChainOfTasksThatAwaitEachOtherIsCancelledByOneCancel) {
    run([]() -> Coro<> {
        Task<> first = create_task(wait_for_ever());
        Task<> last = first;
        for (int i = 0; i < kChain; ++i) {
            last = create_task(wait_for_task(last));
        }
        co_await sleep(0s);
        last.cancel();
        const Result<> ended = co_await as_result(last);
        EXPECT_FALSE(ended.has_value());
        EXPECT_TRUE(first.cancelled());
    }, {.loops = 1});
}

TEST(Shutdown, ASecondCancelOfAnAwaiterReachesWhatItAwaits) {
    run([]() -> Coro<> {
        Task<> stubborn = create_task([]() -> Coro<> {
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());  // another request ends this
        });
        Task<> awaiter = create_task(wait_for_task(stubborn));
        create_task([awaiter]() mutable -> Coro<> {
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
            co_await sleep(1ms);
            awaiter.cancel();
        });
        co_await sleep(0s);
        co_await sleep(0s);
    }, {.loops = 1});
}

TEST(Shutdown, ALongChainOfHandlesIsDroppedWithoutRecursion) {
    Task<> last;
    run([&]() -> Coro<> {
        for (int i = 0; i < kChain * 5; ++i) {
            last = create_task(wait_for_predecessor(last));
            co_await last;
        }
    }, {.loops = 1});
    last = Task<>();
    EXPECT_FALSE(last);
}

/// Swallows every cancellation.
Coro<> never_end() {
    for (;;) {
        EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
    }
}

RunOptions with_grace(unsigned loops) {
    RunOptions options = on_loops(loops);
    options.grace = 10ms;
    return options;
}

TEST(Shutdown, AThreadThatWaitsForAnAbandonedTaskIsTold) {
    for (const unsigned loops : {1U, 3U}) {
        const LogCapture capture;
        std::string error;
        std::thread thread;
        Task<> task;
        run([&]() -> Coro<> {
            task = create_task(never_end());
            thread = std::thread([&error, task]() mutable { error = call_message([&] { task.wait(); }); });
            while (task.ref()->waiter_count() == 0) {
                co_await yield();
            }
        }, with_grace(loops));
        thread.join();
        EXPECT_EQ(error, "!RuntimeError(Event loop is closed)");
        EXPECT_EQ(call_message([&] { task.wait(); }), "!RuntimeError(Event loop is closed)");
        EXPECT_EQ(call([&] { return task.wait_for(kForever); }), "false");
        EXPECT_TRUE(capture.has(LogLevel::error, "are abandoned"));
    }
}

TEST(Shutdown, AJobOfThePoolThatWaitsForAnAbandonedTaskIsTold) {
    const LogCapture capture;
    std::string error;
    run([&]() -> Coro<> {
        Task<> task = create_task(never_end());
        create_task(to_thread([&error, task]() mutable { error = call_message([&] { task.wait(); }); }));
        while (task.ref()->waiter_count() == 0) {
            co_await yield();
        }
    }, with_grace(1));
    EXPECT_EQ(error, "!RuntimeError(Event loop is closed)");
}

TEST(Shutdown, AThreadThatWaitsForATaskThatTheEndCancelsGetsItsOutcome) {
    std::string error;
    std::thread thread;
    run([&]() -> Coro<> {
        Task<> task = create_task(wait_for_ever());
        thread = std::thread([&error, task]() mutable { error = call_message([&] { task.wait(); }); });
        while (task.ref()->waiter_count() == 0) {
            co_await yield();
        }
    }, on_loops(2));
    thread.join();
    EXPECT_EQ(error, "!CancelledError()");
}

/// The end of one runtime is no end for who waits for another's task.
TEST(Shutdown, AThreadThatWaitsForATaskOfAnotherRuntimeWaitsOn) {
    Runtime runtime(on_loops(1));
    Future<int> result = runtime.loop(0).create_future<int>();
    Task<int> task = runtime.submit(result);
    std::string outcome;
    std::atomic<bool> has_returned{false};
    std::thread thread([&outcome, &has_returned, task]() mutable {
        outcome = call([&] { return task.wait(); });
        has_returned = true;
    });
    runtime.run_until_complete([task]() -> Coro<> {
        while (task.ref()->waiter_count() == 0) {
            co_await yield();
        }
    });
    for (int i = 0; i < 20 && !has_returned; ++i) {
        Runtime other(on_loops(1));
        other.close();
    }
    result.set_result(7);
    runtime.run_until_complete(task);
    thread.join();
    EXPECT_EQ(outcome, "7");
}

TEST(Shutdown, ATaskThatAThreadHasSubmittedAndNobodyBegunNeverRuns) {
    bool has_run = false;
    Runtime runtime(on_loops(1));
    Task<> task;
    std::thread thread([&] {
        task = runtime.submit([&has_run]() -> Coro<> {
            has_run = true;
            co_return;
        });
    });
    thread.join();
    runtime.close();
    EXPECT_FALSE(has_run);
    EXPECT_TRUE(task.cancelled());
}

/// Once the tasks have ended, nothing is left that could be abandoned: a job of the pool is waited for.
TEST(Shutdown, TheGracePeriodEndsWithTheTasks) {
    const LogCapture capture;
    std::atomic<bool> is_late{false};
    run([&]() -> Coro<> {
        Loop& loop = get_running_loop();
        create_task(to_thread([&is_late, &loop] {
            loop.call_soon_threadsafe([&is_late, &loop] { loop.call_later(1h, [&is_late] { is_late = true; }); });
            while (!is_late) {
                std::this_thread::yield();
            }
        }));
        while (get_runtime().metrics().blocking.begun == 0) {
            co_await yield();
        }
    }, with_grace(1));
    EXPECT_TRUE(is_late);
    EXPECT_TRUE(capture.records().empty());
}

Coro<> wait_for_nothing() {
    const Future<> never;  // no sleep: virtual time would pass while the pool ends
    co_await never;
}

TEST(Shutdown, ATaskThatAJobOfThePoolMakesAtTheVeryEndIsCancelledToo) {
    Task<> task;
    run([&]() -> Coro<> {
        Loop& loop = get_running_loop();
        auto job = to_thread([&task, &loop] {
            // The pool is waited for when all tasks have ended, this call's among them.
            std::atomic<bool> is_made{false};
            while (loop.runtime().metrics().tasks != 0) {
                std::this_thread::yield();
            }
            loop.call_soon_threadsafe([&task, &is_made] {
                task = create_task(wait_for_nothing());
                is_made = true;
            });
            while (!is_made) {
                std::this_thread::yield();
            }
        });
        create_task(std::move(job));
        while (get_runtime().metrics().blocking.begun == 0) {
            co_await yield();
        }
    }, on_loops(1));
    EXPECT_TRUE(task.cancelled());
}

/// Loop 0 has asked its tasks when one comes that loop 1 has not asked yet, and that another's cleanup waits for.
void expect_asked_on_arrival() {
    bool is_ending = false;
    Task<> traveller;
    run([&]() -> Coro<> {
        Loop& home = get_running_loop();
        bool is_there = false;
        traveller = create_task([&]() -> Coro<> {
            co_await resume_on(get_runtime().loop(1));
            is_there = true;
            while (!is_ending) {
                co_await yield();
            }
            co_await resume_on(home);
            co_await sleep(kForever);
        });
        create_task([&]() -> Coro<> {
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
            is_ending = true;
            EXPECT_FALSE((co_await as_result(shield(traveller))).has_value());
        });
        while (!is_there) {
            co_await yield();
        }
    }, on_loops(2));
    EXPECT_TRUE(traveller.cancelled());
}

TEST(Shutdown, ATaskThatArrivesOnALoopThatIsEndingIsAskedThere) {
    const std::uint64_t seed_before = testing::seed();
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        testing::set_seed(seed);
        expect_asked_on_arrival();
    }
    testing::set_seed(seed_before);
}

Coro<int> one() { co_return 1; }

/// The steps of submit(), with the runtime's end between the first and the second.
TEST(Submit, IsRefusedWhereTheRuntimeEndsMeanwhile) {
    Runtime runtime(on_loops(2));
    detail::Worker& keeper = runtime.core().keeper_for_submit();
    runtime.close();
    const auto handle = one().release();
    const auto here = std::source_location::current();
    detail::TaskCore& task = handle.promise().make_task(keeper, handle, detail::new_task_id(keeper), nullptr, here);
    const Task<int> result{detail::CoreRef(&task)};
    EXPECT_EQ(call_message([&] { runtime.core().submit(task); }), "!RuntimeError(Event loop is closed)");
}

}  // namespace
}  // namespace knit::test
