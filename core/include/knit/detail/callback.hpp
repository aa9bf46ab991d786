/// Callbacks: what call_soon, call_later and add_done_callback put on a loop's run queue.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/timers.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {

/// A function on its way to being called, once, on its loop. Shared by the loop and the handles.
class Callback : Work {
public:
    virtual ~Callback();
    Callback(const Callback&) = delete;
    Callback& operator=(const Callback&) = delete;

    /// To the end of the loop's run queue. Owner thread.
    void schedule(Worker& worker) noexcept { worker.make_ready(*this); }
    /// As a message, from any thread. False when the loop is closed; the loop's reference stays with the caller then.
    [[nodiscard]] bool send(Worker& worker) noexcept { return worker.post(*this); }
    /// Owner thread.
    void schedule_at(Worker& worker, TimePoint when) {
        timer_.run = &Callback::run_timer;
        timer_.callback = this;
        timer_owner_ = &worker;
        when_ = when;
        worker.set_timer(timer_, when);
    }
    /// Not called any more. Owner thread for a timer, any thread otherwise.
    void cancel() noexcept;
    bool is_cancelled() const noexcept {
        return is_cancelled_.load(std::memory_order_relaxed);
    }  // relaxed: a flag alone
    TimePoint when() const noexcept { return when_; }
    /// The callback that `work` calls, as it stands in a run queue; null when it is none.
    static const Callback* of(const Work& work) noexcept;
    /// Another context instead, before it is scheduled.
    void set_context(ContextState& context) noexcept;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [callback.refs] all use happens before the end
            delete this;
        }
    }

protected:
    /// To be called in a copy of the current context.
    explicit Callback(const char* what) : context_(copy_of_current_context()), what_(what) {
        run = &Callback::run_now;
    }
    virtual void invoke() = 0;

private:
    static void run_now(Worker& worker, Work& work) noexcept { static_cast<Callback&>(work).call(worker); }
    static void run_timer(Worker& worker, Work& work) noexcept;
    void call(Worker& worker) noexcept;

    struct OwnedTimer : Timer {
        Callback* callback = nullptr;
    };
    OwnedTimer timer_;
    Worker* timer_owner_ = nullptr;
    TimePoint when_{};
    ContextState* context_;  ///< owned; null: no variable is set
    const char* what_;
    Atomic<std::uint32_t> refs_{1};     ///< the loop and the handles; any thread [callback.refs]
    Atomic<bool> is_cancelled_{false};  ///< any thread sets it, the loop reads it
};

template <class F>
class CallbackOf final : public Callback {
public:
    explicit CallbackOf(F function) : Callback("Exception in callback"), function_(std::move(function)) {}

private:
    void invoke() override { function_(); }
    F function_;
};

/// A function that may be called once with what is kept of `A`: as rvalues, else, where it wants to change them, as
/// they lie.
template <class F, class... A>
concept CallableOnce = std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...> ||
                       std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>&...>;

template <class F, class... A>
decltype(auto) invoke_once(F& function, A&... args) {
    if constexpr (std::is_invocable_v<F, A...>) {
        return std::invoke(std::move(function), std::move(args)...);
    } else {
        return std::invoke(function, args...);
    }
}

template <class F, class... A>
constexpr void check_callback() {
    using Given = decltype(invoke_once(std::declval<std::decay_t<F>&>(), std::declval<std::decay_t<A>&>()...));
    static_assert(
        !requires { typename coro_value<std::remove_cvref_t<Given>>::type; },
        "coroutines cannot be used with call_soon(): wrap it with create_task()");
}

/// What a call_*() says to a coroutine object.
template <class T>
constexpr void refuse_coroutine() {
    static_assert(!sizeof(Coro<T>*), "coroutines cannot be used with call_soon(): wrap it with create_task()");
}

/// A callback of `function(args...)`, with one reference: the loop's.
template <class F, class... A>
Callback* make_callback(F&& function, A&&... args) {
    check_callback<F, A...>();
    auto bound = [function = std::decay_t<F>(std::forward<F>(function)),
                  ... values = std::decay_t<A>(std::forward<A>(args))]() mutable {
        static_cast<void>(invoke_once(function, values...));
    };
    return new CallbackOf<decltype(bound)>(std::move(bound));
}

/// `function(args...)` as a function that may be called again and again; copies share it.
template <class F, class... A>
std::function<void()> repeatable(F&& function, A&&... args) {
    using Given = std::invoke_result_t<std::decay_t<F>&, std::decay_t<A>&...>;
    static_assert(
        !requires { typename coro_value<std::remove_cvref_t<Given>>::type; },
        "coroutines cannot be used with add_signal_handler(), add_reader() and add_writer(): call create_task() in a "
        "plain function");
    auto call = [function = std::decay_t<F>(std::forward<F>(function)),
                 ... values = std::decay_t<A>(std::forward<A>(args))]() mutable {
        static_cast<void>(std::invoke(function, values...));
    };
    auto shared = std::make_shared<decltype(call)>(std::move(call));
    return [shared] { (*shared)(); };
}

/// A function to be called, on the keeper's loop, after a future is settled.
class DoneCallback : public Callback, private Waiter {
public:
    /// Registers itself with the future, on its keeper, from whatever thread. Owns itself from now on.
    void attach() noexcept;
    std::uint64_t id() const noexcept { return id_; }
    FutureCore& future() const noexcept { return future_; }
    /// How many callbacks of `future` bear `id`; they are removed. Keeper's thread.
    static std::size_t remove(FutureCore& future, std::uint64_t id) noexcept;
    static std::size_t count(FutureCore& future) noexcept;

protected:
    explicit DoneCallback(FutureCore& future);
    ~DoneCallback() override;

private:
    static void settled(Waiter& waiter, FutureCore& future) noexcept;
    void link_or_schedule(Worker& keeper) noexcept;

    FutureCore& future_;
    std::uint64_t id_;
};

template <class F>
class DoneCallbackOf final : public DoneCallback {
public:
    DoneCallbackOf(FutureCore& future, F function) : DoneCallback(future), function_(std::move(function)) {}

private:
    void invoke() override { function_(); }
    F function_;
};

}  // namespace knit::detail
