/// Event: a flag that tasks of any loops wait for.
///
///   word_      set by                                                cleared by
///   kSet       set(), never together with kAwaited                   clear()
///   kAwaited   the first that waits, with the mutex                  who empties the list, with the mutex
///
/// While kAwaited is set, only who holds the mutex changes the word. set() becomes visible in its last step, which
/// touches the event for the last time: whoever sees it may destroy the event.
///
///   [event.word] set: release  ->  wait, is_set: acquire     what was done before set() is seen by whom it lets pass
#pragma once

#include <coroutine>
#include <cstdint>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync.hpp"

namespace knit {

class Event;

namespace detail {

/// Waits for an event. Lives in the awaiting frame.
class EventAwaiter : Wait, SyncWaiter {
public:
    using knit_awaiter = void;

    explicit EventAwaiter(Event& event) noexcept : Wait(&EventAwaiter::cancel_wait, "Event.wait"), event_(event) {}
    EventAwaiter(const EventAwaiter&) = delete;
    EventAwaiter& operator=(const EventAwaiter&) = delete;

    bool await_ready() const noexcept;
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        return suspend(handle.promise().task(), handle);
    }
    bool await_resume() {
        if (task != nullptr) {
            task->resumed();
            if (phase == Phase::cancelled) {
                task->throw_cancelled();
            }
        }
        return true;
    }
    /// Whoever ends the wait claims it first, set() or its own cancellation; who comes second touches nothing of the
    /// event, which may have gone.
    static bool claim(SyncWaiter& waiter) noexcept {
        bool expected = false;
        return static_cast<EventAwaiter&>(waiter).is_claimed_.compare_exchange_strong(
            expected, true, std::memory_order_relaxed);  // relaxed: one winner; the mutex orders
    }

private:
    bool suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept;
    static bool cancel_wait(Wait& wait) noexcept;

    Event& event_;
    Atomic<bool> is_claimed_{false};  ///< whoever sets the event, and this loop; see claim()
};

}  // namespace detail

/// asyncio's Event for tasks of any loops; set() and clear() also from plain threads. Constructed anywhere, also as a
/// global; usable in one runtime after another. May be destroyed as soon as set() is seen or has returned.
class Event {
public:
    constexpr Event() noexcept = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    /// Wakes all that wait, in the order of waiting; each resumes at a later turn of its loop, even if clear() comes
    /// before. Any thread.
    void set() noexcept;
    /// Any thread.
    void clear() noexcept;
    bool is_set() const noexcept { return (word_.load(std::memory_order_acquire) & kSet) != 0; }  // [event.word]
    /// Awaited: true, once the event is set; at once, without a suspension, when it is. From tasks; resumes on the
    /// task's own loop. Cancelled: CancelledError, also when the event was set meanwhile.
    detail::SyncOperation<detail::EventAwaiter, Event> wait() noexcept {
        return detail::SyncOperation<detail::EventAwaiter, Event>(*this);
    }

private:
    friend class detail::EventAwaiter;

    enum : std::uint32_t { kSet = 1, kAwaited = 2 };

    bool pass_or_wait(detail::SyncWaiter& waiter, detail::TaskCore& task) noexcept;
    bool cancel(detail::SyncWaiter& waiter) noexcept;

    detail::Atomic<std::uint32_t> word_{0};  ///< any thread; see the table above [event.word]
    detail::Mutex mutex_;
    detail::SyncWaitList waiters_;  ///< with the mutex
};

inline bool detail::EventAwaiter::await_ready() const noexcept { return event_.is_set(); }

}  // namespace knit
