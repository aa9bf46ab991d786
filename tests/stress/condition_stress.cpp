// Condition and Barrier between real threads.
// The values that they protect are plain variables, which ThreadSanitizer watches.

#include "stress.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace {

using namespace knit::stress;
using knit::Coro;
using knit::Guard;
using knit::Task;

using ConditionStress = SyncStress;

/// Two conditions on one lock.
struct Buffer {
    static constexpr std::size_t kRoom = 3;
    knit::Lock lock;
    knit::Condition not_empty{lock};
    knit::Condition not_full{lock};
    std::deque<std::uint64_t> items;
    std::uint64_t sum_put = 0;
    std::uint64_t sum_taken = 0;
    bool is_over = false;
};

Coro<> produce(Buffer& buffer, std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    while (Clock::now() < end) {
        try {
            const Guard guard = co_await buffer.lock.scoped();
            co_await buffer.not_full.wait_for([&] { return buffer.items.size() < Buffer::kRoom; });
            buffer.items.push_back(random.below(1000));
            buffer.sum_put += buffer.items.back();
            buffer.not_empty.notify();
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
}

Coro<> consume(Buffer& buffer) {
    for (bool is_over = false; !is_over;) {
        try {
            const Guard guard = co_await buffer.lock.scoped();
            co_await buffer.not_empty.wait_for([&] { return !buffer.items.empty() || buffer.is_over; });
            EXPECT_LE(buffer.items.size(), Buffer::kRoom);
            is_over = buffer.items.empty();
            if (!is_over) {
                buffer.sum_taken += buffer.items.front();
                buffer.items.pop_front();
                buffer.not_full.notify();
            }
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
}

TEST_P(ConditionStress, ConditionsLoseNoWakeUpOfABoundedBufferThroughAStormOfCancellations) {
    const std::uint64_t seed = test_seed();
    for (const bool is_calm : {true, false}) {
        run([&]() -> Coro<> {
            const Clock::time_point end = end_of_test();
            Buffer buffer;
            std::vector<Task<>> producers;
            std::vector<Task<>> consumers;
            for (std::size_t index = 0; index < 4; ++index) {
                producers.push_back(knit::create_task(produce(buffer, seed + index, end), on_loop(index)));
                consumers.push_back(knit::create_task(consume(buffer), on_loop(index + 1)));
            }
            if (!is_calm) {
                co_await knit::gather(storm(producers, seed, end), storm(consumers, seed + 1, end));
            }
            co_await knit::gather(knit::return_exceptions, producers);
            {
                const Guard guard = co_await buffer.lock.scoped();
                buffer.is_over = true;
                buffer.not_empty.notify_all();
            }
            co_await knit::gather(knit::return_exceptions, consumers);
            EXPECT_EQ(buffer.sum_put, buffer.sum_taken);
            EXPECT_TRUE(buffer.sum_put > 0 || !is_calm);  // a storm may hit tasks before they start
            EXPECT_FALSE(buffer.lock.locked());
        });
    }
}

constexpr std::size_t kParties = 5;

struct Rounds {
    knit::Barrier barrier{kParties};
    std::array<std::uint64_t, kParties> written{};  ///< each party's own, read by the others after the barrier
    std::array<int, kParties> seen{};               ///< by index
};

Coro<> go_round(Rounds& rounds, std::size_t party, std::uint64_t count) {
    for (std::uint64_t round = 1; round <= count; ++round) {
        rounds.written[party] = round;
        const int index = co_await rounds.barrier.wait();
        for (const std::uint64_t written : rounds.written) {
            EXPECT_EQ(written, round);
        }
        ++rounds.seen[static_cast<std::size_t>(index)];
        co_await rounds.barrier.wait();
    }
}

TEST_P(ConditionStress, ABarrierHoldsAllBackUntilTheLastComes) {
    constexpr std::uint64_t kRounds = 200;
    run([&]() -> Coro<> {
        Rounds rounds;
        std::vector<Task<>> tasks;
        for (std::size_t party = 0; party < kParties; ++party) {
            tasks.push_back(knit::create_task(go_round(rounds, party, kRounds), on_loop(party)));
        }
        co_await knit::gather(tasks);
        for (const int seen : rounds.seen) {
            EXPECT_EQ(seen, static_cast<int>(kRounds));
        }
    });
}

Coro<std::uint64_t> visit_until(knit::Barrier& barrier, Clock::time_point end) {
    std::uint64_t passes = 0;
    while (Clock::now() < end && !barrier.broken()) {
        try {
            co_await barrier.wait();
            ++passes;
        } catch (const knit::CancelledError&) {
            continue;
        } catch (const knit::BrokenBarrierError&) {
            continue;
        }
    }
    co_return passes;
}

Coro<> reset_at_times(knit::Barrier& barrier, std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    while (Clock::now() < end) {
        co_await turns(random.below(20));
        co_await barrier.reset();
    }
    co_await barrier.abort();
}

TEST_P(ConditionStress, ABarrierSurvivesResetsAndAStormOfCancellations) {
    const std::uint64_t seed = test_seed();
    run([&]() -> Coro<> {
        const Clock::time_point end = end_of_test();
        knit::Barrier barrier(3);
        std::vector<Task<std::uint64_t>> tasks;
        for (std::size_t index = 0; index < 6; ++index) {
            tasks.push_back(knit::create_task(visit_until(barrier, end), on_loop(index)));
        }
        co_await knit::gather(storm(tasks, seed, end), reset_at_times(barrier, seed + 1, end));
        co_await knit::gather(knit::return_exceptions, tasks);
        EXPECT_TRUE(barrier.broken());
        co_await barrier.reset();
        const auto [one, two, three] = co_await knit::gather(barrier.wait(), barrier.wait(), barrier.wait());
        EXPECT_EQ(one + two + three, 3);
    });
}

INSTANTIATE_TEST_SUITE_P(Loops, ConditionStress, testing::Values(2U, 8U), testing::PrintToStringParamName());

}  // namespace
