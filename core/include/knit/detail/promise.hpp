/// The promise of a Coro, and the block of memory that its frame lies in:
///
///     BlockHead | TaskCore | ResultSlot<T> | the compiler's frame, with the promise in it
///
/// An inline-awaited coroutine uses the slot, and frees the block when it goes. The outermost coroutine of a task uses
/// the TaskCore too, so that a task is one allocation; then the frame goes when the coroutine ends, and the block when
/// the task's last reference has gone.
#pragma once

#include <bit>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/fork.hpp"
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

    std::suspend_always initial_suspend() const noexcept { return {}; }

    template <class A>
    decltype(auto) await_transform(A&& awaitable, std::source_location where = std::source_location::current()) {
        where_ = where;
        return native(std::forward<A>(awaitable));
    }

    /// The task that runs this coroutine. Only once it has been started.
    TaskCore& task() noexcept { return *task_; }
    bool is_started() const noexcept { return task_ != nullptr; }
    /// Runs inline, as part of the task of `parent`.
    void start_inline(TaskCore& task, std::coroutine_handle<> parent) noexcept {
        task_ = &task;
        continuation_ = parent.address();
    }
    /// The same for a child of fork_join(), which hands control to `fork` at its end; the last to run, when none is
    /// away, to the parent of that.
    void start_forked(TaskCore& task, ForkBase& fork, bool is_last) noexcept {
        task_ = &task;
        continuation_ = reinterpret_cast<char*>(&fork) + (is_last ? kForkedLast : kForked);
    }

    /// The coroutine's function.
    const std::source_location& function() const noexcept { return function_; }
    /// The last await that it has come to.
    const std::source_location& where() const noexcept { return where_; }
    /// Who awaits it inline; null for a task's outermost one.
    std::coroutine_handle<> continuation() const noexcept {
        return is_forked() ? fork().parent() : std::coroutine_handle<>::from_address(continuation_);
    }
    /// The promise of any of knit's coroutines: it has this at its beginning, and no stricter alignment.
    static PromiseBase& of(std::coroutine_handle<> handle) noexcept {
        return std::coroutine_handle<PromiseBase>::from_address(handle.address()).promise();
    }

    static std::coroutine_handle<> transfer(TaskCore& task, std::coroutine_handle<> handle) noexcept {
        task.continue_at(handle);
        if constexpr (KNIT_TAIL_CALLS) {
            return handle;
        } else {
            return task.home()->transfer(task, handle);
        }
    }

protected:
    // Low bits of continuation_.
    static constexpr std::uintptr_t kForked = 1;
    static constexpr std::uintptr_t kForkedLast = 2;
    static constexpr std::uintptr_t kForkBits = 3;
    static_assert(alignof(ForkBase) > kForkBits);

    bool is_forked() const noexcept { return (reinterpret_cast<std::uintptr_t>(continuation_) & kForkBits) != 0; }
    ForkBase& fork() const noexcept {
        return *reinterpret_cast<ForkBase*>(reinterpret_cast<std::uintptr_t>(continuation_) & ~kForkBits);
    }
    /// At the end of a coroutine that does not hand control on by itself: says what the loop goes on with.
    void leave_next() const noexcept {
        const auto bits = reinterpret_cast<std::uintptr_t>(continuation_);
        if ((bits & kForkedLast) != 0) {
            task_->continue_at(fork().parent());
            task_->home()->continue_with(*task_);
        } else if ((bits & kForked) != 0) {
            fork().child_ended();
        } else {
            task_->finish(*task_->home());
        }
    }

    TaskCore* task_ = nullptr;
    void* continuation_ = nullptr;  ///< the awaiter's frame; or a ForkBase, with one of the bits; or null
    std::source_location function_;
    std::source_location where_;
};

/// Makes a child the inline one. False when the task is not to go on with it now.
KNIT_INLINE bool ForkBase::start(void* child) noexcept {
    PromiseBase& promise = PromiseBase::of(std::coroutine_handle<>::from_address(child));
    promise.start_forked(*task_, *this, left_ == 0 && away_ == 0);
    return !task_->home()->spend_inline() || start_slow(child);
}

KNIT_INLINE std::coroutine_handle<> ForkBase::begin(TaskCore& task, std::coroutine_handle<> parent,
                                                   std::uint32_t count) {
    parent_ = parent;
    task_ = &task;
    if (task.context() != nullptr) [[unlikely]] {
        context_ = task.context()->copy();
    }
    Worker& worker = *task.home();
    std::uint32_t offered = 0;
    try {
        for (; offered + 1 < count; ++offered) {
            worker.offer(nodes_[offered]);
        }
    } catch (...) {
        // No memory for the deque to grow: those that were not offered run inline in any case.
        for (; offered + 1 < count; ++offered) {
            nodes_[offered].run = nullptr;
        }
    }
    left_ = count - 1;
    return start(first_) ? PromiseBase::transfer(task, std::coroutine_handle<>::from_address(first_))
                         : std::noop_coroutine();
}

template <class T>
class Promise;

template <class T>
class PromiseOf : public PromiseBase {
public:
    PromiseOf() noexcept {
        static_assert(alignof(Promise<T>) == alignof(PromiseBase));
        std::construct_at(&slot(), NoKind());
    }
    ~PromiseOf() {
        if (!head().outlives_frame) {
            std::destroy_at(&slot());
        }
    }

    /// A coroutine that was awaited inline hands control to its awaiter, which destroys it. A task's outermost one, or
    /// a child of a fork, does not suspend: it runs on into the end of its frame, and from there back to the loop.
    struct FinalAwaiter {
        PromiseOf& promise;

        bool await_ready() const noexcept {
            if (promise.continuation_ != nullptr && !promise.is_forked()) {
                return false;
            }
            promise.head().outlives_frame = true;
            promise.leave_next();
            return true;
        }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
            return transfer(*promise.task_, std::coroutine_handle<>::from_address(promise.continuation_));
        }
        void await_resume() const noexcept {}
    };
    FinalAwaiter final_suspend() noexcept { return {*this}; }

    static void* operator new(std::size_t size) {
        char* const block = static_cast<char*>(hide(allocate_frame(kFront + size)));
        // As one word: GCC 12 would write each field by itself.
        const auto head = std::bit_cast<std::uint64_t>(
            BlockHead{static_cast<std::uint32_t>(kFront + size),
                      static_cast<std::uint16_t>(FramePool::pooled_class(kFront + size)), false, false});
        std::memcpy(block, &head, sizeof head);
        return block + kFront;
    }
    static void operator delete(void* frame, std::size_t size) noexcept {
        char* const block = static_cast<char*>(hide(frame)) - kFront;
        if (!reinterpret_cast<BlockHead*>(block)->outlives_frame) {
            free_frame(block, kFront + size);
        }
    }

    void unhandled_exception() noexcept {
        slot().error = std::current_exception();
        if (continuation_ == nullptr) {
            classify_current_exception(*task_);
        } else if (is_forked()) {
            fork().fail(slot());
        }
    }

    ResultSlot<T>& slot() noexcept { return *reinterpret_cast<ResultSlot<T>*>(block() + kSlotOffset); }
    /// The same by the address of the frame, which may have gone if the coroutine was a task's.
    static ResultSlot<T>& slot_of(void* frame) noexcept {
        return *reinterpret_cast<ResultSlot<T>*>(static_cast<char*>(hide(frame)) - kFront + kSlotOffset);
    }

    /// Gives up a child of a fork: its frame, or where that has gone, its block. Not for one that became a task.
    KNIT_INLINE static void release_forked(void* frame) noexcept {
        auto& head = *reinterpret_cast<BlockHead*>(static_cast<char*>(hide(frame)) - kFront);
        if (!head.outlives_frame) [[unlikely]] {
            std::coroutine_handle<>::from_address(frame).destroy();
        } else if (head.is_task) [[unlikely]] {
            ForkBase::release_task(*reinterpret_cast<TaskCore*>(&head + 1));
        } else {
            std::destroy_at(&slot_of(frame));
            free_block(head);
        }
    }

    /// Makes this the outermost coroutine of a new task, which takes over `context`.
    TaskCore& make_task(Worker& keeper, std::coroutine_handle<> handle, std::uint64_t id, ContextState* context,
                        std::source_location created) noexcept {
        head().outlives_frame = true;
        head().is_task = true;
        slot().kind = &slot_kind<T>();
        task_ = ::new (block() + sizeof(BlockHead)) TaskCore(keeper, slot(), ResultSlot<T>::kIsTrivial, handle, id);
        task_->set_places(function_, created);
        if (context != nullptr) [[unlikely]] {
            task_->set_context(context);
        }
        return *task_;
    }

private:
    static constexpr std::size_t kAlign = alignof(std::max_align_t);
    static constexpr std::size_t round_up(std::size_t size, std::size_t align) noexcept {
        return (size + align - 1) / align * align;
    }
    static constexpr std::size_t kSlotOffset =
        round_up(sizeof(BlockHead) + sizeof(TaskCore), alignof(ResultSlot<T>));
    static constexpr std::size_t kFront = round_up(kSlotOffset + sizeof(ResultSlot<T>), kAlign);
    static_assert(sizeof(BlockHead) % alignof(TaskCore) == 0);

    char* block() noexcept {
        // Hidden, because in a compiler's eyes there is nothing in front of the promise but the frame's two pointers.
        auto& promise = static_cast<Promise<T>&>(*this);
        return static_cast<char*>(hide(std::coroutine_handle<Promise<T>>::from_promise(promise).address())) - kFront;
    }
    BlockHead& head() noexcept { return *reinterpret_cast<BlockHead*>(block()); }
};

template <class T>
class Promise : public PromiseOf<T> {
public:
    Coro<T> get_return_object(std::source_location function = std::source_location::current()) noexcept;
    template <class U = T>
    requires std::is_convertible_v<U&&, T>
    void return_value(U&& value) { this->slot().emplace(std::forward<U>(value)); }
};

template <>
class Promise<void> : public PromiseOf<void> {
public:
    Coro<void> get_return_object(std::source_location function = std::source_location::current()) noexcept;
    void return_void() noexcept { slot().emplace(); }
};

}  // namespace knit::detail
