/// to_thread(): blocking code on a thread of its own, while the loop goes on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/future.hpp"

namespace knit {
namespace detail {

void submit_blocking(std::function<void()> job);

template <class R, class Work>
struct BlockingJob {
    Work work;
    Future<R> future;
};

template <class R, class Work>
Coro<R> run_in_thread(Work work) {
    // The thread and the awaiting task share the job: a cancelled task leaves, the function runs to its end.
    auto job = std::make_shared<BlockingJob<R, Work>>(std::move(work), Future<R>());
    Future<R> future = job->future;
    submit_blocking([job]() noexcept {
        auto& state = static_cast<FutureState&>(*job->future.ref());
        Future<R> result = job->future;
        std::exception_ptr error;
        std::conditional_t<std::is_void_v<R>, bool, std::optional<std::conditional_t<std::is_void_v<R>, int, R>>>
            value{};
        try {
            if constexpr (std::is_void_v<R>) {
                job->work();
            } else {
                value.emplace(job->work());
            }
        } catch (...) {
            error = std::current_exception();
        }
        if (!state.claim()) {
            return;  // cancelled meanwhile: the result is dropped
        }
        if (error != nullptr) {
            state.slot().error = error;
            state.settle(State::error);
            return;
        }
        if constexpr (std::is_void_v<R>) {
            slot_of<R>(state).emplace();
        } else {
            slot_of<R>(state).emplace(std::move(*value));
        }
        state.settle(State::value);
    });
    co_return co_await std::move(future);
}

}  // namespace detail

/// Calls `function(args...)` on a thread of the blocking pool (KNIT_BLOCKING_THREADS) and gives what it gives, or
/// throws what it throws, on the loop. Lazy. Cancelled: CancelledError at once; the function, if it runs already, goes
/// on to its end and its result is dropped; run() waits for it.
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
    Coro<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> to_thread(F&& function, A&&... args) {
    using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
    static_assert(!std::is_reference_v<R>, "to_thread() gives values: return a pointer or std::ref");
    auto bound = [function = std::decay_t<F>(std::forward<F>(function)),
                  ... values = std::decay_t<A>(std::forward<A>(args))]() mutable -> R {
        return std::invoke(std::move(function), std::move(values)...);
    };
    return detail::run_in_thread<R, decltype(bound)>(std::move(bound));
}

}  // namespace knit
