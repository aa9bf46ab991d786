/// What may be awaited in a Coro: knit's own awaiters as they are, everybody else's through a proxy that brings the
/// task back to its own loop.
#pragma once

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include "knit/detail/task_core.hpp"

namespace knit::detail {

template <class A>
concept HasAwaitFunctions = requires(A& awaiter) {
    { awaiter.await_ready() } -> std::convertible_to<bool>;
    awaiter.await_resume();
};
template <class A>
concept HasMemberCoAwait = requires(A&& awaitable) {
    static_cast<A&&>(awaitable).operator co_await();
};
template <class A>
concept HasFreeCoAwait = requires(A&& awaitable) {
    operator co_await(static_cast<A&&>(awaitable));
};

template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
    if constexpr (HasMemberCoAwait<A>) {
        return static_cast<A&&>(awaitable).operator co_await();
    } else if constexpr (HasFreeCoAwait<A>) {
        return operator co_await(static_cast<A&&>(awaitable));
    } else {
        return static_cast<A&&>(awaitable);
    }
}

template <class A>
using awaiter_t = std::remove_reference_t<decltype(get_awaiter(std::declval<A>()))>;

/// An awaiter that suspends by TaskCore::suspend and wakes on the task's own loop: it says `using knit_awaiter =
/// void;`.
template <class A>
concept NativeAwaiter = requires {
    typename A::knit_awaiter;
};

}  // namespace knit::detail

namespace knit {

/// Whatever `co_await` takes inside a Coro.
template <class A>
concept Awaitable = (detail::HasMemberCoAwait<A> || detail::HasFreeCoAwait<A> ||
                     detail::HasAwaitFunctions<std::remove_reference_t<A>>);

/// What awaiting an A gives.
template <Awaitable A>
using await_result_t = decltype(std::declval<detail::awaiter_t<A>&>().await_resume());

}  // namespace knit

namespace knit::detail {

/// A handle for a foreign awaiter to resume, on any thread: it wakes `task` on the task's loop and destroys itself.
std::coroutine_handle<> make_wake_proxy(TaskCore& task);

/// Awaits something that knows nothing of knit. It cannot be cancelled: a cancellation waits for its end.
template <class A>
class ForeignAwaiter {
    using Inner = decltype(get_awaiter(std::declval<A>()));

public:
    using knit_awaiter = void;

    explicit ForeignAwaiter(A&& awaitable) : inner_(get_awaiter(static_cast<A&&>(awaitable))) {}

    bool await_ready() { return inner_.await_ready(); }

    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        TaskCore& task = handle.promise().task();
        const std::coroutine_handle<> proxy = make_wake_proxy(task);
        task_ = &task;
        task.suspend(handle, nullptr);
        // From here on another thread may resume the proxy; the task itself only runs again on this loop, later.
        using Answer = decltype(inner_.await_suspend(proxy));
        std::coroutine_handle<> next = std::noop_coroutine();
        bool suspends = true;
        try {
            if constexpr (std::is_void_v<Answer>) {
                inner_.await_suspend(proxy);
            } else if constexpr (std::is_same_v<Answer, bool>) {
                suspends = inner_.await_suspend(proxy);
            } else {
                next = inner_.await_suspend(proxy);
            }
        } catch (...) {
            proxy.destroy();  // a coroutine whose await_suspend throws is not suspended
            throw;
        }
        if (!suspends) {
            proxy.destroy();
        }
        next.resume();
        return suspends;
    }

    decltype(auto) await_resume() {
        if (task_ != nullptr) {
            task_->resumed();
        }
        return inner_.await_resume();
    }

private:
    Inner inner_;
    TaskCore* task_ = nullptr;
};

/// An awaiter that stays where it is: GCC would move it to a second place in the frame.
template <class A>
class AwaiterRef {
public:
    using knit_awaiter = void;

    explicit AwaiterRef(A& awaiter) noexcept : awaiter_(&awaiter) {}
    bool await_ready() { return awaiter_->await_ready(); }
    template <KnitPromise P>
    decltype(auto) await_suspend(std::coroutine_handle<P> handle) {
        return awaiter_->await_suspend(handle);
    }
    decltype(auto) await_resume() { return awaiter_->await_resume(); }

private:
    A* awaiter_;
};

/// What PromiseBase::await_transform gives.
template <class A>
decltype(auto) native(A&& awaitable) {
    static_assert(Awaitable<A>,
                  "knit cannot await this: co_await takes a Coro, Task, Future, gather(...), or anything with "
                  "operator co_await or await_ready/await_suspend/await_resume");
    if constexpr (Awaitable<A>) {
        // A temporary lives in the frame until the whole expression has been evaluated.
        if constexpr (NativeAwaiter<std::remove_reference_t<A>> &&
                      (std::is_lvalue_reference_v<A> || kCopiesAwaiters)) {
            return AwaiterRef<std::remove_reference_t<A>>(awaitable);
        } else if constexpr (NativeAwaiter<awaiter_t<A>>) {
            return static_cast<A&&>(awaitable);
        } else {
            return ForeignAwaiter<A>(static_cast<A&&>(awaitable));
        }
    }
}

}  // namespace knit::detail
