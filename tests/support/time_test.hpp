/// What the tests of timeouts and waits share.
#pragma once

#include "co_test.hpp"

namespace knit::test {

/// As got(), with a name for TimeoutError.
template <class A>
Coro<std::string> outcome(A awaitable, bool with_message = false) {
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<await_result_t<A>>) {
            co_await std::move(awaitable);
            co_return "void";
        } else {
            auto value = co_await std::move(awaitable);
            co_return text(value);
        }
    } catch (const TimeoutError& timed_out) {
        co_return with_message ? "!TimeoutError(" + std::string(timed_out.what()) + ")" : "!TimeoutError";
    } catch (...) {
        error = std::current_exception();
    }
    co_return error_text(error, with_message);
}
template <class A>
Coro<std::string> outcome_message(A awaitable) {
    return outcome(std::move(awaitable), true);
}

template <class T>
Coro<T> after(Duration delay, T value) {
    co_await sleep(delay);
    co_return value;
}
inline Coro<int> fail_after(Duration delay, std::string what) {
    co_await sleep(delay);
    throw Err(what);
}
/// Sleeps until it is cancelled, and says so.
inline Coro<> sleeper(Trace& log, std::string name = "cancelled") {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name);
        throw;
    }
}
/// The same with a cleanup that takes `time`.
inline Coro<> slow_sleeper(Trace& log, Duration time) {
    bool was_cancelled = false;
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        was_cancelled = true;
    }
    log("cleanup");
    co_await sleep(time);
    log("cleanup over");
    if (was_cancelled) {
        throw CancelledError();
    }
}
/// Requests that the current task has.
inline int cancelling() { return current_task()->cancelling(); }
inline std::size_t timers() { return get_running_loop().timer_count(); }
inline TimePoint now() { return get_running_loop().time(); }

/// Braces with handles in them are more than GCC 12 can take inside a coroutine.
template <class H, class... More>
std::vector<H> listed(H first, More... more) {
    std::vector<H> handles;
    handles.push_back(std::move(first));
    (handles.push_back(H(std::move(more))), ...);
    return handles;
}

}  // namespace knit::test
