/// BlockingJob: a function on its way through a pool of threads, and the future that its result goes to.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/future.hpp"

namespace knit {

class ThreadPoolExecutor;

namespace detail {

/// To `executor`, or, when that is null, to the pool of the runtime of `worker`, which must be open.
void submit_blocking(Worker& worker, ThreadPoolExecutor* executor, std::function<void(bool)> job);
/// To the threads that a driver of `worker`'s runtime has for what blocks: of their own, because a job of a user may
/// wait for what such an operation brings. `job` does not block for ever.
void submit_for_driver(Worker& worker, std::function<void(bool)> job);
/// Lets go of `thing` on the loop, or here when that has closed: what a loop made, and may still look at, ends there.
void release_on(Worker& worker, std::shared_ptr<void> thing) noexcept;

template <class R, class Function>
struct BlockingJob {
    BlockingJob(Function what, Worker& keeper) : function(std::move(what)), future(keeper) {}

    Function function;
    Future<R> future;
    ResultSlot<R> slot;  ///< what the function gave, while it is not known whether anybody wants it

    void run(bool has_queued) noexcept {
        auto& state = static_cast<FutureState&>(*future.ref());
        if (has_queued && state.is_done()) {
            return;  // cancelled before its turn: it never runs
        }
        try {
            if constexpr (std::is_void_v<R>) {
                function();
                slot.emplace();
            } else {
                slot.emplace(function());
            }
        } catch (...) {
            slot.error = std::current_exception();
        }
        if (!state.claim()) {
            slot.clear();  // cancelled meanwhile: the result is dropped, here, because its end may block too
            return;
        }
        if (slot.error != nullptr) {
            state.slot().error = slot.error;
            state.settle(State::error);
            return;
        }
        try {
            if constexpr (std::is_void_v<R>) {
                slot_of<R>(state).emplace();
            } else {
                slot_of<R>(state).emplace(slot.take());
            }
        } catch (...) {
            state.slot().error = std::current_exception();
            state.settle(State::error);
            return;
        }
        state.settle(State::value);
    }
};

/// Submits `function`; its result will be the future's, which loop `keeper` keeps.
template <class R, class Function>
Future<R> start_blocking(Worker& keeper, ThreadPoolExecutor* executor, Function function) {
    // The thread and the future's owners share the job: a cancelled one leaves, the function runs to its end.
    auto job = std::make_shared<BlockingJob<R, Function>>(std::move(function), keeper);
    Future<R> future = job->future;
    submit_blocking(keeper, executor, [job = std::move(job)](bool has_queued) mutable noexcept {
        Worker& home = job->future.ref()->keeper();
        job->run(has_queued);
        release_on(home, std::move(job));
    });
    return future;
}

/// `function(args...)` as one function, called once, with what it gives as a value.
template <class F, class... A>
auto bind_once(F&& function, A&&... args) {
    using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
    return [function = std::decay_t<F>(std::forward<F>(function)),
            ... values = std::decay_t<A>(std::forward<A>(args))]() mutable -> R {
        return std::invoke(std::move(function), std::move(values)...);
    };
}

}  // namespace detail
}  // namespace knit
