/// Semaphore, BoundedSemaphore: at most so many tasks at a time, in the order of asking, whichever loops they live on.
///
/// word_ is twice the value, plus kLined while somebody waits or has been granted and has not run yet. While kLined is
/// set, only who holds the mutex changes the word; without it every change is one compare-exchange.
///
///   [sem.word] release: release  ->  acquire: acquire     what was done before release() is seen after acquire()
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <limits>
#include <utility>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync.hpp"
#include "knit/error.hpp"
#include "knit/guard.hpp"

namespace knit {

class Semaphore;

namespace detail {

/// Waits for a semaphore. Lives in the awaiting frame.
class SemaphoreAwaiter : Wait, SyncWaiter {
public:
    using knit_awaiter = void;

    explicit SemaphoreAwaiter(Semaphore& semaphore) noexcept
        : Wait(&SemaphoreAwaiter::cancel_wait, "Semaphore.acquire"), semaphore_(semaphore) {}
    SemaphoreAwaiter(const SemaphoreAwaiter&) = delete;
    SemaphoreAwaiter& operator=(const SemaphoreAwaiter&) = delete;

    bool await_ready() noexcept;
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        return suspend(handle.promise().task(), handle);
    }
    bool await_resume() {
        if (task != nullptr) [[unlikely]] {
            finish();
        }
        return true;
    }

protected:
    Semaphore& primitive() const noexcept { return semaphore_; }

private:
    bool suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept;
    void finish();
    static bool cancel_wait(Wait& wait) noexcept;

    Semaphore& semaphore_;
};

}  // namespace detail

/// asyncio's Semaphore for tasks of any loops. Fair: nobody overtakes one who waits, or who has been let in and has not
/// run yet. With a value left and nobody waiting, acquire() does not suspend. Constructed anywhere, also as a global;
/// usable in one runtime after another.
class Semaphore {
public:
    constexpr Semaphore() noexcept : Semaphore(1, kValueMax, Unchecked{}) {}
    /// ValueError when `value` is negative.
    constexpr explicit Semaphore(std::integral auto value) : Semaphore(check(value), kValueMax, Unchecked{}) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    /// Awaited: true, with the value one less. From tasks; resumes on the task's own loop.
    /// Cancelled: CancelledError; what was granted already goes to the next, or back to the value.
    detail::SyncOperation<detail::SemaphoreAwaiter, Semaphore> acquire() noexcept {
        return detail::SyncOperation<detail::SemaphoreAwaiter, Semaphore>(*this);
    }
    /// The same; gives a Guard that releases at the end of its scope.
    detail::SyncOperation<detail::ScopedAwaiter<detail::SemaphoreAwaiter>, Semaphore> scoped() noexcept {
        return detail::SyncOperation<detail::ScopedAwaiter<detail::SemaphoreAwaiter>, Semaphore>(*this);
    }
    /// One more, or the longest waiting task is let in. Any thread. A BoundedSemaphore that would exceed its first
    /// value: ValueError.
    void release() {
        std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
        while ((word & kLined) == 0) {
            if (word / kOne >= bound_) [[unlikely]] {
                throw_released_too_often();
            }
            if (word_.compare_exchange_weak(word, word + kOne, std::memory_order_release,  // [sem.word]
                                            std::memory_order_relaxed)) {  // relaxed: tried again
                return;
            }
        }
        release_slow();
    }
    /// Whether acquire() would have to wait.
    bool locked() const noexcept {
        const std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: a glance, it promises nothing
        return word < kOne || (word & kLined) != 0;
    }

protected:
    struct Unchecked {};

    static constexpr std::int64_t kValueMax = std::numeric_limits<std::int64_t>::max() / 4;

    constexpr Semaphore(std::int64_t value, std::int64_t bound, Unchecked) noexcept
        : word_(value * kOne), bound_(bound) {}

    static constexpr std::int64_t check(std::integral auto value) {
        if (std::cmp_less(value, 0)) {
            throw ValueError("Semaphore initial value must be >= 0");
        }
        if (std::cmp_greater(value, kValueMax)) {
            throw ValueError("Semaphore initial value is too large");
        }
        return static_cast<std::int64_t>(value);
    }

private:
    friend class detail::SemaphoreAwaiter;

    static constexpr std::int64_t kLined = 1;
    static constexpr std::int64_t kOne = 2;

    bool try_acquire() noexcept {
        std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
        while (word >= kOne && (word & kLined) == 0) {
            if (word_.compare_exchange_weak(word, word - kOne, std::memory_order_acquire,  // [sem.word]
                                            std::memory_order_relaxed)) {  // relaxed: tried again
                return true;
            }
        }
        return false;
    }
    bool acquire_or_line_up(detail::SyncWaiter& waiter, detail::TaskCore& task) noexcept;
    KNIT_NOINLINE void release_slow();
    void arrive(detail::SyncWaiter& waiter, bool gives_back) noexcept;
    bool cancel(detail::SyncWaiter& waiter) noexcept;
    void let_in(detail::WakeList& woken, std::int64_t value) noexcept;
    [[noreturn]] static void throw_released_too_often();

    detail::Atomic<std::int64_t> word_;  ///< any thread; see above [sem.word]
    const std::int64_t bound_;           ///< the value never exceeds it
    detail::Mutex mutex_;
    detail::SyncWaitList waiters_;  ///< with the mutex
    std::size_t granted_ = 0;       ///< let in, but their tasks have not run yet; with the mutex
};

inline bool detail::SemaphoreAwaiter::await_ready() noexcept { return semaphore_.try_acquire(); }

/// A Semaphore whose release() throws ValueError "BoundedSemaphore released too many times" above the first value.
class BoundedSemaphore : public Semaphore {
public:
    constexpr BoundedSemaphore() noexcept : Semaphore(1, 1, Unchecked{}) {}
    /// ValueError when `value` is negative.
    constexpr explicit BoundedSemaphore(std::integral auto value)
        : Semaphore(check(value), check(value), Unchecked{}) {}
};

}  // namespace knit
