/// Future<T>: a result that comes later. Settled once, awaited by many, on any loops.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include "knit/context_var.hpp"
#include "knit/detail/callback.hpp"
#include "knit/detail/copyable.hpp"
#include "knit/detail/core_ref.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/future_wait.hpp"
#include "knit/detail/promise.hpp"
#include "knit/error.hpp"
#include "knit/result.hpp"

namespace knit {

class Loop;
class TaskRef;
template <class T>
class Future;

namespace detail {

[[noreturn]] void throw_no_loop();
/// The running loop, or RuntimeError "no running event loop".
inline Worker& running_worker() {
    Worker* const worker = Worker::current();
    if (worker == nullptr) [[unlikely]] {
        throw_no_loop();
    }
    return *worker;
}
Worker& worker_of(Loop& loop);
Loop& loop_of(Worker& worker) noexcept;
/// Throws InvalidStateError when pending, else what there is.
SlotBase& settled_slot(FutureCore* core, const char* pending_message);
std::exception_ptr exception_of(FutureCore* core);
[[noreturn]] void throw_already_set();
[[noreturn]] void throw_task_set(const char* what);
[[noreturn]] void throw_taken();

template <class T>
class FutureBox final : public FutureState {
public:
    explicit FutureBox(Worker& keeper) noexcept : FutureState(keeper, slot_) {}
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

private:
    ResultSlot<T> slot_;
};

template <class T>
ResultSlot<T>& slot_of(FutureCore& core) noexcept {
    return static_cast<ResultSlot<T>&>(core.slot());
}

/// The value for an awaiter: moved when `may_move`, else copied; a T that cannot be copied goes to the first that asks.
template <class T>
T take_result(FutureCore& core, bool may_move) {
    ResultSlot<T>& slot = slot_of<T>(core);
    if (slot.error != nullptr) {
        core.mark_retrieved();
    }
    if constexpr (std::is_void_v<T> || std::is_reference_v<T>) {
        return slot.take();
    } else if constexpr (kIsCopyable<T>) {
        return may_move ? slot.take() : slot.get();
    } else {
        if (slot.error == nullptr && !slot.claim_value()) {
            throw_taken();
        }
        return slot.take();
    }
}

/// Waits for a task or future, in the current task.
template <class T>
class FutureAwaiter : public FutureWait {
public:
    using knit_awaiter = void;

    FutureAwaiter(CoreRef core, bool may_move) noexcept : FutureWait(std::move(core)), may_move_(may_move) {}

    T await_resume() {
        resume();
        return take_result<T>(core(), may_move_ && is_sole_reference());
    }

private:
    bool may_move_;
};

/// Awaits a task or future for its end: Unit, or what it threw.
class RefAwaiter : public FutureWait {
public:
    using knit_awaiter = void;
    using FutureWait::FutureWait;

    Unit await_resume() {
        resume();
        const SlotBase& slot = core().slot();
        if (slot.error != nullptr) {
            core().mark_retrieved();
            std::rethrow_exception(slot.error);
        }
        return {};
    }
};

/// See Future::add_done_callback(); `function` takes a Handle, or nothing.
template <class Handle, class F>
std::uint64_t add_done_callback(FutureCore& target, F function, ContextState* context = nullptr) {
    auto call = [&target, function = std::move(function)]() mutable {
        if constexpr (std::is_invocable_v<F&, Handle>) {
            target.add_ref();
            function(Handle(CoreRef(&target)));
        } else {
            static_cast<void>(target);
            function();
        }
    };
    auto* const callback = new DoneCallbackOf<decltype(call)>(target, std::move(call));
    if (context != nullptr) {
        callback->set_context(*context);
    }
    const std::uint64_t id = callback->id();
    callback->attach();
    return id;
}

}  // namespace detail

/// A handle, cheap to copy; copies share the future. Awaiting: any task, on any loop of the same runtime; the awaiter
/// resumes on its own loop. Cancelling a task that awaits a bare future cancels the future, as in asyncio.
template <class T = void>
class Future {
public:
    using value_type = T;

    /// A pending future of the current loop. RuntimeError where none runs.
    Future() : Future(detail::running_worker()) {}
    /// Takes over one reference; knit's own use.
    explicit Future(detail::CoreRef core) noexcept : core_(std::move(core)) {}
    explicit Future(detail::Worker& keeper) : core_(new detail::FutureBox<T>(keeper)) {}
    Future(const Future&) = default;
    Future(Future&&) noexcept = default;
    Future& operator=(const Future&) = default;
    Future& operator=(Future&&) noexcept = default;
    ~Future() = default;

    /// Settles the future. Any thread; the waiters are woken through their loops. InvalidStateError when it is settled
    /// already, RuntimeError for a task.
    template <class U = T>
    requires(!std::is_void_v<T> && std::is_convertible_v<U, T>) void set_result(U&& value) {
        detail::FutureState& state = claim("Task does not support set_result operation");
        try {
            detail::slot_of<T>(state).emplace(std::forward<U>(value));
        } catch (...) {
            state.slot().error = std::current_exception();
            state.settle(detail::State::error);
            throw;
        }
        state.settle(detail::State::value);
    }
    void set_result() requires std::is_void_v<T> {
        detail::FutureState& state = claim("Task does not support set_result operation");
        detail::slot_of<T>(state).emplace();
        state.settle(detail::State::value);
    }
    /// An exception object, or a std::exception_ptr. Otherwise as set_result().
    template <class E>
    void set_exception(E exception) {
        std::exception_ptr error;
        if constexpr (std::is_same_v<E, std::exception_ptr>) {
            error = std::move(exception);
            if (error == nullptr) {
                throw ValueError("set_exception() needs an exception, got a null std::exception_ptr");
            }
        } else {
            error = std::make_exception_ptr(std::move(exception));
        }
        detail::FutureState& state = claim("Task does not support set_exception operation");
        state.slot().error = std::move(error);
        state.settle(detail::State::error);
    }

    /// False when it is settled already. Any thread. For a task see Task.
    bool cancel(std::string message = {}) { return core().cancel(message); }

    bool done() const { return core().is_done(); }
    bool cancelled() const { return core().is_cancelled(); }
    /// The value. InvalidStateError while pending; CancelledError or the exception where there is one. Any thread.
    std::add_lvalue_reference_t<const T> result() const {
        detail::settled_slot(core_.get(), "Result is not set.");
        core_->mark_retrieved();
        return detail::slot_of<T>(*core_).get();
    }
    /// The exception, null for a value. InvalidStateError while pending, CancelledError when cancelled. Any thread.
    std::exception_ptr exception() const { return detail::exception_of(core_.get()); }

    /// Calls `function(future)`, or `function()`, on the future's loop once it is settled: always through the run
    /// queue. Any thread. Gives an id for remove_done_callback().
    template <class F>
    std::uint64_t add_done_callback(F function) {
        static_assert(std::is_invocable_v<F&, Future<T>> || std::is_invocable_v<F&>,
                      "add_done_callback() takes a function of the future, or of nothing");
        return add_callback<Future<T>>(std::move(function));
    }
    /// The same in `context`; without it, in a copy of the current one.
    template <class F>
    std::uint64_t add_done_callback(F function, const Context& context) {
        static_assert(std::is_invocable_v<F&, Future<T>> || std::is_invocable_v<F&>,
                      "add_done_callback() takes a function of the future, or of nothing");
        return detail::add_done_callback<Future<T>>(core(), std::move(function), &context.state());
    }
    /// How many were removed: 1, or 0 when it has been called or removed. The future's loop only.
    std::size_t remove_done_callback(std::uint64_t id) { return detail::DoneCallback::remove(core(), id); }
    std::size_t done_callback_count() const { return detail::DoneCallback::count(core()); }

    /// The loop that it was made on; of a task, the one that it lives on.
    Loop& get_loop() const {
        return detail::loop_of(core().is_task() ? static_cast<detail::TaskCore&>(core()).loop_worker()
                                                : core().keeper());
    }
    std::uint64_t id() const noexcept { return reinterpret_cast<std::uintptr_t>(core_.get()); }
    explicit operator bool() const noexcept { return static_cast<bool>(core_); }

    detail::FutureAwaiter<T> operator co_await() const& { return {core_, false}; }
    detail::FutureAwaiter<T> operator co_await() && { return {std::move(core_), true}; }

    friend bool operator==(const Future& left, const Future& right) noexcept {
        return left.core_.get() == right.core_.get();
    }

    /// knit's own use.
    const detail::CoreRef& ref() const noexcept { return core_; }
    detail::CoreRef release() && noexcept { return std::move(core_); }

protected:
    detail::FutureCore& core() const {
        if (!core_) {
            detail::throw_empty_handle();
        }
        return *core_;
    }

    template <class Handle, class F>
    std::uint64_t add_callback(F function) {
        return detail::add_done_callback<Handle>(core(), std::move(function));
    }

    detail::CoreRef core_;

private:
    detail::FutureState& claim(const char* task_message) {
        if (core().is_task()) {
            detail::throw_task_set(task_message);
        }
        auto& state = static_cast<detail::FutureState&>(*core_);
        if (!state.claim()) {
            detail::throw_already_set();
        }
        return state;
    }
};

}  // namespace knit

template <class T>
struct std::hash<knit::Future<T>> {
    std::size_t operator()(const knit::Future<T>& future) const noexcept {
        return std::hash<void*>()(future.ref().get());
    }
};
