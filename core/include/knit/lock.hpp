/// Lock: one task at a time, in the order of asking, whichever loops the tasks live on.
///
///   word_      set by                                     cleared by
///   kLocked    acquire                                    release
///   kLined     the first that waits, with the mutex       the last that leaves the line, with the mutex
///
/// While kLined is set, only who holds the mutex changes the word; without it every change is one compare-exchange.
///
///   [lock.word] release: release  ->  acquire: acquire     what was done under the lock is seen under it
#pragma once

#include <coroutine>
#include <cstdint>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync.hpp"
#include "knit/guard.hpp"

namespace knit {

class Lock;

namespace detail {

class ConditionAwaiter;

/// Waits in the line of a lock. Lives in the awaiting frame.
class LockAwaiter : Wait, SyncWaiter {
public:
    using knit_awaiter = void;

    explicit LockAwaiter(Lock& lock) noexcept : Wait(&LockAwaiter::cancel_wait, "Lock.acquire"), lock_(lock) {}
    LockAwaiter(const LockAwaiter&) = delete;
    LockAwaiter& operator=(const LockAwaiter&) = delete;

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
    Lock& primitive() const noexcept { return lock_; }

private:
    bool suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept;
    void finish();
    static bool cancel_wait(Wait& wait) noexcept;

    Lock& lock_;
};

}  // namespace detail

/// asyncio's Lock for tasks of any loops: it has no owner, any task may release it, and it is not re-entrant. Fair:
/// granted in the order of asking; between release() and the moment when the next in line runs, locked() is false, but
/// nobody overtakes. A free lock is taken without a suspension. Constructed anywhere, also as a global; usable in one
/// runtime after another. May be destroyed as soon as nobody holds it or waits for it.
class Lock {
public:
    constexpr Lock() noexcept = default;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    /// Awaited: true, with the lock held. From tasks; resumes on the task's own loop.
    /// Cancelled: CancelledError, the lock is not held; one that was granted already goes to the next in line.
    detail::SyncOperation<detail::LockAwaiter, Lock> acquire() noexcept {
        return detail::SyncOperation<detail::LockAwaiter, Lock>(*this);
    }
    /// The same; gives a Guard that releases at the end of its scope.
    detail::SyncOperation<detail::ScopedAwaiter<detail::LockAwaiter>, Lock> scoped() noexcept {
        return detail::SyncOperation<detail::ScopedAwaiter<detail::LockAwaiter>, Lock>(*this);
    }
    /// Lets the next in line have it, at a later turn of its loop. Any thread. RuntimeError "Lock is not acquired.".
    void release() {
        if (!try_release()) [[unlikely]] {
            throw_not_acquired();
        }
    }
    bool locked() const noexcept {
        return (word_.load(std::memory_order_relaxed) & kLocked) != 0;  // relaxed: a glance, it promises nothing
    }

private:
    friend class detail::LockAwaiter;
    friend class detail::ConditionAwaiter;

    enum : std::uint32_t { kFree = 0, kLocked = 1, kLined = 2 };

    bool try_acquire() noexcept {
        std::uint32_t expected = kFree;
        return word_.compare_exchange_strong(expected, kLocked, std::memory_order_acquire,  // [lock.word]
                                             std::memory_order_relaxed);  // relaxed: the slow path looks again
    }
    bool try_release() noexcept {
        std::uint32_t expected = kLocked;
        return word_.compare_exchange_strong(expected, kFree, std::memory_order_release,  // [lock.word]
                                             std::memory_order_relaxed) ||  // relaxed: the slow path looks again
               release_slow();
    }
    bool acquire_or_line_up(detail::SyncWaiter& waiter, detail::TaskCore& task) noexcept;
    KNIT_NOINLINE bool release_slow() noexcept;
    void leave_line(detail::SyncWaiter& waiter, bool takes_lock) noexcept;
    bool cancel(detail::SyncWaiter& waiter) noexcept;
    [[noreturn]] static void throw_not_acquired();

    detail::Atomic<std::uint32_t> word_{kFree};  ///< any thread; see the table above [lock.word]
    detail::Mutex mutex_;
    detail::WaiterLine line_;  ///< with the mutex
};

inline bool detail::LockAwaiter::await_ready() noexcept { return lock_.try_acquire(); }

}  // namespace knit
