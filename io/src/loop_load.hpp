/// LoopLoad: how many connections of servers a loop has, and which. Lives in the loop's driver, so as long as the loop.
///
///   [load.count]  relaxed at both ends: a hint for where the next connection goes, which publishes nothing
#pragma once

#include <cstdint>
#include <mutex>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class Connection;
class Worker;

class LoopLoad {
public:
    // Any thread.

    std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }  // [load.count]
    void add() noexcept { connections_.fetch_add(1, std::memory_order_relaxed); }                        // [load.count]
    void remove() noexcept { connections_.fetch_sub(1, std::memory_order_relaxed); }                     // [load.count]

    /// Whether `worker`, whose load this is, has been inside one step since the last look, and that is not just now. A
    /// loop that nobody has looked at for a while is looked at for the first time: no.
    bool is_stuck(const Worker& worker, TimePoint now) noexcept;

    /// The connections of this loop that have begun, of all servers.
    std::mutex mutex;
    Connection* first = nullptr;

private:
    Atomic<std::uint32_t> connections_{0};  ///< accepting and ending connections count, choosers read [load.count]
    // What the last look found; whoever looks writes. Two at a time may mix: a hint that is wrong for one connection.
    Atomic<std::uint64_t> seen_steps_{0};
    Atomic<std::int64_t> seen_since_{0};  ///< nanoseconds on the loops' clock
};

/// The load of a loop that runs on io's driver.
LoopLoad& load_of(Worker& worker) noexcept;

/// The loop of the runtime of `here` for one more connection that `here` has accepted: that with the fewest, and `here`
/// itself when that has as few. Counts nothing.
Worker& choose_loop(Worker& here) noexcept;

}  // namespace knit::detail
