// Task groups on the real driver: members on all loops that add members, fail, cancel the group, move, and run groups
// of their own. What must hold: every block ends; when it does no member is left, every failure has come out and no
// cancellation of its own is left. KNIT_STRESS_MS: how long each test runs; KNIT_STRESS_SEED: a seed that was printed.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

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
    const std::uint64_t seed =
        text != nullptr ? std::stoull(text) : static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
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

/// What one block's members do. Lives in the frame of the block, as things that members borrow do.
struct Tally {
    std::atomic<int> alive{0};
    std::atomic<int> failed{0};
};

/// A local of a member: it goes when the member ends. (Arguments may stay a moment longer, as long as the task does.)
class Presence {
public:
    explicit Presence(Tally& tally) noexcept : tally_(tally) { ++tally_.alive; }
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence() { --tally_.alive; }

private:
    Tally& tally_;
};

knit::Loop& some_loop(Random& random) {
    knit::Runtime& runtime = knit::get_runtime();
    return runtime.loop(random.below(static_cast<unsigned>(runtime.size())));
}

struct Block {
    knit::TaskGroup& group;
    Tally& tally;
    unsigned depth;
};

knit::Coro<> run_block(std::uint64_t seed, unsigned depth);
knit::Coro<> member(Block block, std::uint64_t seed);

/// Adds one member, wherever it may be, or finds that the group takes no more.
void add_member(Block block, Random& random) {
    try {
        auto coro = member(block, random.next());
        switch (random.below(3)) {
            case 0: block.group.create_task(std::move(coro)); break;
            case 1: block.group.spawn(std::move(coro)); break;
            default: {
                knit::TaskOptions there;
                there.loop = &some_loop(random);
                block.group.create_task(std::move(coro), there);
            }
        }
    } catch (const knit::RuntimeError&) {
        // Shutting down.
    }
}

knit::Coro<> step(Block block, Random& random) {
    switch (random.below(block.depth > 0 ? 10 : 9)) {
        case 0: co_await knit::yield(); break;
        case 1: co_await knit::sleep(std::chrono::microseconds(random.below(200))); break;
        case 2: co_await knit::resume_on(some_loop(random)); break;
        case 3: co_await knit::reschedule(); break;
        case 4:
        case 5: add_member(block, random); break;
        case 6:
            if (random.below(4) == 0) {
                throw std::runtime_error("thrown");
            }
            break;
        case 7:
            if (random.below(6) == 0) {
                block.group.cancel();
            }
            break;
        case 8: co_await knit::sleep(0s); break;
        default: co_await run_block(random.next(), block.depth - 1);
    }
}

/// A few steps; what comes out of it is counted.
knit::Coro<> steps(Block block, std::uint64_t seed) {
    Random random(seed);
    try {
        for (unsigned left = random.below(5); left > 0; --left) {
            co_await step(block, random);
        }
    } catch (const std::exception&) {
        ++block.tally.failed;
        throw;
    }
}

knit::Coro<> member(Block block, std::uint64_t seed) {
    const Presence presence(block.tally);
    co_await steps(block, seed);
}

knit::Coro<> run_block(std::uint64_t seed, unsigned depth) {
    Tally tally;
    Random random(seed);
    std::size_t told = 0;
    std::exception_ptr error;
    try {
        co_await knit::TaskGroup::run([&](knit::TaskGroup& group) -> knit::Coro<> {
            const Block block{group, tally, depth};
            for (unsigned count = random.below(6); count > 0; --count) {
                add_member(block, random);
            }
            co_await steps(block, random.next());
        });
    } catch (const knit::ExceptionGroup& group) {
        told = group.errors().size();
        error = std::current_exception();
    } catch (const knit::CancelledError&) {
        error = std::current_exception();
    }
    EXPECT_EQ(tally.alive, 0);
    EXPECT_EQ(static_cast<std::size_t>(tally.failed), told);
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

knit::RunOptions on_loops(unsigned loops) {
    knit::RunOptions options;
    options.loops = loops;
    options.exception_handler = [](const knit::ExceptionContext&) {};
    return options;
}

class GroupStress : public testing::TestWithParam<unsigned> {};

/// Nobody cancels from outside: no block ends cancelled, and none leaves a cancellation behind.
knit::Coro<> blocks_by_themselves(std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    do {
        const knit::Result<> result = co_await knit::as_result(run_block(random.next(), 3));
        try {
            result.value();
        } catch (const knit::ExceptionGroup&) {
        } catch (const knit::CancelledError&) {
            ADD_FAILURE() << "cancelled, but by whom?";
        }
        EXPECT_EQ(knit::current_task()->cancelling(), 0);
        EXPECT_FALSE((co_await knit::as_result(knit::yield())).error()) << "a cancellation was left behind";
    } while (Clock::now() < end);
}

TEST_P(GroupStress, BlocksEndWithoutAMemberOrACancellationLeft) {
    knit::run(blocks_by_themselves(test_seed(), Clock::now() + test_time()), on_loops(GetParam()));
}

/// Blocks on all loops, some of them cancelled at any time.
knit::Coro<> cancelled_blocks(std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    do {
        knit::TaskOptions there;
        there.loop = &some_loop(random);
        auto one = knit::spawn(run_block(random.next(), 2));
        auto other = knit::create_task(run_block(random.next(), 2), there);
        co_await knit::sleep(std::chrono::microseconds(random.below(300)));
        one.cancel();
        if (random.below(2) == 0) {
            co_await knit::yield();
            one.cancel("again");
            other.cancel();
        }
        co_await knit::gather(knit::return_exceptions, one, other);
    } while (Clock::now() < end);
}

TEST_P(GroupStress, BlocksThatAreCancelledEndLikewise) {
    knit::run(cancelled_blocks(test_seed(), Clock::now() + test_time()), on_loops(GetParam()));
}

/// The end of the run finds blocks in every state.
knit::Coro<> leave_blocks_behind(std::uint64_t seed) {
    Random random(seed);
    for (unsigned count = 0; count < 4; ++count) {
        knit::spawn(run_block(random.next(), 3));
    }
    co_await knit::sleep(std::chrono::microseconds(random.below(500)));
}

TEST_P(GroupStress, TheEndOfTheRunEndsThem) {
    std::uint64_t seed = test_seed();
    const Clock::time_point end = Clock::now() + test_time();
    unsigned runs = 0;
    do {
        knit::run(leave_blocks_behind(seed++), on_loops(GetParam()));
        ++runs;
    } while (Clock::now() < end);
    EXPECT_GT(runs, 0U);
}

/// One value after the other, each taken by another task, on another loop.
knit::AsyncGenerator<int> numbers(int limit) {
    for (int number = 0; number < limit; ++number) {
        if (number % 3 == 0) {
            co_await knit::reschedule();
        }
        co_yield number;
    }
}

knit::Coro<int> take_one(knit::AsyncGenerator<int>& source) {
    const auto number = co_await source.next();
    co_return number ? *number : -1;
}

knit::Coro<> pass_around(Clock::time_point end) {
    do {
        auto source = numbers(20);
        for (int expected = 0; expected < 20; ++expected) {
            EXPECT_EQ(co_await knit::spawn(take_one(source)), expected);
        }
        EXPECT_EQ(co_await knit::spawn(take_one(source)), -1);
    } while (Clock::now() < end);
}

TEST_P(GroupStress, AGeneratorGoesFromLoopToLoop) {
    knit::run(pass_around(Clock::now() + test_time()), on_loops(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Loops, GroupStress, testing::Values(1U, 2U, 8U), testing::PrintToStringParamName());

}  // namespace
