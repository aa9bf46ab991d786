/// LoopLoad: how many connections of servers a loop has, and which. The loop's driver has it, and every server that the
/// loop serves: a connection may end after its loop.
///
///   [load.count]  relaxed at both ends: a hint for where the next connection goes, which publishes nothing
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class Connection;
class TaskCore;
class Worker;

class LoopLoad {
public:
    // Any thread.

    std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }  // [load.count]
    void add() noexcept { connections_.fetch_add(1, std::memory_order_relaxed); }                        // [load.count]
    void remove() noexcept { connections_.fetch_sub(1, std::memory_order_relaxed); }                     // [load.count]

    /// Whether `worker`, whose load this is, may be in the middle of a long step: it is not at rest, and has not been
    /// seen to go on just now. True of a busy loop that nobody has looked at for a while.
    bool is_stuck(const Worker& worker, TimePoint now) noexcept;

    /// How long it ran or could have run, in thousandths of the last window that is over.
    unsigned busy_permille(const Worker& worker, TimePoint now) noexcept;
    /// The loop is about to be given a connection; false when it has been given one in this window.
    bool claim_take(TimePoint now) noexcept;

    // Owner thread: for rebalance().

    /// Notes that `task` asks; whether it may be time for a closer look.
    bool may_look(const Worker& worker, const TaskCore* task) noexcept;
    /// Whether a window is over in which several tasks asked, and the loop need not wait with giving.
    bool may_give(TimePoint now) noexcept;
    void count_give(TimePoint now) noexcept;

    /// The connections of this loop that have begun, of all servers.
    std::mutex mutex;
    Connection* first = nullptr;

private:
    Atomic<std::uint32_t> connections_{0};  ///< accepting and ending connections count, choosers read [load.count]
    // What the last look found, in steps and in nanoseconds on the loop clock. Whoever looks writes; two at a time may
    // mix: a hint that is wrong for one connection.
    Atomic<std::uint64_t> steps_seen_{0};
    Atomic<std::int64_t> looked_at_{0};
    Atomic<std::int64_t> moving_at_{0};  ///< when it was last seen at rest or to have gone on

    static constexpr unsigned kCallsPerLook = 256;
    static constexpr std::chrono::milliseconds kFirstPause{20};

    TimePoint taken_at() const noexcept {
        return TimePoint(Duration(taken_at_.load(std::memory_order_relaxed)));  // relaxed: a time alone
    }

    // The owner's.
    const TaskCore* last_task_ = nullptr;  ///< only ever compared
    unsigned task_changes_ = 0;            ///< in this window
    unsigned calls_ = 0;
    std::uint32_t looked_ms_ = 0;
    TimePoint next_look_{};
    TimePoint next_give_{};
    Duration pause_ = kFirstPause;

    Atomic<std::int64_t> taken_at_{0};  ///< nanoseconds; whoever gives writes, all read; publishes nothing
    std::mutex sample_mutex_;
    TimePoint sampled_at_{};
    Duration sampled_run_{};
    unsigned busy_permille_ = 0;
};

/// The load of a loop that runs, on io's driver.
LoopLoad& load_of(Worker& worker) noexcept;
std::shared_ptr<LoopLoad> share_load_of(Worker& worker) noexcept;

/// The loop of the runtime of `here` for one more connection that `here` has accepted: that with the fewest, and `here`
/// itself when that has as few. Counts nothing.
Worker& choose_loop(Worker& here) noexcept;

}  // namespace knit::detail
