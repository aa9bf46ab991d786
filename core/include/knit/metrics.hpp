/// Metrics: what a runtime has counted of itself, as numbers, as Prometheus's text, as JSON.
///
/// Counting is always on: each loop counts for itself, in memory that only it writes. A snapshot reads these numbers
/// without stopping anybody, so each is right by itself, and two of them may be a moment apart. KNIT_METRICS opens a
/// Unix socket on which a running program tells them: docs/observe.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knit/time.hpp"

namespace knit {

/// Of one loop. Counts run from its start.
struct LoopMetrics {
    std::uint64_t loop = 0;  ///< its number

    std::uint64_t turns = 0;
    std::uint64_t steps = 0;  ///< callbacks, messages, and parts of tasks from one suspension to the next
    std::uint64_t tasks_made = 0;   ///< by code on it, so without what a plain thread submits
    std::uint64_t tasks_ended = 0;  ///< here; made, perhaps, on another loop
    std::uint64_t offers = 0;       ///< tasks that its code has spawned; seen every KNIT_BUDGET tasks, and at rest
    std::uint64_t steals = 0;       ///< tasks that it took from other loops
    std::uint64_t stolen = 0;       ///< tasks that other loops took from it
    std::uint64_t shared_taken = 0;  ///< tasks that it took from the queue that belongs to no loop
    std::uint64_t parks = 0;         ///< how often it went to sleep in the kernel
    std::uint64_t wakes_sent = 0;    ///< how often it woke another loop
    std::uint64_t wakes_received = 0;
    std::uint64_t messages = 0;  ///< from other threads, handled or put in the run queue
    std::uint64_t timers_fired = 0;
    std::uint64_t operations_submitted = 0;
    std::uint64_t operations_ended = 0;
    std::uint64_t enters = 0;     ///< system calls that submit or wait: io_uring_enter, epoll_wait
    std::uint64_t overflows = 0;  ///< how often completions were more than their queue holds; none is lost
    Duration busy{};  ///< time not spent in the system call that waits; what that does for operations is not in it
    Duration cpu{};   ///< processor time of its thread while it ran the loop, the kernel's part included

    std::uint64_t ready = 0;    ///< length of the run queue when the last turn that had one took it
    std::uint64_t offered = 0;  ///< spawned tasks that have not begun, now
    std::uint64_t timers = 0;   ///< set, now
    std::uint64_t operations_in_flight = 0;
    std::uint64_t frame_pool_bytes = 0;  ///< free memory kept for frames; looked at every millisecond at most
    std::uint64_t resting = 0;           ///< 1: it waits for work, or nobody runs it
    Duration blocked{};  ///< for how long it has been at its present step, as far as the watchdog has seen
};

/// The threads behind to_thread() and run_in_executor().
struct BlockingMetrics {
    std::uint64_t threads = 0;
    std::uint64_t idle = 0;    ///< of these, without a job
    std::uint64_t queued = 0;  ///< jobs that wait for a thread
    std::uint64_t begun = 0;   ///< jobs that a thread has taken up, ever
};

struct Metrics {
    std::vector<LoopMetrics> loops;
    BlockingMetrics blocking;
    std::uint64_t tasks = 0;   ///< made and not ended, on all loops
    std::uint64_t shared = 0;  ///< tasks in the queue that belongs to no loop
    Duration uptime{};         ///< since the runtime's start
    TimePoint time{};          ///< when the snapshot was taken
};

/// Prometheus's text format, version 0.0.4.
std::string to_prometheus(const Metrics& metrics);

/// One JSON object, in one line without its end: the fields as they are called here, times as `..._seconds`.
std::string to_json(const Metrics& metrics);

}  // namespace knit
