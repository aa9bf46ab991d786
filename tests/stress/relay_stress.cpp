// Waits that are given up, on several loops, for futures of another that are settled at any moment: the recall of a
// wait meets the news of its result at every point of their ways.

#include "stress.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace knit::stress {
namespace {

constexpr unsigned kLoops = 3;
constexpr std::size_t kFutures = 64;

/// Gives up its waits until `future` is settled.
Coro<std::size_t> wait_in_turns(Future<int> future, std::uint64_t seed) {
    Random random(seed);
    const std::vector<Future<int>> awaited{future};
    std::size_t waits = 0;
    while (!future.done()) {
        WaitOptions options;
        options.timeout = std::chrono::microseconds(random.below(3));
        co_await wait(awaited, options);
        ++waits;
        co_await turns(random.below(3));
    }
    co_return waits;
}

TEST(RelayStress, ARecallMeetsTheResultAtEveryPoint) {
    const std::uint64_t seed = test_seed();
    const Clock::time_point end = end_of_test();
    RunOptions options;
    options.loops = kLoops;
    std::size_t waits = 0;
    run([&]() -> Coro<> {
        Random random(seed);
        while (Clock::now() < end) {
            std::vector<Future<int>> futures(kFutures);
            std::vector<Task<std::size_t>> tasks;
            for (std::size_t index = 0; index < kFutures; ++index) {
                Coro<std::size_t> waiting = wait_in_turns(futures[index], random.next());
                tasks.push_back(create_task(std::move(waiting), on_loop(1 + index % (kLoops - 1))));
            }
            for (Future<int>& future : futures) {
                co_await turns(random.below(4));
                future.set_result(1);
            }
            for (Task<std::size_t>& task : tasks) {
                waits += co_await task;
            }
            // What is left of the waits is on its way.
            for (const Future<int>& future : futures) {
                while (!future.ref()->is_sole_reference()) {
                    co_await yield();
                }
                EXPECT_EQ(future.ref()->waiter_count(), 0U);
            }
        }
    }, options);
    EXPECT_GT(waits, 0U);
}

}  // namespace
}  // namespace knit::stress
