// Snapshots from several threads while the loops work, steal, sleep and wake: no counter ever goes back, and the sums
// are right at the end. Run under ThreadSanitizer it shows that a snapshot disturbs nobody.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "stress.hpp"

namespace knit::stress {
namespace {

Coro<unsigned> tree(unsigned depth) {
    if (depth == 0) {
        co_return 1;
    }
    const auto [left, right] = co_await gather(spawn(tree(depth - 1)), spawn(tree(depth - 1)));
    co_return left + right;
}

Coro<> work_until(Clock::time_point end, Random random) {
    while (Clock::now() < end) {
        co_await tree(random.below(8));
        if (random.below(4) == 0) {
            co_await sleep(std::chrono::microseconds(random.below(300)));
        }
        if (random.below(8) == 0) {
            co_await to_thread([] {});
        }
    }
}

/// Counters that only grow.
void expect_growth(const LoopMetrics& before, const LoopMetrics& after) {
    EXPECT_LE(before.turns, after.turns);
    EXPECT_LE(before.steps, after.steps);
    EXPECT_LE(before.tasks_made, after.tasks_made);
    EXPECT_LE(before.tasks_ended, after.tasks_ended);
    EXPECT_LE(before.offers, after.offers);
    EXPECT_LE(before.steals, after.steals);
    EXPECT_LE(before.stolen, after.stolen);
    EXPECT_LE(before.parks, after.parks);
    EXPECT_LE(before.wakes_sent, after.wakes_sent);
    EXPECT_LE(before.wakes_received, after.wakes_received);
    EXPECT_LE(before.messages, after.messages);
    EXPECT_LE(before.timers_fired, after.timers_fired);
    EXPECT_LE(before.operations_ended, after.operations_ended);
    EXPECT_LE(after.operations_ended, after.operations_submitted);
    EXPECT_LE(before.enters, after.enters);
    EXPECT_LE(before.busy, after.busy);
    EXPECT_LE(before.cpu, after.cpu);
}

void watch(Runtime& runtime, const std::atomic<bool>& is_over) {
    Metrics before = runtime.metrics();
    while (!is_over.load()) {
        const Metrics after = runtime.metrics();
        for (std::size_t index = 0; index < after.loops.size(); ++index) {
            expect_growth(before.loops[index], after.loops[index]);
        }
        EXPECT_LE(before.uptime, after.uptime);
        EXPECT_LE(before.blocking.begun, after.blocking.begun);
        EXPECT_FALSE(to_prometheus(after).empty());
        before = after;
    }
}

void run_watched(unsigned loops) {
    const std::uint64_t seed = test_seed();
    RunOptions options;
    options.loops = loops;
    options.metrics = "@knit-metrics-stress-" + std::to_string(getpid());
    Runtime runtime(options);
    std::atomic<bool> is_over{false};
    std::thread first([&] { watch(runtime, is_over); });
    std::thread second([&] { watch(runtime, is_over); });
    runtime.run_until_complete([&]() -> Coro<> {
        const Clock::time_point end = end_of_test();
        std::vector<Task<>> tasks;
        for (unsigned index = 0; index < 4; ++index) {
            TaskOptions place = on_loop(index);
            Coro<> work = work_until(end, Random(seed + index));
            tasks.push_back(create_task(std::move(work), std::move(place)));
        }
        for (Task<>& task : tasks) {
            co_await task;
        }
    });
    runtime.close();  // while the others look
    is_over.store(true);
    first.join();
    second.join();
    std::uint64_t made = 0;
    std::uint64_t ended = 0;
    std::uint64_t steals = 0;
    std::uint64_t stolen = 0;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    for (const LoopMetrics& loop : runtime.metrics().loops) {
        made += loop.tasks_made;
        ended += loop.tasks_ended;
        steals += loop.steals;
        stolen += loop.stolen;
        sent += loop.wakes_sent;
        received += loop.wakes_received;
    }
    EXPECT_EQ(made + 1, ended);  // main was made by a plain thread
    EXPECT_EQ(steals, stolen);
    EXPECT_LE(sent, received);
}

TEST(MetricsStress, SnapshotsOfTwoLoopsNeverGoBack) { run_watched(2); }
TEST(MetricsStress, SnapshotsOfMoreLoopsThanProcessorsNeverGoBack) { run_watched(5); }

}  // namespace
}  // namespace knit::stress
