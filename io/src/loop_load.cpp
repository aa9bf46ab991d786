#include "loop_load.hpp"

#include <chrono>

#include "knit/detail/worker.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "io_driver.hpp"

namespace knit::detail {
namespace {

// A step that is longer keeps a new connection waiting for more than the way to another loop costs.
constexpr std::chrono::milliseconds kLongStep{1};

}  // namespace

bool LoopLoad::is_stuck(const Worker& worker, TimePoint now) noexcept {
    if (worker.is_resting()) {
        return false;
    }
    const std::uint64_t steps = worker.steps();
    const std::int64_t time = now.time_since_epoch().count();
    // relaxed: a hint
    if (seen_steps_.load(std::memory_order_relaxed) != steps) {
        seen_steps_.store(steps, std::memory_order_relaxed);  // relaxed: a hint
        seen_since_.store(time, std::memory_order_relaxed);   // relaxed: a hint
        return false;
    }
    return Duration(time - seen_since_.load(std::memory_order_relaxed)) >= kLongStep;  // relaxed: a hint
}

LoopLoad& load_of(Worker& worker) noexcept { return static_cast<IoDriver&>(worker.driver()).load(); }

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
