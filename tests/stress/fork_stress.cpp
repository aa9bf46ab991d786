// fork_join() on real threads: trees with errors, cancellations at random points, sleeps inside children, moves between
// loops, loops that steal. KNIT_STRESS_MS: how long each test runs; KNIT_STRESS_SEED: a seed that was printed.

#include "stress.hpp"

#include <stdexcept>
#include <tuple>

namespace knit::stress {
namespace {

using detail::Atomic;

/// What a tree counts; any thread, relaxed, read when the tree has ended.
struct Counts {
    Atomic<long> alive{0};
    Atomic<long> failed{0};
};

struct Alive {
    explicit Alive(Counts& all) noexcept : counts(all) { counts.alive.fetch_add(1, std::memory_order_relaxed); }
    Alive(const Alive&) = delete;
    ~Alive() { counts.alive.fetch_sub(1, std::memory_order_relaxed); }
    Counts& counts;
};

struct Shape {
    unsigned depth;
    unsigned sleeps;  ///< in 1000 nodes
    unsigned errors;
    unsigned moves;
    unsigned spawns;
};

Coro<> nap() { co_await sleep(std::chrono::microseconds(50)); }
Coro<> nothing() { co_return; }

/// Gives the number of its leaves, or throws.
Coro<long> tree(Counts& counts, Shape shape, std::uint64_t seed) {
    const Alive alive(counts);
    Random random(seed);
    if (random.below(1000) < shape.sleeps) {
        if (random.below(2) == 0) {
            co_await nap();
        } else {
            co_await yield();
        }
    }
    if (random.below(1000) < shape.moves) {
        Runtime& runtime = get_runtime();
        co_await resume_on(runtime.loop(random.below(static_cast<unsigned>(runtime.size()))));
    }
    if (random.below(1000) < shape.spawns) {
        static_cast<void>(spawn(nothing()));
    }
    if (random.below(1000) < shape.errors) {
        counts.failed.fetch_add(1, std::memory_order_relaxed);  // relaxed: see Counts
        throw std::runtime_error("a node fails");
    }
    if (shape.depth == 0) {
        co_return 1;
    }
    --shape.depth;
    if (random.below(3) == 0) {
        std::vector<Coro<long>> children;
        for (unsigned index = 0; index < 2 + random.below(4); ++index) {
            children.push_back(tree(counts, shape, random.next()));
        }
        const std::vector<long> leaves = co_await fork_join(std::move(children));
        long sum = 0;
        for (const long some : leaves) {
            sum += some;
        }
        co_return sum;
    }
    const std::uint64_t first = random.next();
    const std::uint64_t second = random.next();
    const auto both = co_await fork_join(tree(counts, shape, first), tree(counts, shape, second));
    co_return std::get<0>(both) + std::get<1>(both);
}

Coro<long> balanced(unsigned depth) {
    if (depth == 0) {
        co_return 1;
    }
    const auto both = co_await fork_join(balanced(depth - 1), balanced(depth - 1));
    co_return std::get<0>(both) + std::get<1>(both);
}

/// Trees one after the other, some of them cancelled, until the time is over.
Coro<> plant(std::uint64_t seed, Clock::time_point end, Shape shape, bool cancels) {
    Random random(seed);
    while (Clock::now() < end) {
        Counts counts;
        Task<long> task = spawn(tree(counts, shape, random.next()));
        if (cancels && random.below(2) == 0) {
            const unsigned pauses = random.below(20);
            co_await turns(pauses);
            task.cancel();
        }
        const Result<long> result = co_await as_result(task);
        EXPECT_EQ(counts.alive.load(std::memory_order_relaxed), 0);  // relaxed: see Counts
        if (!cancels && shape.errors == 0) {
            EXPECT_TRUE(result.has_value());
        }
        if (result.has_value()) {
            EXPECT_EQ(counts.failed.load(std::memory_order_relaxed), 0);  // relaxed: see Counts
        }
    }
}

class ForkStress : public testing::TestWithParam<unsigned> {
protected:
    void grow(Shape shape, bool cancels) {
        const Clock::time_point end = end_of_test();
        const std::uint64_t seed = test_seed();
        RunOptions options;
        options.loops = GetParam();
        run([=]() -> Coro<> {
            std::vector<Task<>> planters;
            for (std::size_t index = 0; index < 4; ++index) {
                planters.push_back(create_task(plant(seed + index, end, shape, cancels), on_loop(index)));
            }
            co_await gather(std::move(planters));
        }, options);
    }
};

TEST_P(ForkStress, TreesThatNeverWaitAreCountedRight) {
    const Clock::time_point end = end_of_test();
    RunOptions options;
    options.loops = GetParam();
    run([=]() -> Coro<> {
        while (Clock::now() < end) {
            const long leaves = co_await balanced(12);
            EXPECT_EQ(leaves, 4096);
        }
    }, options);
}

TEST_P(ForkStress, TreesThatSleepEnd) { grow({7, 100, 0, 0, 50}, false); }
TEST_P(ForkStress, TreesThatFailEnd) { grow({7, 50, 10, 0, 0}, false); }
TEST_P(ForkStress, TreesThatAreCancelledEnd) { grow({7, 100, 0, 0, 0}, true); }
TEST_P(ForkStress, TreesThatDoEverythingEnd) { grow({7, 60, 3, 40, 40}, true); }

INSTANTIATE_TEST_SUITE_P(Loops, ForkStress, testing::Values(2U, 8U), testing::PrintToStringParamName());

}  // namespace
}  // namespace knit::stress
