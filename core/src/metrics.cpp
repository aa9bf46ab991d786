/// The snapshot: reads what the loops, the blocking pool and the watchdog count, and stops nobody.

#include "knit/metrics.hpp"

#include <exception>

#include "driver.hpp"
#include "knit/log.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"
#include "watchdog.hpp"

namespace knit::detail {
namespace {

void read_driver(const Driver& driver, LoopMetrics& loop) {
    const DriverCounters& counters = driver.counters();
    // Ended first, so that the difference is never negative.
    loop.operations_ended = counters.ended.value();
    loop.operations_submitted = counters.submitted.value();
    loop.operations_in_flight = loop.operations_submitted - loop.operations_ended;
    loop.enters = counters.enters.value();
    loop.overflows = counters.overflows.value();
}

LoopMetrics read_worker(Worker& worker) {
    const WorkerCounters& counters = worker.counters();
    LoopMetrics loop;
    loop.loop = worker.id();
    loop.turns = counters.turns.value();
    loop.steps = worker.steps();
    loop.tasks_made = worker.made();
    loop.tasks_ended = worker.ended();
    loop.offers = counters.offers.value();
    loop.shared_taken = counters.shared_taken.value();
    loop.parks = counters.parks.value();
    loop.wakes_sent = counters.wakes_sent.value();
    loop.wakes_received = counters.wakes_received.value();
    loop.messages = counters.messages.value();
    loop.timers_fired = counters.timers_fired.value();
    loop.busy = counters.busy.total([] { return std::chrono::steady_clock::now(); });
    loop.cpu = counters.cpu.total([&worker] { return TimePoint(cpu_time(worker.cpu_clock())); });
    loop.ready = counters.ready.value();
    loop.offered = worker.offered_count();
    loop.timers = counters.timers.value();
    loop.frame_pool_bytes = counters.frame_pool_bytes.value();
    loop.resting = worker.is_resting() ? 1 : 0;
    if (const Driver* const driver = worker.driver_nowait()) {
        read_driver(*driver, loop);
    }
    return loop;
}

}  // namespace

Metrics RuntimeCore::take_metrics() {
    Metrics metrics;
    metrics.loops.reserve(size());
    for (Worker* const each : workers_) {
        LoopMetrics& loop = metrics.loops.emplace_back(read_worker(*each));
        if (watchdog_ != nullptr) {
            loop.blocked = watchdog_->busy_for(*each);
        }
    }
    for (LoopMetrics& thief : metrics.loops) {
        for (LoopMetrics& victim : metrics.loops) {
            const std::uint64_t count = worker(thief.loop).stolen_from(victim.loop);
            thief.steals += count;
            victim.stolen += count;
        }
    }
    metrics.blocking = blocking_pool().metrics();
    metrics.tasks = live_tasks();
    metrics.shared = injector_.size_hint();
    const bool has_own_clock = !drivers_.empty() && drivers_[0] != nullptr && drivers_[0]->is_simulation();
    metrics.time = has_own_clock ? drivers_[0]->now() : std::chrono::steady_clock::now();
    metrics.uptime = metrics.time - started_at_;
    return metrics;
}

Metrics RuntimeCore::metrics() {
    const std::lock_guard lock(metrics_mutex_);
    return last_metrics_ ? *last_metrics_ : take_metrics();
}

/// Before the drivers go.
void RuntimeCore::keep_last_metrics() noexcept {
    const std::lock_guard lock(metrics_mutex_);
    try {
        last_metrics_ = take_metrics();
    } catch (const std::exception&) {  // no memory: the later look finds what the closed loops still have
        log_or_lose(LogLevel::warning, [] { return "the last metrics of a runtime are lost for want of memory"; });
    }
}

}  // namespace knit::detail
