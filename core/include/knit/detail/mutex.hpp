/// Mutex: guards the few words that the tasks of several loops share: a lock's or a queue's state and its waiters.
///
/// It is held for a handful of instructions and never over an await, a callback or anything else of the user's but the
/// move of a queue's item. A thread that finds it held spins a little, then sleeps in the kernel, so that a holder that
/// lost its processor is not waited for at full speed.
///
///   threads   any
///   [mutex.hold] unlock: release  ->  lock: acquire     what the holder before wrote is seen
#pragma once

#include "knit/detail/base.hpp"

namespace knit::detail {

class Mutex {
public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock() noexcept {
        std::uint32_t expected = kFree;
        if (!word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,  // [mutex.hold]
                                           std::memory_order_relaxed)) [[unlikely]] {   // relaxed: tried again there
            lock_slow();
        }
    }
    /// The last touch: whoever takes the mutex next may destroy it.
    void unlock() noexcept {
        if (word_.exchange(kFree, std::memory_order_release) == kAwaited) [[unlikely]] {  // [mutex.hold]
            word_.notify_one();  // by address alone
        }
    }

private:
    enum : std::uint32_t { kFree, kHeld, kAwaited };  ///< kAwaited: held, and perhaps somebody sleeps

    KNIT_NOINLINE void lock_slow() noexcept {
        for (int spin = 0; spin < kSpins; ++spin) {
            std::uint32_t expected = kFree;
            if (word_.load(std::memory_order_relaxed) == kFree &&                            // relaxed: a glance
                word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,    // [mutex.hold]
                                              std::memory_order_relaxed)) {  // relaxed: tried again
                return;
            }
            cpu_relax();
        }
        while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) {  // [mutex.hold]
            word_.wait(kAwaited, std::memory_order_relaxed);  // relaxed: the exchange orders
        }
    }

#if defined(KNIT_MODEL)
    static constexpr int kSpins = 1;  // the explorer has seen all of it then
#else
    static constexpr int kSpins = 100;
#endif
    Atomic<std::uint32_t> word_{kFree};  ///< any thread; publishes what it guards [mutex.hold]
};

}  // namespace knit::detail
