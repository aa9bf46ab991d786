/// Condition: tasks of any loops wait, under a lock, until another one says that something has changed.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <type_traits>

#include "knit/coro.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync.hpp"
#include "knit/lock.hpp"

namespace knit {

class Condition;

namespace detail {

/// Gives the lock up and waits for a notification. Lives in the frame of Condition::wait().
class ConditionAwaiter : Wait, SyncWaiter {
public:
    using knit_awaiter = void;
    using SyncWaiter::is_orphan;

    explicit ConditionAwaiter(Condition& condition) noexcept
        : Wait(&ConditionAwaiter::cancel_wait, "Condition.wait"), condition_(condition) {}
    ConditionAwaiter(const ConditionAwaiter&) = delete;
    ConditionAwaiter& operator=(const ConditionAwaiter&) = delete;

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        suspend(handle.promise().task(), handle);
    }
    void await_resume() {
        task->resumed();
        if (phase == Phase::cancelled) {
            task->throw_cancelled();
        }
    }

private:
    void suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept;
    static bool cancel_wait(Wait& wait) noexcept;

    Condition& condition_;
};

}  // namespace detail

/// asyncio's Condition for tasks of any loops. Constructed anywhere, also as a global; usable in one runtime after
/// another.
///
///     const Guard guard = co_await condition.scoped();
///     co_await condition.wait_for([&] { return !items.empty(); });
class Condition {
public:
    /// With a lock of its own.
    constexpr Condition() noexcept : lock_(own_) {}
    /// With a lock that others may use too; it must outlive the condition.
    constexpr explicit Condition(Lock& lock) noexcept : lock_(lock) {}
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;

    // The lock's.

    auto acquire() noexcept { return lock_.acquire(); }
    auto scoped() noexcept { return lock_.scoped(); }
    void release() { lock_.release(); }
    bool locked() const noexcept { return lock_.locked(); }

    /// Gives the lock up, waits to be notified, acquires the lock again: true. May also end without a notification.
    /// RuntimeError "cannot wait on un-acquired lock". From tasks; resumes on the task's own loop.
    /// Cancelled: CancelledError, once the lock is held again; a notification that it had got goes to the next.
    Coro<bool> wait();
    /// Waits until `predicate()`, called under the lock, gives something truthy, and gives that.
    template <std::invocable F>
    Coro<std::invoke_result_t<F&>> wait_for(F predicate) {
        static_assert(!detail::CoroFunction<F>, "wait_for() takes a plain predicate, not a coroutine function");
        for (;;) {
            auto&& result = predicate();
            if (result) {
                co_return static_cast<std::invoke_result_t<F&>&&>(result);
            }
            co_await wait();
        }
    }
    /// Wakes the `count` tasks that wait longest; each goes on once it has the lock. Any thread, while the lock is
    /// held: else RuntimeError "cannot notify on un-acquired lock".
    void notify(std::size_t count = 1);
    /// The same for all that wait.
    void notify_all();

private:
    friend class detail::ConditionAwaiter;

    void expect_locked() const;
    void wake(std::size_t count) noexcept;

    Lock own_;
    Lock& lock_;
    detail::Mutex mutex_;
    detail::SyncWaitList waiters_;  ///< with the mutex
};

}  // namespace knit
