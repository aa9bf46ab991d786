// Queues between real loops and plain threads, with waiters that are cancelled at every moment. What must hold: each
// item that was put is taken once, nobody waits for ever. KNIT_STRESS_MS: how long each test runs; KNIT_STRESS_SEED: a
// seed that was printed.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Number = std::unique_ptr<std::uint64_t>;
using Numbers = knit::Queue<Number>;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

std::uint64_t test_seed() {
    const char* const text = std::getenv("KNIT_STRESS_SEED");
    const std::uint64_t seed =
        text != nullptr ? std::stoull(text) : static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    std::cout << "seed " << seed << '\n';
    return seed;
}

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15U | 1U) {}
    unsigned below(unsigned limit) noexcept { return static_cast<unsigned>((next() >> 20) % limit); }

private:
    std::uint64_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t state_;
};

/// What went in, or came out. Any thread.
struct Tally {
    void add(std::uint64_t item) noexcept {
        count += 1;
        sum += item;
    }
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> sum{0};
};

struct World {
    explicit World(std::size_t maxsize, std::chrono::milliseconds time) : queue(maxsize), end(Clock::now() + time) {}
    bool is_over() const { return Clock::now() >= end; }
    Number make() { return std::make_unique<std::uint64_t>(++last); }

    Numbers queue;
    Clock::time_point end;
    std::atomic<std::uint64_t> last{0};
    std::atomic<unsigned> threads{0};
    Tally put;
    Tally taken;
};

knit::Coro<> put_one(World& world) {
    Number number = world.make();
    const std::uint64_t value = *number;
    co_await world.queue.put(std::move(number));
    world.put.add(value);
}
knit::Coro<> get_one(World& world) {
    const Number number = co_await world.queue.get();
    world.taken.add(*number);
    world.queue.task_done();
}

knit::Coro<> produce(World& world) {
    while (!world.is_over()) {
        for (int i = 0; i < 50; ++i) {
            co_await put_one(world);
        }
        co_await knit::yield();
    }
}
knit::Coro<> consume(World& world) {
    try {
        for (;;) {
            co_await get_one(world);
        }
    } catch (const knit::QueueShutDown&) {
        co_return;
    }
}

/// Waiters on loops at random, cancelled after a moment; some are cancelled twice, some end by themselves.
knit::Coro<> storm(World& world, std::uint64_t seed) {
    Random random(seed);
    knit::Runtime& runtime = knit::get_runtime();
    while (!world.is_over()) {
        std::vector<knit::Task<>> tasks;
        for (unsigned i = 0; i < 8; ++i) {
            knit::TaskOptions options;
            options.loop = &runtime.loop(random.below(static_cast<unsigned>(runtime.size())));
            knit::Coro<> step = random.below(2) == 0 ? put_one(world) : get_one(world);
            tasks.push_back(knit::create_task(std::move(step), options));
        }
        for (unsigned turns = random.below(5); turns > 0; --turns) {
            co_await knit::yield();
        }
        for (knit::Task<>& task : tasks) {
            task.cancel();
            if (random.below(4) == 0) {
                task.cancel();
            }
        }
        for (knit::Task<>& task : tasks) {
            try {
                co_await task;
            } catch (const knit::CancelledError&) {
                EXPECT_TRUE(task.cancelled());
            }
        }
    }
}

void put_and_get_from_thread(World& world, std::uint64_t seed) {
    Random random(seed);
    while (!world.is_over()) {
        try {
            if (random.below(2) == 0) {
                Number number = world.make();
                const std::uint64_t value = *number;
                world.queue.put_nowait(std::move(number));
                world.put.add(value);
            } else {
                world.taken.add(*world.queue.get_nowait());
                world.queue.task_done();
            }
        } catch (const knit::QueueFull&) {
            std::this_thread::yield();
        } catch (const knit::QueueEmpty&) {
            std::this_thread::yield();
        }
        const std::size_t size = world.queue.qsize();
        EXPECT_TRUE(world.queue.maxsize() == 0 || size <= world.queue.maxsize()) << size;
    }
    --world.threads;
}

template <class Make>
knit::Coro<> run_on_every_loop(Make make) {
    knit::Runtime& runtime = knit::get_runtime();
    std::vector<knit::Task<>> tasks;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        knit::TaskOptions options;
        options.loop = &runtime.loop(index);
        tasks.push_back(knit::create_task(make(index), options));
    }
    co_await knit::gather(std::move(tasks));
}

knit::Coro<> run_world(World& world, std::uint64_t seed) {
    const auto consumers = [&](std::size_t) { return consume(world); };
    const auto producers = [&](std::size_t) { return produce(world); };
    const auto storms = [&](std::size_t index) { return storm(world, seed + index); };
    knit::Task<> consuming = knit::create_task(run_on_every_loop(consumers));
    co_await knit::gather(run_on_every_loop(producers), run_on_every_loop(storms));
    while (world.threads != 0) {
        co_await knit::sleep(1ms);
    }
    co_await world.queue.join();
    world.queue.shutdown();
    co_await consuming;
}

void stress(unsigned loops, std::size_t maxsize) {
    const std::uint64_t seed = test_seed();
    World world(maxsize, test_time());
    world.threads = 2;
    std::array<std::thread, 2> threads;
    for (std::uint64_t index = 0; index < threads.size(); ++index) {
        threads[index] = std::thread([&world, seed, index] { put_and_get_from_thread(world, seed + 100 + index); });
    }
    knit::run(run_world(world, seed), {.loops = loops});
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_TRUE(world.queue.empty());
    EXPECT_EQ(world.put.count, world.taken.count);
    EXPECT_EQ(world.put.sum, world.taken.sum);
    EXPECT_THROW(world.queue.task_done(), knit::ValueError);
}

TEST(QueueStress, NoItemIsLostOrDoubledOnTwoLoops) { stress(2, 3); }
TEST(QueueStress, NoItemIsLostOrDoubledOnTwoLoopsWithASlotEach) { stress(2, 1); }
TEST(QueueStress, NoItemIsLostOrDoubledOnTwoLoopsWithoutALimit) { stress(2, 0); }
TEST(QueueStress, NoItemIsLostOrDoubledOnEightLoops) { stress(8, 5); }

// The end of a queue in the hands of whoever has just got its last item.

knit::Coro<> get_and_destroy(std::unique_ptr<knit::Queue<int>> queue, bool waits) {
    if (waits) {
        co_await queue->get();
    } else {
        while (queue->empty()) {
            co_await knit::yield();
        }
        queue->get_nowait();
    }
}

knit::Coro<> put_into_what_dies(std::uint64_t seed) {
    Random random(seed);
    const Clock::time_point end = Clock::now() + test_time();
    while (Clock::now() < end) {
        auto owner = std::make_unique<knit::Queue<int>>();
        knit::Queue<int>& queue = *owner;
        knit::TaskOptions options;
        options.loop = &knit::get_runtime().loop(1);
        const bool waits = random.below(2) == 0;
        knit::Task<> task = knit::create_task(get_and_destroy(std::move(owner), waits), options);
        for (unsigned turns = random.below(20); turns > 0; --turns) {
            co_await knit::yield();
        }
        queue.put_nowait(1);
        co_await task;
    }
}

TEST(QueueStress, MayBeDestroyedByWhoeverGotTheLastItem) { knit::run(put_into_what_dies(test_seed()), {.loops = 2}); }

// Shutdown against everything else.

knit::Coro<> shut_down_repeatedly(std::uint64_t seed) {
    Random random(seed);
    const Clock::time_point end = Clock::now() + test_time();
    while (Clock::now() < end) {
        World world(2, 1h);
        const auto users = [&](std::size_t index) -> knit::Coro<> {
            try {
                for (;;) {
                    knit::Coro<> step = index % 2 == 0 ? put_one(world) : get_one(world);
                    co_await step;
                }
            } catch (const knit::QueueShutDown&) {
                co_return;
            }
        };
        knit::Task<> using_it = knit::create_task(run_on_every_loop(users));
        for (unsigned turns = random.below(30); turns > 0; --turns) {
            co_await knit::yield();
        }
        const bool is_immediate = random.below(2) == 0;
        world.queue.shutdown(is_immediate);
        co_await using_it;
        const std::uint64_t left = world.put.count - world.taken.count;
        if (is_immediate) {
            EXPECT_TRUE(world.queue.empty());
        } else {
            EXPECT_EQ(world.queue.qsize(), left);
        }
        world.queue.shutdown(true);
        co_await world.queue.join();
    }
}

TEST(QueueStress, ShutdownReleasesWhoeverWaits) { knit::run(shut_down_repeatedly(test_seed()), {.loops = 4}); }

}  // namespace
