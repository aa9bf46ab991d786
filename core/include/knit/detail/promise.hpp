/// The promise of a Coro. An inline-awaited coroutine uses its head alone; the outermost coroutine of a task also has
/// the task in it, so that a task is one allocation.
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/result_slot.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"

namespace knit {
template <class T>
class Coro;
}

namespace knit::detail {

/// Looks at what ended a task: a cancellation, a BaseException that run() has to rethrow, or an ordinary error.
void classify_current_exception(TaskCore& task) noexcept;

class PromiseBase {
public:
    PromiseBase() = default;
    PromiseBase(const PromiseBase&) = delete;
    PromiseBase& operator=(const PromiseBase&) = delete;

    static void* operator new(std::size_t size) {
        Worker* const worker = Worker::current();
        return worker != nullptr ? worker->pool().allocate(size) : FramePool::allocate_anywhere(size);
    }
    static void operator delete(void* memory, std::size_t size) noexcept {
        if (Worker* const worker = Worker::current()) {
            worker->pool().free(memory, size);
        } else {
            FramePool::free_anywhere(memory, size);
        }
    }

    std::suspend_always initial_suspend() const noexcept { return {}; }

    template <class A>
    decltype(auto) await_transform(A&& awaitable) {
        return native(std::forward<A>(awaitable));
    }

    /// The task that runs this coroutine. Only once it has been started.
    TaskCore& task() noexcept { return *task_; }
    bool is_started() const noexcept { return task_ != nullptr; }
    /// Runs inline, as part of the task of `parent`.
    void start_inline(TaskCore& task, std::coroutine_handle<> parent) noexcept {
        task_ = &task;
        continuation_ = parent;
    }

    struct FinalAwaiter {
        bool await_ready() const noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) const noexcept {
            PromiseBase& promise = handle.promise();
            if (promise.continuation_) {
                return transfer(*promise.task_, promise.continuation_);
            }
            return promise.task_->finish(*promise.task_->home());
        }
        void await_resume() const noexcept {}
    };
    FinalAwaiter final_suspend() const noexcept { return {}; }

    static std::coroutine_handle<> transfer(TaskCore& task, std::coroutine_handle<> handle) noexcept {
        if constexpr (KNIT_TAIL_CALLS) {
            return handle;
        } else {
            return task.home()->transfer(handle);
        }
    }

protected:
    TaskCore* task_ = nullptr;
    std::coroutine_handle<> continuation_;
};

template <class T>
class PromiseOf : public PromiseBase {
public:
    PromiseOf() noexcept {}
    ~PromiseOf() {
        if (task_ == &core_) {
            std::destroy_at(&core_);
        }
    }

    void unhandled_exception() noexcept {
        slot_.error = std::current_exception();
        if (task_ == &core_) {
            classify_current_exception(core_);
        }
    }

    ResultSlot<T>& slot() noexcept { return slot_; }

    /// Makes this the outermost coroutine of a new task.
    TaskCore& make_task(Worker& keeper, std::coroutine_handle<> handle, std::uint64_t id) noexcept {
        KNIT_ASSERT(task_ == nullptr);
        task_ = std::construct_at(&core_, keeper, slot_, handle, id);
        return core_;
    }

protected:
    ResultSlot<T> slot_;

private:
    union {
        TaskCore core_;  // alive once task_ points to it
    };
};

template <class T>
class Promise : public PromiseOf<T> {
public:
    Coro<T> get_return_object() noexcept;
    template <class U = T>
    requires std::is_convertible_v<U&&, T>
    void return_value(U&& value) { this->slot_.emplace(std::forward<U>(value)); }
};

template <>
class Promise<void> : public PromiseOf<void> {
public:
    Coro<void> get_return_object() noexcept;
    void return_void() noexcept { slot_.emplace(); }
};

}  // namespace knit::detail
