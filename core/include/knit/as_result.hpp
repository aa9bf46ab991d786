/// as_result(), finally(): cleanup that awaits. `co_await` is not allowed in a catch handler, so the exception is kept
/// as a value meanwhile.
#pragma once

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/gather.hpp"
#include "knit/result.hpp"

namespace knit {
namespace detail {

template <class T, class A>
Coro<Result<T>> await_as_result(A awaitable) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(awaitable);
            co_return Result<void>();
        } else {
            co_return Result<T>(co_await std::move(awaitable));
        }
    } catch (...) {
        co_return Result<T>(std::current_exception());
    }
}

template <class T, class F>
Coro<T> run_finally(Coro<T> body, F cleanup) {
    Result<T> result = co_await await_as_result<T>(std::move(body));
    co_await cleanup();
    co_return std::move(result).value();
}

}  // namespace detail

/// What `awaitable` gives or throws, CancelledError included, as a Result; never throws. Lazy.
template <Child A>
Coro<Result<child_t<A>>> as_result(A&& awaitable) {
    using Plain = std::remove_cvref_t<A>;
    if constexpr (requires { awaitable.future(); }) {
        return detail::await_as_result<child_t<A>, Future<child_t<A>>>(awaitable.future());
    } else {
        return detail::await_as_result<child_t<A>, Plain>(std::forward<A>(awaitable));
    }
}

/// Awaits `body`, then `cleanup()` on every way out, then gives the value or goes on with the exception. An exception
/// of the cleanup replaces both. Lazy.
template <class T, detail::CoroFunction F>
Coro<T> finally(Coro<T> body, F cleanup) {
    return detail::run_finally<T, F>(std::move(body), std::move(cleanup));
}
template <detail::CoroFunction B, detail::CoroFunction F>
auto finally(B body, F cleanup) {
    return finally(detail::keep_callable<B>(std::move(body)), std::move(cleanup));
}

}  // namespace knit
