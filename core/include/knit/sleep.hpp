/// sleep, sleep_until, yield: give the loop to others for a while.
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/timers.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/time.hpp"

namespace knit {
namespace detail {

/// One turn of the loop.
class YieldAwaiter {
public:
    using knit_awaiter = void;

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        task_ = &handle.promise().task();
        task_->suspend(handle, nullptr);
        task_->wake();
    }
    void await_resume() { task_->resumed(); }

private:
    TaskCore* task_ = nullptr;
};

/// Until the loop's clock has reached a time. It is its own timer, in the awaiting frame; small, as there are millions.
class SleepAwaiter : Wait, Timer {
public:
    using knit_awaiter = void;

    explicit SleepAwaiter(Duration delay) noexcept : Wait(&SleepAwaiter::cancel_sleep, "sleep"), when_(delay) {
        run = &SleepAwaiter::elapsed;
    }
    explicit SleepAwaiter(TimePoint deadline) noexcept
        : Wait(&SleepAwaiter::cancel_sleep, "sleep"), is_absolute_(true), when_(deadline.time_since_epoch()) {
        run = &SleepAwaiter::elapsed;
    }

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        if (is_awaited_) [[unlikely]] {
            throw_reused();
        }
        TaskCore& task = handle.promise().task();
        Worker& here = *task.home();
        const bool is_turn = !is_absolute_ && when_ <= Duration::zero();
        if (!is_turn) {
            here.set_timer(*this, is_absolute_ ? TimePoint(when_) : after(here.now(), when_));
        }
        is_awaited_ = true;
        task_ = &task;
        task.suspend(handle, is_turn ? nullptr : this);
        if (is_turn) {
            task.wake();
        }
    }
    void await_resume() {
        task_->resumed();
        if (is_cancelled_) {
            task_->throw_cancelled();
        }
    }

private:
    [[noreturn]] static void throw_reused() {
        throw RuntimeError("a sleep() was awaited before: call sleep() again for another one");
    }
    static bool cancel_sleep(Wait& wait) noexcept {
        auto& self = static_cast<SleepAwaiter&>(wait);
        if (self.is_over_ || self.is_cancelled_) {
            return false;
        }
        // A timer that is due stands in the run queue, ahead of the task, and will find the sleep cancelled.
        self.task_->home()->cancel_timer(self);
        self.is_cancelled_ = true;
        self.task_->wake();
        return true;
    }
    static void elapsed(Worker&, Work& work) noexcept {
        auto& self = static_cast<SleepAwaiter&>(static_cast<Timer&>(work));
        if (!self.is_cancelled_) {
            self.is_over_ = true;
            self.task_->wake();
        }
    }

    bool is_absolute_ = false;
    bool is_awaited_ = false;
    bool is_over_ = false;
    bool is_cancelled_ = false;
    union {
        Duration when_;  ///< until it is awaited: from then on; if it is absolute, since the epoch of the loop's clock
        TaskCore* task_;
    };
};
static_assert(sizeof(SleepAwaiter) <= 48);

template <class Rep, class Period>
Duration sleep_time(std::chrono::duration<Rep, Period> delay) {
    if constexpr (std::is_floating_point_v<Rep>) {
        if (delay.count() != delay.count()) {
            throw ValueError("Invalid delay: NaN (not a number)");
        }
    }
    return saturate(delay);
}

}  // namespace detail

/// One turn of the loop: what is ready runs first. Cancelled: CancelledError at that turn.
[[nodiscard]] inline detail::YieldAwaiter yield() noexcept { return {}; }

/// Suspends the current task for at least `delay`; zero or less is one turn of the loop. Cancelled: ends at once.
template <class Rep, class Period>
[[nodiscard]] detail::SleepAwaiter sleep(std::chrono::duration<Rep, Period> delay) {
    return detail::SleepAwaiter(detail::sleep_time(delay));
}

/// Until the loop's clock has reached `deadline`; a time in the past is one turn.
[[nodiscard]] inline detail::SleepAwaiter sleep_until(TimePoint deadline) noexcept {
    return detail::SleepAwaiter(deadline);
}

namespace detail {

template <class T>
class SleepValueAwaiter : public SleepAwaiter {
public:
    template <class U>
    SleepValueAwaiter(Duration delay, U&& value) : SleepAwaiter(delay), value_(std::forward<U>(value)) {}
    T await_resume() {
        SleepAwaiter::await_resume();
        return std::move(value_);
    }

private:
    T value_;
};

}  // namespace detail

/// sleep() that gives `value` when it is over.
template <class Rep, class Period, class T>
[[nodiscard]] detail::SleepValueAwaiter<std::decay_t<T>> sleep(std::chrono::duration<Rep, Period> delay, T&& value) {
    return {detail::sleep_time(delay), std::forward<T>(value)};
}

}  // namespace knit
