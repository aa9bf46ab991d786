/// fork_join() without its types; how it works is at the head of fork.hpp.

#include "knit/detail/fork.hpp"

#include <exception>
#include <memory>
#include <new>

#include "knit/coro.hpp"
#include "knit/detail/promise.hpp"
#include "knit/error.hpp"

namespace knit::detail {

void wake_from_anywhere(TaskCore& task) noexcept;  // task.cpp

namespace {

// Stands for "the awaiting task was cancelled" by its address.
SlotBase g_cancelled(slot_kind<void>());

}  // namespace

void ForkBase::child_ended() noexcept {
    Worker& worker = *task_->home();
    while (left_ > 0) {
        ForkNode& node = nodes_[--left_];
        if (!worker.take_back(node) && node.run != nullptr) [[unlikely]] {
            ++away_;
        } else if (outcome_.load(std::memory_order_relaxed) == nullptr) [[likely]] {  // relaxed: a hint from elsewhere
            if (start(node.child)) [[likely]] {
                task_->continue_at(std::coroutine_handle<>::from_address(node.child));
                worker.continue_with(*task_);
            }
            return;
        }
    }
    if (away_ == 0) {
        task_->continue_at(parent_);
        worker.continue_with(*task_);
    } else {
        wait_for_away();
    }
}

/// The budget is spent: the loop may have something to do, or the task to take a cancellation.
bool ForkBase::start_slow(void* child) noexcept {
    Worker& worker = *task_->home();
    const bool is_pause_due = worker.look_inside_task();
    if (is_over()) {
        child_ended();  // the one that was to start is dropped with the others
        return false;
    }
    if (!is_pause_due) {
        return true;
    }
    std::construct_at(&wait_, *this, &ForkBase::cancel_pause);
    task_->suspend(std::coroutine_handle<>::from_address(child), &wait_);
    task_->work().run = &TaskCore::run_paused;
    worker.pause(*task_);
    return false;
}

void TaskCore::run_paused(Worker& worker, Work& work) noexcept { ForkBase::go_on(worker, of(work)); }

void ForkBase::go_on(Worker& worker, TaskCore& task) noexcept {
    ForkBase& self = *static_cast<const ForkWait*>(task.wait())->fork;
    task.work().run = &TaskCore::run_ready;
    task.resumed_keep_cancel();
    if (self.is_over()) {
        worker.set_current_task(&task);
        self.child_ended();
        worker.after_resume();
    } else {
        worker.resume(task, task.leaf());
    }
}

/// Whether nothing more is to begin. Takes a cancellation of the awaiting task that is due.
bool ForkBase::is_over() noexcept {
    if (task_->is_cancel_due() && claim_outcome(g_cancelled)) {
        task_->take_cancel();
        stop(task_->cancel_message(), false);
    }
    return outcome_.load(std::memory_order_relaxed) != nullptr;  // relaxed: a hint from elsewhere
}

void ForkBase::wait_for_away() noexcept {
    is_suspended_ = true;
    std::construct_at(&wait_, *this, &ForkBase::cancel_wait);
    TaskCore& task = *task_;
    task.suspend(parent_, &wait_);
    if (pending_.fetch_add(away_, std::memory_order_acq_rel) + away_ == 0) {  // [fork.pending]
        task.home()->continue_with(task);
    }
}

bool ForkBase::cancel_wait(Wait& wait) noexcept {
    ForkBase& self = *static_cast<ForkWait&>(wait).fork;
    if (self.claim_outcome(g_cancelled)) {
        self.stop(self.task_->cancel_message(), false);
        return true;
    }
    if (self.outcome_.load(std::memory_order_relaxed) != &g_cancelled) {  // relaxed: which it is, no more
        return false;  // a child has failed: that is what the parent will see
    }
    self.stop(self.task_->cancel_message(), true);
    return true;
}

void ForkBase::fail(SlotBase& slot) noexcept {
    if (claim_outcome(slot)) {
        stop({}, false);
    }
}

bool ForkBase::claim_outcome(SlotBase& outcome) noexcept {
    SlotBase* none = nullptr;
    // relaxed: one winner. What it is of is read when all children have ended [fork.pending]
    return outcome_.compare_exchange_strong(none, &outcome, std::memory_order_relaxed, std::memory_order_relaxed);
}

/// Children that nobody has begun never begin, those that run elsewhere are cancelled. The caller is one that the fork
/// waits for, so it stays. `again`: also those that have been asked before.
void ForkBase::stop(const std::string& message, bool again) noexcept {
    for (std::uint32_t index = 0; index + 1 < count_; ++index) {
        ForkNode& node = nodes_[index];
        const std::uint32_t before = node.word.fetch_or(ForkNode::kStopped, std::memory_order_acquire);  // [fork.word]
        if ((before & ForkNode::kBegun) != 0 && (again || (before & ForkNode::kStopped) == 0)) {
            try {
                node.task->cancel_task(message);
            } catch (const std::bad_alloc&) {
                // No memory for the message to its loop: the fork waits until it ends by itself.
            }
        }
    }
}

void ForkBase::adopt(ForkNode& node, TaskCore& task, Worker& taker) noexcept {
    ForkBase& fork = *node.fork;
    if (task.context() != nullptr || fork.context_ != nullptr) [[unlikely]] {
        try {
            task.set_context(fork.context_ != nullptr ? fork.context_->copy() : nullptr);
        } catch (const std::bad_alloc&) {
            task.fail_unstarted(std::current_exception());  // it must not run without its context variables
        }
    }
    task.mark_spawned();
    std::construct_at(&node.hook);
    node.hook.settled = &ForkBase::child_settled;
    node.hook.node = &node;
    task.try_join(node.hook, taker);
    node.task = &task;
    const std::uint32_t before = node.word.fetch_or(ForkNode::kBegun, std::memory_order_release);  // [fork.word]
    if ((before & ForkNode::kStopped) != 0) {
        task.cancel_unstarted();
    }
}

/// A child that was away has ended; on its keeper's thread.
void ForkBase::child_settled(Join& join, FutureCore& child) noexcept {
    ForkBase& fork = *static_cast<ForkNode::EndHook&>(join).node->fork;
    TaskCore& task = *fork.task_;
    child.mark_retrieved();
    if (child.state() != State::value) {
        fork.fail(child.slot());
    }
    if (fork.pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [fork.pending]
        wake_from_anywhere(task);
    }
}

void ForkBase::end_slow() {
    SlotBase* const outcome = outcome_.load(std::memory_order_relaxed);  // relaxed: set here, or seen by [fork.pending]
    const bool has_failed = outcome != nullptr && outcome != &g_cancelled;
    if (has_failed) {
        try {
            std::rethrow_exception(outcome->error);
        } catch (const CancelledError&) {
            task_->resumed();  // where a cancellation of the task itself is due, this is it
            throw;
        } catch (...) {
            task_->resumed_keep_cancel();
            throw;
        }
    }
    task_->resumed();
    if (outcome != nullptr) {
        task_->throw_cancelled();
    }
}

void ForkBase::warn_unawaited() const noexcept {
    for (std::uint32_t index = 0; index < count_; ++index) {
        void* const child = index == 0 ? first_ : nodes_[count_ - 1 - index].child;
        warn_never_awaited(PromiseBase::of(std::coroutine_handle<>::from_address(child)));
    }
}

void ForkBase::release_task(TaskCore& task) noexcept {
    if (!task.is_done()) {
        // The end of the run has abandoned the awaiting task: the child hears no more of the fork.
        task.mark_retrieved();
        task.leave_any_join();
    }
    task.drop_ref();
}

std::source_location ForkBase::where() const noexcept { return PromiseBase::of(parent_).where(); }

bool ForkBase::show_awaited(const Wait& wait, AwaitVisitor& visitor) {
    if (wait.cancel != &ForkBase::cancel_wait) {
        return false;
    }
    const ForkBase& self = *static_cast<const ForkWait&>(wait).fork;
    for (std::uint32_t index = 0; index + 1 < self.count_; ++index) {
        const ForkNode& node = self.nodes_[index];
        if ((node.word.load(std::memory_order_acquire) & ForkNode::kBegun) != 0) {  // [fork.word]
            visitor.visit(*node.task, &self);
        }
    }
    return true;
}

}  // namespace knit::detail
