/// Coro<T>: what calling a coroutine function gives.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

#include "knit/detail/promise.hpp"
#include "knit/error.hpp"

namespace knit {
namespace detail {

/// In debug mode: logs that the coroutine is dropped unstarted.
void warn_never_awaited(const PromiseBase& promise) noexcept;

template <class T>
class CoroAwaiter {
public:
    using knit_awaiter = void;
    using Handle = std::coroutine_handle<Promise<T>>;

    explicit CoroAwaiter(Handle handle) noexcept : handle_(handle) {}

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
        TaskCore& task = parent.promise().task();
        handle_.promise().start_inline(task, parent);
        return PromiseBase::transfer(task, handle_);
    }
    T await_resume() { return handle_.promise().slot().take(); }

private:
    Handle handle_;
};

}  // namespace detail

/// A coroutine object: lazy, nothing runs until it is awaited (inline, in the current task, without a turn of the loop)
/// or given to create_task(), spawn(), gather() or run(). Destroyed unstarted it never runs. Not thread-safe.
template <class T = void>
class [[nodiscard]] Coro {
public:
    using promise_type = detail::Promise<T>;
    using value_type = T;

    Coro() noexcept = default;
    explicit Coro(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    Coro(Coro&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Coro& operator=(Coro&& other) noexcept {
        if (this != &other) {
            drop();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Coro() { drop(); }

    /// Whether there is a coroutine to start: not empty, not moved from, not awaited yet.
    bool valid() const noexcept { return handle_ && !handle_.promise().is_started(); }
    explicit operator bool() const noexcept { return valid(); }

    /// Drops the coroutine, without the warning that the destructor of an unstarted one gives in debug mode. Not while
    /// somebody awaits it.
    void close() noexcept {
        if (handle_) {
            std::exchange(handle_, nullptr).destroy();
        }
    }

    /// Throws RuntimeError when it has been awaited, moved from or made a task before.
    detail::CoroAwaiter<T> operator co_await() & { return start(); }
    detail::CoroAwaiter<T> operator co_await() && { return start(); }

    /// ValueError when there is no coroutine to start.
    void expect_valid() const {
        if (!valid()) [[unlikely]] {
            throw ValueError("a coroutine was expected, got an empty, moved-from or already awaited Coro");
        }
    }
    /// knit's own use.
    promise_type& promise() const noexcept { return handle_.promise(); }
    /// Gives the coroutine away, which must be valid().
    std::coroutine_handle<promise_type> take() noexcept { return std::exchange(handle_, nullptr); }
    /// Gives the coroutine away. ValueError when there is none.
    std::coroutine_handle<promise_type> release() {
        expect_valid();
        return std::exchange(handle_, nullptr);
    }

private:
    void drop() noexcept {
        if (handle_) {
            if (!handle_.promise().is_started()) [[unlikely]] {
                detail::warn_never_awaited(handle_.promise());
            }
            close();
        }
    }
    detail::CoroAwaiter<T> start() {
        if (!valid()) [[unlikely]] {
            throw_reused();
        }
        return detail::CoroAwaiter<T>(handle_);
    }
    [[noreturn]] void throw_reused() const {
        if (handle_ && !handle_.done()) {
            throw RuntimeError("coroutine is being awaited already");
        }
        throw RuntimeError("cannot reuse already awaited coroutine");
    }

    std::coroutine_handle<promise_type> handle_;
};

namespace detail {

/// A frame has to come from operator new, which puts room for a task in front of it. Clang leaves the allocation out
/// where it can follow the handle from here to its destruction.
template <class P>
std::coroutine_handle<P> allocated_handle(P& promise) noexcept {
    return std::coroutine_handle<P>::from_address(hide(std::coroutine_handle<P>::from_promise(promise).address()));
}

}  // namespace detail

template <class T>
Coro<T> detail::Promise<T>::get_return_object(std::source_location function) noexcept {
    this->function_ = this->where_ = function;
    return Coro<T>(allocated_handle<Promise<T>>(*this));
}
inline Coro<void> detail::Promise<void>::get_return_object(std::source_location function) noexcept {
    function_ = where_ = function;
    return Coro<void>(allocated_handle<Promise<void>>(*this));
}

namespace detail {

template <class T>
struct coro_value {};
template <class T>
struct coro_value<Coro<T>> {
    using type = T;
};

/// A callable that gives a coroutine: `[&]() -> knit::Coro<int> {...}`.
template <class F>
concept CoroFunction = requires(F& function) {
    typename coro_value<std::remove_cvref_t<decltype(function())>>::type;
};
template <CoroFunction F>
using coro_function_t = typename coro_value<std::remove_cvref_t<std::invoke_result_t<F&>>>::type;

/// The task bears the name of `coroutine` from now on, instead of that of what is wrapped around it.
class NameAfter {
public:
    using knit_awaiter = void;

    explicit NameAfter(const PromiseBase& coroutine) noexcept : coroutine_(coroutine) {}
    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        if (!handle.promise().continuation()) {
            TaskCore& task = handle.promise().task();
            task.set_places(coroutine_.function(), task.created());
        }
        return false;
    }
    void await_resume() const noexcept {}

private:
    const PromiseBase& coroutine_;
};

/// Keeps the callable, and with it a lambda's captures, alive while its coroutine runs.
template <class F>
Coro<coro_function_t<F>> keep_callable(F function) {
    auto coroutine = function();
    if (coroutine.valid()) {
        co_await NameAfter(coroutine.promise());
    }
    co_return co_await std::move(coroutine);
}

template <class A, class T>
Coro<T> await_in_coro(A awaitable) {
    co_return co_await std::move(awaitable);
}

}  // namespace detail

/// Any awaitable as a coroutine, which keeps it until it has ended.
template <class A>
requires Awaitable<std::remove_cvref_t<A>>
auto as_coro(A&& awaitable) {
    using Value = std::remove_cvref_t<A>;
    if constexpr (requires { typename detail::coro_value<Value>::type; }) {
        return Value(std::forward<A>(awaitable));
    } else if constexpr (std::is_move_constructible_v<Value>) {
        return detail::await_in_coro<Value, await_result_t<Value>>(std::forward<A>(awaitable));
    } else {
        static_assert(std::is_move_constructible_v<Value>,
                      "knit: this is awaited on the spot and cannot be kept: to make a task of co_await "
                      "fork_join(...), write create_task([]() -> Coro<> { co_await fork_join(...); })");
        return Coro<await_result_t<Value>>();
    }
}

}  // namespace knit
