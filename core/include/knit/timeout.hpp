/// timeout(), timeout_scope(), with_timeout(), wait_for(): an end by a deadline. A deadline cancels the current task at
/// its await and becomes a TimeoutError on the way out; cancellations from outside pass as they are.
#pragma once

#include <chrono>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/wait_core.hpp"
#include "knit/error.hpp"
#include "knit/gather.hpp"
#include "knit/time.hpp"

namespace knit {

class Timeout;

namespace detail {

class Alarm;
class TimeoutGuard;

/// A timeout as it was given: ValueError for NaN.
template <class Rep, class Period>
std::optional<Duration> checked_limit(std::chrono::duration<Rep, Period> limit) {
    if constexpr (std::is_floating_point_v<Rep>) {
        if (limit.count() != limit.count()) {
            throw ValueError("Invalid delay: NaN (not a number)");
        }
    }
    return saturate(limit);
}

}  // namespace detail

/// A deadline for the body of a timeout_scope(). Threads: the loop that the body's task is on.
class Timeout {
public:
    /// None: never.
    explicit Timeout(std::optional<TimePoint> when) noexcept : when_(when) {}
    Timeout(const Timeout&) = delete;
    Timeout& operator=(const Timeout&) = delete;
    ~Timeout();

    /// The deadline, on the loop's clock; none: never.
    std::optional<TimePoint> when() const noexcept { return when_; }
    /// Whether the deadline has cancelled the body.
    bool expired() const noexcept { return state_ == State::expiring || state_ == State::expired; }
    /// Moves the deadline; one in the past takes effect when the body next suspends, none takes it away. RuntimeError
    /// outside the body, once it has expired, or on another loop than the body's.
    void reschedule(std::optional<TimePoint> when);

private:
    friend class detail::Alarm;
    friend class detail::TimeoutGuard;

    enum class State : std::uint8_t { created, active, expiring, expired, finished };

    void enter(detail::TaskCore& task);
    bool leave() noexcept;
    void arm(std::optional<TimePoint> when, detail::Worker& here);
    void disarm(detail::Worker& here) noexcept;
    void expire() noexcept;

    std::optional<TimePoint> when_;
    detail::Alarm* alarm_ = nullptr;  ///< set while the deadline is to come
    detail::TaskCore* task_ = nullptr;
    int cancelling_ = 0;  ///< requests that the task had before
    State state_ = State::created;
};

namespace detail {

/// The task of the awaiting coroutine; does not suspend.
class ThisTask {
public:
    using knit_awaiter = void;

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        task_ = &handle.promise().task();
        return false;
    }
    TaskCore& await_resume() const noexcept { return *task_; }

private:
    TaskCore* task_ = nullptr;
};

/// The body of a timeout runs as long as this lives, or until leave().
class TimeoutGuard {
public:
    TimeoutGuard(Timeout& timeout, TaskCore& task) : timeout_(&timeout) { timeout.enter(task); }
    TimeoutGuard(const TimeoutGuard&) = delete;
    TimeoutGuard& operator=(const TimeoutGuard&) = delete;
    ~TimeoutGuard() { leave(); }

    /// True when the deadline is what cancelled the task, and nobody else has.
    bool leave() noexcept { return timeout_ != nullptr && std::exchange(timeout_, nullptr)->leave(); }

private:
    Timeout* timeout_;
};

// What a scope gets its Timeout from, at its start.

struct TimeoutAfter {
    std::optional<Duration> delay;
    Timeout start(TaskCore& task) const noexcept {
        return Timeout(delay ? std::optional(after(task.home()->now(), *delay)) : std::nullopt);
    }
};
struct TimeoutUntil {
    std::optional<TimePoint> when;
    Timeout start(TaskCore&) const noexcept { return Timeout(when); }
};
struct TimeoutGiven {
    Timeout* timeout;
    Timeout& start(TaskCore&) const noexcept { return *timeout; }
};

/// Awaits what `body(timeout)` gives, in the current task.
template <class T, class Limit, class F>
Coro<T> run_in_timeout(Limit limit, F body) {
    TaskCore& task = co_await ThisTask();
    decltype(auto) timeout = limit.start(task);
    TimeoutGuard guard(timeout, task);
    try {
        co_return co_await body(timeout);
    } catch (const CancelledError&) {
        if (guard.leave()) {
            throw TimeoutError("");
        }
        throw;
    }
}

/// A callable that is given the Timeout and returns a coroutine.
template <class F>
concept TimeoutBody = requires(F& body, Timeout& timeout) {
    typename coro_value<std::remove_cvref_t<decltype(body(timeout))>>::type;
};
template <TimeoutBody F>
using timeout_body_t = typename coro_value<std::remove_cvref_t<std::invoke_result_t<F&, Timeout&>>>::type;

/// What a function is to keep of an awaitable until it awaits it: the thing itself, of a gather that stays with its
/// owner the future.
template <class A>
auto keep_awaitable(A&& awaitable) {
    if constexpr (std::is_lvalue_reference_v<A> && requires { awaitable.future(); }) {
        return Future<child_t<A>>(awaitable.future());
    } else {
        return std::remove_cvref_t<A>(std::forward<A>(awaitable));
    }
}

/// A timeout's body that is an awaitable.
template <class A>
class AwaitKept {
public:
    explicit AwaitKept(A&& awaitable) : awaitable_(std::move(awaitable)) {}
    A&& operator()(Timeout&) noexcept { return std::move(awaitable_); }

private:
    A awaitable_;
};

template <class Limit, class A>
Coro<child_t<A>> await_in_timeout(Limit limit, A&& awaitable) {
    using Kept = decltype(keep_awaitable(std::forward<A>(awaitable)));
    return run_in_timeout<child_t<A>>(limit, AwaitKept<Kept>(keep_awaitable(std::forward<A>(awaitable))));
}

/// wait_for() without any time: what is done gives its result, all else is cancelled.
template <class T, class A>
Coro<T> wait_for_nothing(A awaitable) {
    const CoreRef child = into_child(std::move(awaitable));
    const bool was_done = child->is_done();
    if (!was_done) {
        child->cancel({});
        co_await SettledAwaiter(*child);
    }
    try {
        co_return take_result<T>(*child, child->is_sole_reference());
    } catch (const CancelledError&) {
        if (was_done) {
            throw;
        }
        throw TimeoutError("");
    }
}

template <class A>
Coro<child_t<A>> wait_for_within(A&& awaitable, std::optional<Duration> limit) {
    if (limit && *limit <= Duration::zero()) {
        auto kept = keep_awaitable(std::forward<A>(awaitable));
        return wait_for_nothing<child_t<A>, decltype(kept)>(std::move(kept));
    }
    return await_in_timeout(TimeoutAfter{limit}, std::forward<A>(awaitable));
}

}  // namespace detail

/// A deadline `delay` from now, for timeout_scope(timeout, body), which may be looked at after the body. RuntimeError
/// "no running event loop".
template <class Rep, class Period>
[[nodiscard]] Timeout timeout(std::chrono::duration<Rep, Period> delay) {
    return Timeout(detail::after(detail::running_worker().now(), *detail::checked_limit(delay)));
}
/// One that never comes, unless it is rescheduled.
[[nodiscard]] inline Timeout timeout(std::nullopt_t) noexcept { return Timeout(std::nullopt); }
[[nodiscard]] inline Timeout timeout_at(std::optional<TimePoint> when) noexcept { return Timeout(when); }

/// Runs `body(timeout)`, which returns a coroutine, inline in the current task; when `delay` passes first, the body is
/// cancelled at its await, and once it has ended by that CancelledError, TimeoutError is thrown. `body` is kept until
/// its coroutine has ended. The result is the body's, without a turn of the loop. A body that goes on to another loop
/// takes its deadline along. Lazy; `delay` counts from the start. nullopt: no deadline.
/// Cancelled: so is the body, and CancelledError comes out, whether or not the deadline passed meanwhile.
/// Throws what the body throws.
template <class Rep, class Period, detail::TimeoutBody F>
Coro<detail::timeout_body_t<F>> timeout_scope(std::chrono::duration<Rep, Period> delay, F body) {
    return detail::run_in_timeout<detail::timeout_body_t<F>>(detail::TimeoutAfter{detail::checked_limit(delay)},
                                                             std::move(body));
}
template <detail::TimeoutBody F>
Coro<detail::timeout_body_t<F>> timeout_scope(std::optional<Duration> delay, F body) {
    return detail::run_in_timeout<detail::timeout_body_t<F>>(detail::TimeoutAfter{delay}, std::move(body));
}
/// The same with a Timeout of the caller's, which must live as long. RuntimeError "Timeout has already been entered"
/// the second time.
template <detail::TimeoutBody F>
Coro<detail::timeout_body_t<F>> timeout_scope(Timeout& timeout, F body) {
    return detail::run_in_timeout<detail::timeout_body_t<F>>(detail::TimeoutGiven{&timeout}, std::move(body));
}
/// The same with a time on the loop's clock. One in the past takes effect when the body first suspends.
template <detail::TimeoutBody F>
Coro<detail::timeout_body_t<F>> timeout_scope_at(std::optional<TimePoint> when, F body) {
    return detail::run_in_timeout<detail::timeout_body_t<F>>(detail::TimeoutUntil{when}, std::move(body));
}

/// timeout_scope() around one awaitable: a coroutine runs inline in the current task; a task or future is cancelled by
/// the deadline. TimeoutError comes when that has ended.
template <class Rep, class Period, Child A>
Coro<child_t<A>> with_timeout(std::chrono::duration<Rep, Period> delay, A&& awaitable) {
    return detail::await_in_timeout(detail::TimeoutAfter{detail::checked_limit(delay)}, std::forward<A>(awaitable));
}
template <Child A>
Coro<child_t<A>> with_timeout(std::optional<Duration> delay, A&& awaitable) {
    return detail::await_in_timeout(detail::TimeoutAfter{delay}, std::forward<A>(awaitable));
}
template <Child A>
Coro<child_t<A>> with_timeout_at(std::optional<TimePoint> when, A&& awaitable) {
    return detail::await_in_timeout(detail::TimeoutUntil{when}, std::forward<A>(awaitable));
}

/// with_timeout(), asyncio's way round; but a limit of zero or less starts nothing: what is done already gives its
/// result, a coroutine never runs, a task or future is cancelled and waited for, then TimeoutError.
/// Cancelled: so is what is awaited, and CancelledError comes out, never TimeoutError.
template <Child A, class Rep, class Period>
Coro<child_t<A>> wait_for(A&& awaitable, std::chrono::duration<Rep, Period> limit) {
    return detail::wait_for_within(std::forward<A>(awaitable), detail::checked_limit(limit));
}
template <Child A>
Coro<child_t<A>> wait_for(A&& awaitable, std::optional<Duration> limit) {
    return detail::wait_for_within(std::forward<A>(awaitable), limit);
}

}  // namespace knit
