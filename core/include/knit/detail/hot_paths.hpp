/// The hot paths, where Worker and TaskCore meet: inline functions of both, which need both to be complete. Comes with
/// worker.hpp.
#pragma once

#include "knit/detail/worker.hpp"

namespace knit::detail {

inline ContextState*& context_slot() noexcept {
    Worker* const worker = Worker::current();
    TaskCore* const task = worker != nullptr ? worker->current_task() : nullptr;
    return task != nullptr ? task->context() : t_context;
}

inline ContextState* context_for_task() {
    return context_slot() != nullptr ? copy_of_current_context() : nullptr;
}

inline void TaskCore::suspend(std::coroutine_handle<> leaf, Wait* wait) noexcept {
    leaf_ = leaf;
    wait_ = wait;
    since_ms_ = home()->coarse_ms();
    if (!has(kRegistered)) [[unlikely]] {
        enter_registry();
    }
    if (has(kMustCancel)) [[unlikely]] {
        cancel_wait();
    }
}

inline void TaskCore::wake() noexcept { home()->make_ready(work()); }

inline void* allocate_frame(std::size_t bytes) {
    Worker* const worker = Worker::current();
    return worker != nullptr ? worker->pool().allocate(bytes) : FramePool::allocate_anywhere(bytes);
}

inline void Worker::offer(Work& work) {
    deque_.push(work);
    ++offers_;
    // Usually nobody sleeps and nobody searches.
    const std::uint64_t word = idle_word_->load(std::memory_order_seq_cst);  // [idle.word]
    if (word != 0) [[unlikely]] {
        offer_to_idle(word);
    }
}

inline void Worker::after_resume() noexcept {
    for (;;) {
        while (TaskCore* const task = continued_) {
            continued_ = nullptr;
            current_task_ = task;
            count_step();
            task->leaf().resume();
        }
        current_task_ = nullptr;
        if (retired_ == nullptr) {
            break;
        }
        TaskCore& task = *retired_;
        retired_ = nullptr;
        task.settle(*this);
    }
}

inline void Worker::enter_registry(TaskCore& task) noexcept {
    task.registry_previous = nullptr;
    task.registry_next = registry_;
    if (registry_ != nullptr) {
        registry_->registry_previous = &task;
    }
    registry_ = &task;
}

inline void Worker::leave_registry(TaskCore& task) noexcept {
    (task.registry_previous != nullptr ? task.registry_previous->registry_next : registry_) = task.registry_next;
    if (task.registry_next != nullptr) {
        task.registry_next->registry_previous = task.registry_previous;
    }
}

inline void TaskCore::enter_registry() noexcept {
    home()->enter_registry(*this);
    flags_ |= kRegistered;
}

inline bool TaskCore::begin(Worker& worker) noexcept {
    home_.store(&worker, std::memory_order_relaxed);  // [task.home] ordered by the fence below
    if (worker.has_asymmetric_fences()) {
        light_fence();  // [task.home]
    } else {
        full_fence();  // [task.home]
    }
    worker.set_current_task(this);
    if (early_cancel_.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {  // [task.home]
        take_early_cancels(worker);
    }
    if (flags_ == 0) [[likely]] {
        flags_ = kStarted;
        return true;
    }
    return begin_slow(worker);
}

inline void TaskCore::finish(Worker& worker) noexcept {
    if (has(kRegistered)) {
        worker.leave_registry(*this);
        flags_ &= ~kRegistered;
    }
    // The usual end of fork-join: nobody stole the task, a gather on this loop alone waits for it, it has a value.
    // The other reference is the gather's, which does not run now: so there is no other waiter, nobody can change the
    // count, and nobody can free the block while the frame in it goes.
    if (flags_ == kStarted && keeper_ == &worker && joiner_ != nullptr && joiner_->parent != nullptr &&
        refs_.load(std::memory_order_acquire) == 2) {  // [fut.refs]
        Join& join = *joiner_;
        refs_.store(1, std::memory_order_relaxed);              // [fut.refs]
        state_.store(State::value, std::memory_order_release);  // [fut.state]
        worker.count_ended();
        if (--join.pending == 0) {
            worker.continue_with(*join.parent);
        }
        return;
    }
    worker.retire(*this);
}

inline void free_frame(void* memory, std::size_t bytes) noexcept {
    if (Worker* const worker = Worker::current()) [[likely]] {
        worker->pool().free(memory, bytes);
    } else {
        FramePool::free_anywhere(memory, bytes);
    }
}

inline void free_block(BlockHead& block) noexcept {
    Worker* const worker = Worker::current();
    if (worker != nullptr && block.pool_class != 0) [[likely]] {
        worker->pool().free_class(&block, block.pool_class);
    } else {
        FramePool::free_anywhere(&block, block.bytes);
    }
}

inline void FutureCore::destroy() noexcept {
    // Usually a task with a plain value, whose frame has gone.
    if (is_plain_ && state() == State::value) [[likely]] {
        auto& task = static_cast<TaskCore&>(*this);
        BlockHead& block = task.head();
        free_block(block);
    } else {
        destroy_slow();
    }
}

}  // namespace knit::detail
