// What crosses threads in executors, cycles of awaits, snapshots of tasks, and the end of a runtime that threads wait
// for. KNIT_STRESS_MS: how long each.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using knit::Coro;
using knit::Future;
using knit::Result;
using knit::Runtime;
using knit::Task;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

knit::RunOptions on_loops(unsigned loops) {
    knit::RunOptions options;
    options.loops = loops;
    return options;
}

bool is_refusal(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const knit::RuntimeError& e) {
        return std::string_view(e.what()).starts_with("Task cannot await on itself");
    } catch (...) {
        return false;
    }
}

struct Ring {
    explicit Ring(std::size_t size) : tasks(size) {}
    std::vector<Task<>> tasks;
};

Coro<> await_next(Ring& ring, std::size_t index, Future<> go) {
    co_await go;
    if (index + 1 < ring.tasks.size()) {
        co_await ring.tasks[index + 1];
    } else {
        co_await ring.tasks[0];
    }
}

/// A ring of tasks ends, all by the refusal; with `spawned` ones wherever they come to be.
Coro<> refuse_ring(std::size_t size, bool spawned) {
    Runtime& runtime = knit::get_runtime();
    Ring ring(size);
    Future<> go;
    for (std::size_t i = 0; i < size; ++i) {
        knit::Loop& loop = runtime.loop(i % runtime.size());
        ring.tasks[i] = spawned ? knit::spawn(await_next(ring, i, go))
                                : knit::create_task(await_next(ring, i, go), {.loop = &loop});
    }
    go.set_result();
    for (const Task<>& task : ring.tasks) {
        const Result<> result = co_await knit::as_result(task);
        EXPECT_TRUE(!result.has_value() && is_refusal(result.error()));
    }
}

TEST(ExecStress, RingsOfAwaitsOverTheLoopsAreRefused) {
    const Clock::time_point end = Clock::now() + test_time();
    knit::run([&]() -> Coro<> {
        std::size_t round = 0;
        while (Clock::now() < end) {
            ++round;
            co_await refuse_ring(2 + round % 5, round % 2 == 0);
        }
    }, on_loops(4));
}

Coro<> await_some(std::vector<Task<>> earlier, unsigned seed) {
    for (std::size_t i = 0; i < earlier.size(); ++i) {
        if ((seed >> (i % 16)) % 2 == 0) {
            co_await earlier[earlier.size() - 1 - i];
        }
    }
}

TEST(ExecStress, AwaitsWithoutACycleAreNeverRefused) {
    const Clock::time_point end = Clock::now() + test_time();
    knit::run([&]() -> Coro<> {
        unsigned seed = 1;
        while (Clock::now() < end) {
            std::vector<Task<>> tasks;
            for (int i = 0; i < 24; ++i) {
                seed = seed * 1664525U + 1013904223U;
                std::vector<Task<>> earlier(tasks.end() - std::min<std::ptrdiff_t>(std::ssize(tasks), 5), tasks.end());
                tasks.push_back(knit::spawn(await_some(std::move(earlier), seed >> 8U)));
            }
            co_await knit::gather(tasks);
        }
    }, on_loops(4));
}

TEST(ExecStress, ThreadsSeeTheTasksOfLoopsThatRunStopAndClose) {
    const Clock::time_point end = Clock::now() + test_time();
    while (Clock::now() < end) {
        Runtime runtime(on_loops(2));
        std::atomic<bool> has_ended{false};
        std::thread thread([&] {
            while (!has_ended) {
                for (const knit::TaskRef& task : runtime.all_tasks()) {
                    EXPECT_FALSE(task.name().empty());
                }
            }
        });
        for (int run = 0; run < 3; ++run) {
            runtime.run_until_complete([]() -> Coro<> {
                std::vector<Task<>> tasks;
                for (int i = 0; i < 50; ++i) {
                    tasks.push_back(knit::spawn(knit::sleep(10us)));
                }
                co_await knit::gather(tasks);
            });
        }
        runtime.close();
        has_ended = true;
        thread.join();
    }
}

/// Each answers the other while it waits for it: neither comes back to its loop before.
TEST(ExecStress, TwoLoopsThatAskForAllTasksAtTheSameTimeBothGetThem) {
    knit::run([]() -> Coro<> {
        std::atomic<int> met{0};
        const auto meet_and_ask = [&met]() -> Coro<std::size_t> {
            ++met;
            while (met != 2) {
                std::this_thread::yield();
            }
            co_return knit::get_runtime().all_tasks().size();
        };
        Task<std::size_t> there = knit::get_runtime().loop(1).create_task(meet_and_ask());
        Task<std::size_t> here = knit::create_task(meet_and_ask());
        const auto [two, one] = co_await knit::gather(there, here);
        EXPECT_GE(one, 2U);
        EXPECT_GE(two, 2U);
    }, on_loops(2));
}

Coro<> never_end() {
    for (;;) {
        static_cast<void>(co_await knit::as_result(knit::sleep(1h)));
    }
}

TEST(ExecStress, ThreadsThatWaitForAbandonedTasksAreTold) {
    knit::set_log_sink([](const knit::LogRecord&) {});
    const Clock::time_point end = Clock::now() + test_time();
    while (Clock::now() < end) {
        knit::RunOptions options = on_loops(2);
        options.grace = 1us;
        std::vector<std::thread> threads;
        std::atomic<int> told{0};
        knit::run([&]() -> Coro<> {
            for (unsigned i = 0; i < 4; ++i) {
                Task<> task = knit::create_task(never_end(), {.loop = &knit::get_runtime().loop(i % 2)});
                threads.emplace_back([task, &told]() mutable {
                    try {
                        task.wait();
                    } catch (const knit::RuntimeError&) {
                        ++told;
                    } catch (const knit::CancelledError&) {
                        ++told;  // before its first step it takes no notice of what it is
                    }
                });
            }
            co_await knit::yield();
        }, options);
        for (std::thread& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(told, 4);
    }
    knit::set_log_sink({});
}

TEST(ExecStress, CancelsMeetTheEndOfJobsAndOfGathers) {
    const Clock::time_point end = Clock::now() + test_time();
    knit::ThreadPoolExecutor executor(2);
    knit::run([&]() -> Coro<> {
        knit::Loop& other = knit::get_runtime().loop(1);
        int round = 0;
        while (Clock::now() < end) {
            Future<int> job = knit::get_running_loop().run_in_executor(&executor, [] { return 1; });
            auto all = knit::gather(job);
            const Future<std::tuple<int>> future = all.future();
            Task<bool> awaiter = knit::create_task([future]() -> Coro<bool> {
                const auto first = co_await knit::as_result(future);
                if (!first.has_value()) {
                    co_return true;
                }
                const Result<> second = co_await knit::as_result(knit::sleep(20s));
                co_return !second.has_value();
            }, {.loop = &other});
            for (int i = 0; i < ++round % 7; ++i) {
                co_await knit::yield();
            }
            awaiter.cancel();
            EXPECT_TRUE(co_await awaiter) << "the cancellation was lost";
        }
        co_await knit::get_running_loop().shutdown_default_executor();
    }, on_loops(2));
}

}  // namespace
