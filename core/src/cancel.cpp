/// Cancellation: request and delivery. How one wait is undone is told by that awaiter's Wait.

#include <new>

#include "await_chain.hpp"
#include "knit/detail/core_ref.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

/// A cancellation on its way: to the home of a task, or to the keeper of a future that has a hook. Holds a reference to
/// it, and to the task that waits for it.
struct CancelMessage : Work {
    CancelMessage(FutureCore& whom, std::string text, TaskCore* waiting)
        : target(whom), message(std::move(text)), on_behalf(waiting) {
        run = whom.is_task() ? &CancelMessage::arrive : &CancelMessage::arrive_at_hook;
        target.add_ref();
        if (on_behalf != nullptr) {
            on_behalf->add_ref();
        }
    }
    ~CancelMessage() {
        target.drop_ref();
        if (on_behalf != nullptr) {
            on_behalf->drop_ref();
        }
    }

    static void arrive(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<CancelMessage&>(work);
        auto& task = static_cast<TaskCore&>(self.target);
        if (task.is_done()) {
            self.come_too_late();
        } else if (task.home() != &worker) {
            task.send_cancel(self);  // it has moved on
        } else {
            task.cancel_at_home(self.message);
            delete &self;
        }
    }

    static void arrive_at_hook(Worker&, Work& work) noexcept {
        auto& self = static_cast<CancelMessage&>(work);
        auto& future = static_cast<FutureState&>(self.target);
        if (future.is_done() || !future.cancel_hook(future, self.message)) {
            self.come_too_late();
        } else {
            delete &self;
        }
    }

    /// What was awaited had ended already: the cancellation stays with the one that waits for it, or did.
    void come_too_late() noexcept {
        run = &CancelMessage::arrive_back;
        if (on_behalf == nullptr || on_behalf->is_done() || !on_behalf->loop_worker().post(*this)) {
            delete this;
        }
    }

    static void arrive_back(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<CancelMessage&>(work);
        TaskCore& task = *self.on_behalf;
        if (!task.is_done() && task.home() != &worker && task.loop_worker().post(self)) {
            return;
        }
        if (!task.is_done() && task.home() == &worker && task.cancelling() > 0) {
            task.deliver_again();
        }
        delete &self;
    }

    // Also the way to what a task waits for.
    static FutureCore* awaited_by(const TaskCore& task) noexcept { return task.awaited_; }
    static Wait* wait_of(const TaskCore& task) noexcept { return task.wait_; }

    FutureCore& target;
    std::string message;
    TaskCore* on_behalf;
};

FutureCore* awaited_by(const TaskCore& task) noexcept { return CancelMessage::awaited_by(task); }

Wait* wait_of(const TaskCore& task) noexcept { return CancelMessage::wait_of(task); }

bool FutureCore::cancel(const std::string& message, TaskCore* on_behalf) {
    if (is_done()) {
        mark_retrieved();
        return false;
    }
    if (is_task()) {
        return static_cast<TaskCore*>(this)->cancel_task(message, on_behalf);
    }
    auto& future = *static_cast<FutureState*>(this);
    return future.cancel_future(message, on_behalf);
}

bool FutureState::cancel_future(const std::string& message, TaskCore* on_behalf) {
    if (cancel_hook == nullptr) {
        return settle_cancelled(message);
    }
    if (Worker::current() == keeper_) {
        return cancel_hook(*this, message);
    }
    auto* const request = new CancelMessage(*this, message, on_behalf);
    if (!keeper_->post(*request)) {
        delete request;
        return false;
    }
    return true;
}

bool TaskCore::cancel_task(const std::string& message, TaskCore* on_behalf) {
    Worker* const here = Worker::current();
    if (here != nullptr && home() == here) {
        return cancel_at_home(message);
    }
    send_cancel(*new CancelMessage(*this, message, on_behalf));
    return true;
}

/// To the home of the task, or onto the task itself while nobody has begun it.
void TaskCore::send_cancel(CancelMessage& message) noexcept {
    if (Worker* const worker = home()) {
        if (!worker->post(message)) {
            message.come_too_late();
        }
        return;
    }
    // Whoever begins the task may deliver the message, and drop what it holds, as soon as it is pushed.
    add_ref();
    const CoreRef keep(this);
    Work* newest = early_cancel_.load(std::memory_order_relaxed);  // relaxed: the exchange below orders
    do {
        message.next = newest;
    } while (!early_cancel_.compare_exchange_weak(newest, &message, std::memory_order_release,  // [task.home]
                                                  std::memory_order_relaxed));                  // relaxed: its address
    full_fence();  // [task.home]
    if (asymmetric_fences()) {
        heavy_fence();  // [task.home]
    }
    Worker* const worker = home();
    if (worker == nullptr) {
        return;  // whoever begins the task finds the message
    }
    // Begun meanwhile. Who takes the messages off the task delivers them: it or we.
    for (Work* work = early_cancel_.exchange(nullptr, std::memory_order_acquire); work != nullptr;) {  // [task.home]
        Work* const following = work->next;
        if (!worker->post(*work)) {
            static_cast<CancelMessage*>(work)->come_too_late();
        }
        work = following;
    }
}

void TaskCore::take_early_cancels(Worker& worker) noexcept {
    for (Work* work = early_cancel_.exchange(nullptr, std::memory_order_acquire); work != nullptr;) {  // [task.home]
        Work* const following = work->next;
        work->run(worker, *work);
        work = following;
    }
}

bool TaskCore::cancel_at_home(const std::string& message) noexcept {
    if (is_done()) {
        return false;
    }
    if (has(kCancelling)) {
        note_cancel(message);  // it came back here, round a cycle that leads through a gather
        return false;
    }
    // Down a chain of tasks that await each other, without recursion: each hands the request to the one that it awaits,
    // as long as that lives here; the last one's wait is undone.
    TaskCore* last = this;
    std::string message_taken;
    for (;;) {
        Extras* const extras = last->extras_.load(std::memory_order_relaxed);  // relaxed: only its loop writes
        message_taken.clear();
        if (last->has(kCancelTaken) && extras != nullptr) {
            message_taken.swap(extras->cancel_message);  // which is written anew
        }
        last->note_cancel(message);
        last->flags_ |= kCancelling;
        TaskCore* const following = last->awaited_here();
        if (following == nullptr || following->has(kCancelling)) {
            break;
        }
        last->flags_ &= ~kMustCancel;
        last = following;
    }
    for (TaskCore* task = this; task != last; task = static_cast<TaskCore*>(task->awaited_)) {
        task->flags_ &= ~kCancelling;
    }
    last->flags_ &= ~kCancelling;
    last->cancel_wait();
    if (last->has(kCancelTaken) && last->has(kMustCancel) && !message_taken.empty()) {
        last->extras().cancel_message.swap(message_taken);  // its wait is over: the first request is what it will see
    }
    return true;
}

/// Without memory the message is lost, and not the request: it may be half way down a chain of tasks.
void TaskCore::note_cancel(const std::string& message) noexcept {
    cancel_requests_.store(cancelling() + 1, std::memory_order_relaxed);  // relaxed: only its loop writes
    flags_ |= kMustCancel;
    Extras* const before = extras_.load(std::memory_order_relaxed);  // relaxed: only its loop writes
    if (before == nullptr && message.empty()) {
        return;
    }
    try {
        extras().cancel_message = message;
    } catch (const std::bad_alloc&) {
        if (before != nullptr) {
            before->cancel_message.clear();  // not that of another request
        }
    }
}

/// The unfinished task of this loop that this one awaits directly.
TaskCore* TaskCore::awaited_here() const noexcept {
    if (awaited_ == nullptr || !awaited_->is_task() || awaited_->is_done()) {
        return nullptr;
    }
    auto& awaited = static_cast<TaskCore&>(*awaited_);
    return awaited.home() == home() ? &awaited : nullptr;
}

/// Asks what the task waits for to end; when it can't, the cancellation stays due.
void TaskCore::cancel_wait() noexcept {
    if (wait_ == nullptr || has(kCancelling)) {
        return;
    }
    flags_ |= kCancelling;
    const bool is_taken = wait_->cancel(*wait_);
    flags_ &= ~(kCancelling | (is_taken ? kMustCancel : 0U));
    flags_ |= is_taken ? kCancelTaken : 0U;
}

/// A cancellation that a wait had taken comes back: now it is due at whatever the task does next.
void TaskCore::deliver_again() noexcept {
    flags_ |= kMustCancel;
    cancel_wait();
}

int TaskCore::uncancel() {
    const int requests = cancelling();
    if (requests > 0) {
        cancel_requests_.store(requests - 1, std::memory_order_relaxed);  // relaxed: only its loop writes
        if (requests == 1) {
            flags_ &= ~kMustCancel;
        }
    }
    return cancelling();
}

}  // namespace knit::detail
