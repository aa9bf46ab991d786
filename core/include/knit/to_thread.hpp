/// to_thread(): blocking code on a thread of its own, while the loop goes on.
#pragma once

#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "knit/context_var.hpp"
#include "knit/coro.hpp"
#include "knit/future.hpp"

namespace knit {
namespace detail {

void submit_blocking(std::function<void()> job);
/// Lets go of `thing` on the loop, or here when that has closed: what a loop made, and may still look at, ends there.
void release_on(Worker& worker, std::shared_ptr<void> thing) noexcept;

template <class R, class Work>
struct BlockingJob {
    BlockingJob(Work function, Future<R> result, Context copy)
        : work(std::move(function)), future(std::move(result)), context(std::move(copy)) {}

    Work work;
    Future<R> future;
    Context context;
    ResultSlot<R> slot;  ///< what the function gave, while it is not known whether anybody wants it

    void run() noexcept {
        try {
            if constexpr (std::is_void_v<R>) {
                context.run(work);
                slot.emplace();
            } else {
                slot.emplace(context.run(work));
            }
        } catch (...) {
            slot.error = std::current_exception();
        }
        auto& state = static_cast<FutureState&>(*future.ref());
        if (!state.claim()) {
            return;  // cancelled meanwhile: the result is dropped
        }
        if (slot.error != nullptr) {
            state.slot().error = slot.error;
            state.settle(State::error);
            return;
        }
        if constexpr (std::is_void_v<R>) {
            slot_of<R>(state).emplace();
        } else {
            slot_of<R>(state).emplace(slot.take());
        }
        state.settle(State::value);
    }
};

template <class R, class Work>
Coro<R> run_in_thread(Work work) {
    // The thread and the awaiting task share the job: a cancelled task leaves, the function runs to its end.
    auto job = std::make_shared<BlockingJob<R, Work>>(std::move(work), Future<R>(), copy_context());
    Future<R> future = job->future;
    submit_blocking([job = std::move(job)]() mutable noexcept {
        Worker& home = job->future.ref()->keeper();
        job->run();
        release_on(home, std::move(job));
    });
    co_return co_await std::move(future);
}

}  // namespace detail

/// Calls `function(args...)` on a thread of the blocking pool (KNIT_BLOCKING_THREADS), in a copy of the caller's
/// context, and gives what it gives, or throws what it throws, on the loop. Lazy. Cancelled: CancelledError at once;
/// the function, if it runs already, goes on to its end and its result is dropped; run() waits for it.
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
