/// to_thread(): blocking code on a thread of its own, while the loop goes on.
#pragma once

#include <type_traits>
#include <utility>

#include "knit/context_var.hpp"
#include "knit/coro.hpp"
#include "knit/detail/blocking_job.hpp"
#include "knit/future.hpp"

namespace knit {
namespace detail {

template <class R, class Function>
Coro<R> run_in_thread(Function function) {
    auto in_context = [context = copy_context(), function = std::move(function)]() mutable -> R {
        return context.run(std::move(function));
    };
    Future<R> future = start_blocking<R>(running_worker(), nullptr, std::move(in_context));
    co_return co_await std::move(future);
}

}  // namespace detail

/// Calls `function(args...)` on a thread of the blocking pool (KNIT_BLOCKING_THREADS), in a copy of the caller's
/// context, and gives what it gives, or throws what it throws, on the loop. Lazy. Cancelled: CancelledError at once;
/// the function, if it has a thread, goes on to its end and its result is dropped; run() waits for it; one that still
/// queues for a thread never runs. RuntimeError "Executor shutdown has been called" after
/// Loop::shutdown_default_executor().
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
    Coro<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> to_thread(F&& function, A&&... args) {
    using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
    static_assert(!std::is_reference_v<R>, "to_thread() gives values: return a pointer or std::ref");
    return detail::run_in_thread<R>(detail::bind_once(std::forward<F>(function), std::forward<A>(args)...));
}

}  // namespace knit
