// Whole runtimes on the real driver, doing at random what tasks can do to each other: gather, cancel, move, settle from
// a thread. What must hold: every run() ends, by itself. KNIT_STRESS_MS: how long each test runs; KNIT_STRESS_SEED: a
// seed that was printed.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

std::uint64_t test_seed() {
    const char* const text = std::getenv("KNIT_STRESS_SEED");
    const std::uint64_t seed = text != nullptr ? std::stoull(text)
                                               : static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    std::cout << "seed " << seed << '\n';
    return seed;
}

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15U | 1U) {}
    unsigned below(unsigned limit) noexcept { return static_cast<unsigned>((next() >> 20) % limit); }
    std::uint64_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    std::uint64_t state_;
};

/// A thread that is no loop and settles the futures that it is given, one way or another.
class Settler {
public:
    explicit Settler(std::uint64_t seed) : thread_([this, seed] { work(seed); }) {}
    Settler(const Settler&) = delete;
    Settler& operator=(const Settler&) = delete;
    ~Settler() {
        {
            const std::lock_guard lock(mutex_);
            is_over_ = true;
        }
        thread_.join();
    }

    knit::Future<int> future() {
        knit::Future<int> made;
        const std::lock_guard lock(mutex_);
        futures_.push_back(made);
        return made;
    }

private:
    void work(std::uint64_t seed) {
        Random random(seed);
        for (bool is_over = false; !is_over;) {
            std::vector<knit::Future<int>> futures;
            {
                const std::lock_guard lock(mutex_);
                futures.swap(futures_);
                is_over = is_over_;
            }
            for (knit::Future<int>& future : futures) {
                settle(future, random);
            }
            if (random.below(3) == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(random.below(100)));
            }
        }
    }
    static void settle(knit::Future<int>& future, Random& random) {
        try {
            switch (random.below(4)) {
                case 0: future.cancel(); break;
                case 1: future.set_exception(std::runtime_error("settled")); break;
                default: future.set_result(1);
            }
        } catch (const knit::InvalidStateError&) {
            // Whoever waited was cancelled, and the future with it.
        }
    }

    std::mutex mutex_;
    std::vector<knit::Future<int>> futures_;
    bool is_over_ = false;
    std::thread thread_;
};

struct World {
    Settler& settler;
    knit::Runtime& runtime;
    knit::Loop& some_loop(Random& random) const {
        return runtime.loop(random.below(static_cast<unsigned>(runtime.size())));
    }
};

knit::Coro<int> node(World world, std::uint64_t seed, unsigned depth);

knit::Coro<int> wait_for(knit::Future<std::tuple<int, int>> both) {
    co_await both;
    co_return 1;
}

/// A step that waits for children.
knit::Coro<> step_with_children(World world, Random& random, unsigned depth) {
    const auto child = [&] { return node(world, random.next(), depth - 1); };
    switch (random.below(8)) {
        case 0: {
            auto left = knit::spawn(child());
            auto right = knit::spawn(child());
            co_await knit::gather(left, right);
            break;
        }
        case 1: {
            auto here = knit::create_task(child());
            auto anywhere = knit::spawn(child());
            auto there = knit::create_task(child(), {.loop = &world.some_loop(random)});
            co_await knit::gather(knit::return_exceptions, here, anywhere, there);
            break;
        }
        case 2: {
            auto here = knit::create_task(child());
            auto anywhere = knit::spawn(child());
            co_await knit::gather(here, anywhere);
            break;
        }
        case 3: {
            auto task = random.below(2) == 0 ? knit::spawn(child())
                                             : knit::create_task(child(), {.loop = &world.some_loop(random)});
            if (random.below(2) == 0) {
                co_await knit::sleep(std::chrono::microseconds(random.below(50)));
            }
            task.cancel();
            co_await task;
            break;
        }
        case 4: {
            auto both = knit::gather(knit::create_task(child()), knit::spawn(child()));
            const knit::Future<std::tuple<int, int>> handle = both.future();
            auto waiter = knit::create_task(wait_for(handle), {.loop = &world.some_loop(random)});
            if (random.below(3) == 0) {
                co_await knit::yield();
                waiter.cancel();
            }
            co_await waiter;
            break;
        }
        case 5: co_await child(); break;
        case 6: static_cast<void>(knit::spawn(child())); break;
        default: {
            std::vector<knit::Task<int>> tasks;
            for (int count = 0; count < 5; ++count) {
                tasks.push_back(knit::spawn(child()));
            }
            if (random.below(4) == 0) {
                tasks[random.below(5)].cancel();
            }
            co_await knit::gather(tasks);
        }
    }
}

knit::Coro<> step(World world, Random& random, unsigned depth) {
    switch (random.below(depth > 0 ? 12 : 6)) {
        case 0: co_await knit::yield(); break;
        case 1: co_await knit::sleep(std::chrono::microseconds(random.below(300))); break;
        case 2: co_await knit::resume_on(world.some_loop(random)); break;
        case 3: co_await knit::reschedule(); break;
        case 4: {
            auto future = world.settler.future();
            co_await future;
            break;
        }
        case 5:
            if (random.below(6) == 0) {
                throw std::runtime_error("thrown");
            }
            break;
        default: co_await step_with_children(world, random, depth);
    }
}

knit::Coro<int> node(World world, std::uint64_t seed, unsigned depth) {
    Random random(seed);
    for (unsigned steps = 1 + random.below(4); steps > 0; --steps) {
        bool was_cancelled = false;
        try {
            co_await step(world, random, depth);
        } catch (const knit::CancelledError&) {
            if (random.below(4) != 0) {
                throw;
            }
            was_cancelled = true;
        } catch (const std::runtime_error&) {
            if (random.below(2) == 0) {
                throw;
            }
        }
        if (was_cancelled) {
            co_await knit::yield();
        }
    }
    co_return 1;
}

knit::Coro<> plant_trees(World world, std::uint64_t seed) {
    Random random(seed);
    for (;;) {
        std::vector<knit::Task<int>> tasks;
        for (int count = 0; count < 6; ++count) {
            tasks.push_back(knit::create_task(node(world, random.next(), 3), {.loop = &world.some_loop(random)}));
        }
        if (random.below(2) == 0) {
            co_await knit::yield();
            for (knit::Task<int>& task : tasks) {
                if (random.below(3) == 0) {
                    task.cancel();
                }
            }
        }
        co_await knit::gather(knit::return_exceptions, tasks);
    }
}

/// Cut short in the middle of it all: the end of run() finds tasks in every state.
knit::Coro<> live_for(std::chrono::milliseconds time, Settler& settler, std::uint64_t seed) {
    const World world{settler, knit::get_runtime()};
    auto one = knit::create_task(plant_trees(world, seed));
    auto other = knit::create_task(plant_trees(world, seed + 1));
    co_await knit::sleep(time);
}

class CoreStress : public testing::TestWithParam<unsigned> {};

TEST_P(CoreStress, EveryRunEndsWhateverItsTasksDoToEachOther) {
    std::uint64_t seed = test_seed();
    const Clock::time_point end = Clock::now() + test_time();
    unsigned runs = 0;
    Settler settler(seed);
    do {
        knit::RunOptions options;
        options.loops = GetParam();
        options.exception_handler = [](const knit::ExceptionContext&) {};
        knit::run(live_for(50ms, settler, seed++), options);
        ++runs;
    } while (Clock::now() < end);
    EXPECT_GT(runs, 0U);
}

INSTANTIATE_TEST_SUITE_P(Loops, CoreStress, testing::Values(1U, 2U, 8U), testing::PrintToStringParamName());

knit::Coro<> wander(unsigned start) {
    knit::Runtime& runtime = knit::get_runtime();
    for (unsigned step = start;; ++step) {
        co_await knit::resume_on(runtime.loop(step % runtime.size()));
    }
}

TEST(CoreStressMove, CancellationReachesATaskThatAlwaysMoves) {
    knit::RunOptions options;
    options.loops = 2;
    knit::Runtime runtime(options);
    const Clock::time_point end = Clock::now() + test_time();
    unsigned lost = 0;
    std::thread canceller([&] {
        for (unsigned round = 0; Clock::now() < end && lost == 0; ++round) {
            auto task = knit::run_coroutine_threadsafe(wander(round), runtime.loop(round % 2));
            for (unsigned pause = round % 50 * 20; pause > 0; --pause) {
                std::atomic_signal_fence(std::memory_order_seq_cst);
            }
            task.cancel();
            lost += task.wait_for(20s) ? 0 : 1;
        }
        runtime.stop();
    });
    runtime.run_forever();
    canceller.join();
    EXPECT_EQ(lost, 0U);
}

knit::Coro<> always_reschedule() {
    for (;;) {
        co_await knit::reschedule();
    }
}

knit::Coro<> leave_movers_behind() {
    auto one = knit::create_task(wander(1));
    auto other = knit::create_task(always_reschedule());
    co_await knit::sleep(2ms);
}

TEST(CoreStressMove, RunEndsTasksThatAlwaysMove) {
    const Clock::time_point end = Clock::now() + test_time();
    unsigned runs = 0;
    do {
        knit::RunOptions options;
        options.loops = 2;
        knit::run(leave_movers_behind(), options);
        ++runs;
    } while (Clock::now() < end);
    EXPECT_GT(runs, 0U);
}

knit::Coro<int> fail_at_once() {
    throw std::runtime_error("first");
    co_return 0;
}

knit::Coro<int> one_turn() {
    co_await knit::yield();
    co_return 1;
}

knit::Coro<> fail_and_sleep(knit::Duration& slept) {
    auto failing = knit::create_task(fail_at_once());
    try {
        co_await knit::gather(failing, knit::spawn(one_turn()));
    } catch (const std::runtime_error&) {
        // Now nothing of the gather may wake this task any more.
    }
    const knit::TimePoint start = knit::get_running_loop().time();
    co_await knit::sleep(20ms);
    slept = knit::get_running_loop().time() - start;
}

TEST(CoreStressGather, AFailureAndTheLastSpawnedChildInOneTurnWakeTheAwaiterOnce) {
    knit::RunOptions options;
    options.loops = 1;
    knit::Duration slept{};
    knit::run(fail_and_sleep(slept), options);
    EXPECT_GE(slept, 20ms);
}

knit::Coro<> tick_until(knit::Future<int> future) {
    while (!future.done()) {
        co_await knit::sleep(10us);
    }
}

knit::Coro<> settled_by(std::thread& thread) {
    knit::Future<int> future;
    // Wakes the loop by itself, so that it may see the result before the thread has finished waking it.
    auto ticker = knit::create_task(tick_until(future));
    thread = std::thread([future]() mutable { future.set_result(1); });
    co_await future;
}

TEST(CoreStressEnd, ARuntimeEndsWhileAThreadIsStillWakingItsLoop) {
    const Clock::time_point end = Clock::now() + test_time();
    unsigned runs = 0;
    do {
        std::thread thread;
        knit::RunOptions options;
        options.loops = 1;
        options.spin = knit::Duration::zero();
        knit::run(settled_by(thread), options);
        thread.join();
        ++runs;
    } while (Clock::now() < end);
    EXPECT_GT(runs, 0U);
}

}  // namespace
