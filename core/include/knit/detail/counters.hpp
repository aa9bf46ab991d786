/// Counters: what a loop counts of itself, for whoever looks (metrics.hpp). Each has one writer, the loop's thread, and
/// publishes nothing: plain loads and stores, no locked instruction.
#pragma once

#include <cstddef>
#include <cstdint>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// A number that one thread writes and any thread reads.
class Count {
public:
    /// The writer.
    void add(std::uint64_t more = 1) noexcept { set(value_.load(std::memory_order_relaxed) + more); }  // relaxed: own
    void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }  // relaxed: a number
    /// Any thread.
    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }  // relaxed: a number alone

private:
    Atomic<std::uint64_t> value_{0};  ///< one thread writes, any thread reads; publishes nothing
};

/// For how long a loop has been at work, in one word, so that every look at it is right: while it rests twice the time
/// that it has worked; while it works twice (the moment at which it began, less the time before that), and one. Which
/// clock that is the writer and the readers agree on.
class BusyClock {
public:
    /// The writer.
    void begin(TimePoint now) noexcept { store((since_epoch(now) - half()) * 2 + 1); }
    void end(TimePoint now) noexcept { store((since_epoch(now) - half()) * 2); }

    /// Any thread; `read_clock` gives the present time. It never goes back.
    template <class ReadClock>
    Duration total(ReadClock read_clock) const noexcept {
        std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: a number alone
        for (;;) {
            if (word % 2 == 0) {
                return tell(word / 2);
            }
            const std::int64_t now = since_epoch(read_clock());
            // Ends: the loop parks and wakes between two looks only if this thread is slower than its system calls.
            const std::int64_t after = word_.load(std::memory_order_relaxed);  // relaxed: a number alone
            if (after == word) {
                return tell(now - word / 2);
            }
            word = after;
        }
    }

private:
    /// A reader may look at the clock a moment after the loop has, and the loop's word comes after that.
    Duration tell(std::int64_t total) const noexcept {
        std::int64_t most = told_.load(std::memory_order_relaxed);  // relaxed: a number alone
        while (most < total) {
            if (told_.compare_exchange_weak(most, total, std::memory_order_relaxed)) {  // relaxed: a number alone
                return Duration(total);
            }
        }
        return Duration(most);
    }
    static std::int64_t since_epoch(TimePoint time) noexcept {
        return std::chrono::duration_cast<Duration>(time.time_since_epoch()).count();
    }
    std::int64_t half() const noexcept { return word_.load(std::memory_order_relaxed) / 2; }  // relaxed: own
    void store(std::int64_t word) noexcept { word_.store(word, std::memory_order_relaxed); }  // relaxed: a number

    Atomic<std::int64_t> word_{0};  ///< the loop writes, any thread reads; publishes nothing
    mutable Atomic<std::int64_t> told_{0};  ///< the most that a reader was told; readers write it; publishes nothing
};

/// Of the scheduler. A cache line of their own: nobody else writes there, but readers a word of the clocks.
struct alignas(kCacheLine) WorkerCounters {
    Count turns;
    Count offers;  ///< as of the last look at the ring, or of the loop's last rest
    Count parks;
    Count wakes_sent;
    Count wakes_received;
    Count messages;
    Count timers_fired;
    Count shared_taken;
    Count ready;   ///< how many stood in the last turn's batch
    Count timers;  ///< set now
    Count frame_pool_bytes;
    BusyClock busy;  ///< on the loop's clock
    BusyClock cpu;   ///< on its thread's clock of processor time
};

/// Of the loop's driver.
struct alignas(kCacheLine) DriverCounters {
    Count submitted;
    Count ended;
    Count enters;
    Count overflows;
};

}  // namespace knit::detail
