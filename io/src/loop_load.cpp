#include "loop_load.hpp"

#include <chrono>

#include "knit/detail/worker.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "io_driver.hpp"

namespace knit::detail {
namespace {

// A longer step keeps a new connection waiting for more than the way to another loop costs.
constexpr std::chrono::milliseconds kLongStep{1};
// Of a loop that has gone on since a look that is longer ago nobody knows what it does now.
constexpr std::chrono::milliseconds kFresh{20};

}  // namespace

bool LoopLoad::is_stuck(const Worker& worker, TimePoint now) noexcept {
    const std::int64_t time = now.time_since_epoch().count();
    const std::uint64_t steps = worker.steps();
    const std::int64_t since_look = time - looked_at_.exchange(time, std::memory_order_relaxed);  // relaxed: a hint
    const bool has_moved = steps_seen_.exchange(steps, std::memory_order_relaxed) != steps;       // relaxed: a hint
    if (worker.is_resting() || (has_moved && Duration(since_look) <= kFresh)) {
        moving_at_.store(time, std::memory_order_relaxed);  // relaxed: a hint
        return false;
    }
    return Duration(time - moving_at_.load(std::memory_order_relaxed)) >= kLongStep;  // relaxed: a hint
}

LoopLoad& load_of(Worker& worker) noexcept { return static_cast<IoDriver&>(worker.driver()).load(); }

std::shared_ptr<LoopLoad> share_load_of(Worker& worker) noexcept {
    return static_cast<IoDriver&>(worker.driver()).shared_load();
}

Worker& choose_loop(Worker& here) noexcept {
    Runtime& runtime = here.loop().runtime();
    const std::size_t loops = runtime.size();
    if (loops == 1) {
        return here;
    }
    const TimePoint now = here.now();
    Worker* best = &here;
    std::uint32_t fewest = load_of(here).connections();
    // Begins behind this loop, so that equal ones get the same share.
    for (std::size_t step = 1; step < loops; ++step) {
        Worker& other = runtime.loop((here.id() + step) % loops).worker();
        LoopLoad& load = load_of(other);
        const std::uint32_t count = load.connections();
        if (!load.is_stuck(other, now) && count < fewest) {
            best = &other;
            fewest = count;
        }
    }
    return *best;
}

}  // namespace knit::detail
