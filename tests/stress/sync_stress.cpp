// Lock, Semaphore and Event between real threads.
// The values that they protect are plain variables, which ThreadSanitizer watches.

#include "stress.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace knit::stress;
using knit::Coro;
using knit::Guard;
using knit::Task;

/// What a lock protects: plain, so that ThreadSanitizer sees whoever comes in without it.
struct Account {
    knit::Lock lock;
    std::uint64_t entries = 0;
    bool is_busy = false;
};

/// Takes the lock again and again; whatever happens to it, it leaves it.
Coro<std::uint64_t> use_account(Account& account, std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    std::uint64_t entries = 0;
    while (Clock::now() < end) {
        try {
            const Guard guard = co_await account.lock.scoped();
            EXPECT_FALSE(std::exchange(account.is_busy, true));
            ++account.entries;
            ++entries;
            if (random.below(4) == 0) {
                static_cast<void>(co_await knit::as_result(turns(random.below(3))));
            }
            account.is_busy = false;
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
    co_return entries;
}

TEST_P(SyncStress, ALockAdmitsOneAtATimeThroughAStormOfCancellations) {
    const std::uint64_t seed = test_seed();
    for (const bool is_calm : {true, false}) {
        run([&]() -> Coro<> {
            const Clock::time_point end = end_of_test();
            Account account;
            std::vector<Task<std::uint64_t>> tasks;
            for (std::size_t index = 0; index < 8; ++index) {
                tasks.push_back(knit::create_task(use_account(account, seed + index, end), on_loop(index)));
            }
            if (!is_calm) {
                co_await storm(tasks, seed, end);
            }
            std::uint64_t entries = 0;
            for (const Task<std::uint64_t>& task : tasks) {
                // The last request may come when the task has nothing left to await: then that is its end.
                const auto result = co_await knit::as_result(task);
                entries += result.has_value() ? result.value() : 0;
            }
            EXPECT_LE(entries, account.entries);
            EXPECT_TRUE(account.entries > 0 || !is_calm);  // a storm may hit tasks before they start
            EXPECT_FALSE(account.lock.locked());
        });
    }
}

Coro<> take_baton(knit::Lock& lock, std::vector<std::size_t>& order, std::size_t name) {
    const Guard guard = co_await lock.scoped();
    order.push_back(name);
}

TEST_P(SyncStress, ALockMayBeDestroyedByTheLastToHoldIt) {
    const Clock::time_point end = end_of_test();
    run([&]() -> Coro<> {
        while (Clock::now() < end) {
            auto lock = std::make_unique<knit::Lock>();
            std::vector<std::size_t> order;
            std::vector<Task<>> tasks;
            for (std::size_t name = 0; name < 4; ++name) {
                tasks.push_back(knit::create_task(take_baton(*lock, order, name), on_loop(name)));
            }
            for (std::size_t seen = 0; seen < 4;) {
                co_await knit::yield();
                const Guard guard = co_await lock->scoped();
                seen = order.size();
            }
            // All have left: nobody may touch it any more, though the tasks may not have ended.
            lock.reset();
            co_await knit::gather(tasks);
        }
    });
}

struct Inside {
    std::atomic<int> now{0};
    std::atomic<int> peak{0};
};

Coro<> go_inside(knit::Semaphore& semaphore, Inside& inside, std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    while (Clock::now() < end) {
        try {
            const Guard guard = co_await semaphore.scoped();
            const int now = ++inside.now;
            inside.peak = std::max(inside.peak.load(), now);
            static_cast<void>(co_await knit::as_result(turns(random.below(3))));
            --inside.now;
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
}

TEST_P(SyncStress, ASemaphoreLimitsThroughAStormOfCancellations) {
    const std::uint64_t seed = test_seed();
    run([&]() -> Coro<> {
        const Clock::time_point end = end_of_test();
        knit::BoundedSemaphore semaphore(3);
        Inside inside;
        std::vector<Task<>> tasks;
        for (std::size_t index = 0; index < 10; ++index) {
            tasks.push_back(knit::create_task(go_inside(semaphore, inside, seed + index, end), on_loop(index)));
        }
        co_await storm(tasks, seed, end);
        co_await knit::gather(knit::return_exceptions, tasks);
        EXPECT_LE(inside.peak, 3);
        EXPECT_EQ(inside.now, 0);
        for (int value = 0; value < 3; ++value) {
            EXPECT_FALSE(semaphore.locked());
            co_await semaphore.acquire();
        }
        EXPECT_TRUE(semaphore.locked());
    });
}

Coro<> take_released(knit::Semaphore& semaphore, std::uint64_t count, std::uint64_t& taken) {
    for (; count > 0; --count) {
        co_await semaphore.acquire();
        ++taken;
    }
}

TEST_P(SyncStress, ReleasesOfPlainThreadsAreNeverLost) {
    constexpr std::uint64_t kEach = 2000;
    knit::Semaphore semaphore(0);
    std::array<std::uint64_t, 4> taken{};
    std::vector<std::thread> threads;
    for (int count = 0; count < 2; ++count) {
        threads.emplace_back([&] {
            for (std::uint64_t round = 0; round < 2 * kEach; ++round) {
                semaphore.release();
            }
        });
    }
    run([&]() -> Coro<> {
        std::vector<Task<>> tasks;
        for (std::size_t index = 0; index < taken.size(); ++index) {
            tasks.push_back(knit::create_task(take_released(semaphore, kEach, taken[index]), on_loop(index)));
        }
        co_await knit::gather(tasks);
    });
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_TRUE(semaphore.locked());
    EXPECT_EQ(taken, (std::array<std::uint64_t, 4>{kEach, kEach, kEach, kEach}));
}

/// Sets, waits for who waits, clears.
TEST_P(SyncStress, AnEventWakesAllHoweverItIsSetAndCleared) {
    constexpr std::size_t kWaiters = 4;
    const Clock::time_point end = end_of_test();
    run([&]() -> Coro<> {
        knit::Event go;
        knit::Semaphore arrived(0);
        std::uint64_t round = 0;  // both written before set(), read after wait()
        bool is_over = false;
        const auto follow = [&]() -> Coro<> {
            bool is_last = false;
            for (std::uint64_t next = 1; !is_last; ++next) {
                co_await go.wait();
                is_last = is_over;
                EXPECT_EQ(round, next);
                arrived.release();
                while (go.is_set()) {
                    co_await knit::yield();
                }
                arrived.release();
            }
        };
        std::vector<Task<>> tasks;
        for (std::size_t index = 0; index < kWaiters; ++index) {
            tasks.push_back(knit::create_task(follow, on_loop(index)));
        }
        while (!is_over) {
            is_over = Clock::now() >= end;
            ++round;
            go.set();
            for (std::size_t index = 0; index < kWaiters; ++index) {
                co_await arrived.acquire();
            }
            go.clear();
            for (std::size_t index = 0; index < kWaiters; ++index) {
                co_await arrived.acquire();
            }
        }
        co_await knit::gather(tasks);
    });
}

/// A box that the task destroys as soon as it is through, however early that is.
struct Box {
    knit::Event ready;
    std::uint64_t value = 0;
};

Coro<std::uint64_t> open_box(std::unique_ptr<Box> box, unsigned pause) {
    co_await turns(pause);
    if (pause == 0) {
        while (!box->ready.is_set()) {
            co_await knit::yield();
        }
    }
    co_await box->ready.wait();
    co_return box->value;
}

TEST_P(SyncStress, AnEventMayBeDestroyedByWhoeverSawItSet) {
    std::uint64_t seed = test_seed();
    const Clock::time_point end = end_of_test();
    Random random(seed);
    run([&]() -> Coro<> {
        while (Clock::now() < end) {
            auto box = std::make_unique<Box>();
            Box* const shown = box.get();
            const Task<std::uint64_t> task = knit::create_task(open_box(std::move(box), random.below(3)), on_loop(1));
            Task<> setting = knit::create_task(knit::to_thread([shown] {
                shown->value = 7;
                shown->ready.set();
            }));
            EXPECT_EQ(co_await task, 7U);
            co_await setting;
        }
    });
}

Coro<> wait_again_and_again(knit::Event& event, Clock::time_point end) {
    while (Clock::now() < end) {
        try {
            co_await event.wait();
            co_await knit::yield();
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
}

TEST_P(SyncStress, AnEventSurvivesAStormOfCancellationsAndAThreadThatSetsIt) {
    const std::uint64_t seed = test_seed();
    knit::Event event;
    std::atomic<bool> is_over{false};
    std::thread setter([&] {
        Random random(seed);
        while (!is_over) {
            event.set();
            for (unsigned pause = random.below(200); pause > 0; --pause) {
                std::atomic_signal_fence(std::memory_order_seq_cst);
            }
            event.clear();
        }
        event.set();
    });
    run([&]() -> Coro<> {
        const Clock::time_point end = end_of_test();
        std::vector<Task<>> tasks;
        for (std::size_t index = 0; index < 6; ++index) {
            tasks.push_back(knit::create_task(wait_again_and_again(event, end), on_loop(index)));
        }
        co_await storm(tasks, seed, end);
        is_over = true;
        co_await knit::gather(knit::return_exceptions, tasks);
    });
    setter.join();
    EXPECT_TRUE(event.is_set());
}

INSTANTIATE_TEST_SUITE_P(Loops, SyncStress, testing::Values(2U, 8U), testing::PrintToStringParamName());

}  // namespace
