/// Cancellation: request and delivery. How one wait is undone is told by that awaiter's Wait.
///
/// A task that waits for something of another loop passes its cancellation on by message, and keeps the message until
/// the wait has ended: what has ended before the message came leaves the cancellation to the task.
///
///   [cancel.arrived]  relaxed: written by the loop that ends, or notifies, what is awaited, before it does; read by
///                     the task that has been told of that end [fut.state]. What comes later finds the end
///   [cancel.refs]     drop: acq_rel     all use of a message happens before its end

#include <memory>
#include <new>
#include <utility>

#include "await_chain.hpp"
#include "knit/detail/core_ref.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

/// A cancellation on its way: to the home of a task, or to the keeper of a future that has a hook. Holds a reference to
/// it. Belongs to its way and to the task that has passed it on, until the last of them drops it.
struct CancelMessage : Work {
    explicit CancelMessage(FutureCore& whom) noexcept : target(whom) {
        run = whom.is_task() ? &CancelMessage::arrive : &CancelMessage::arrive_at_hook;
        target.add_ref();
    }
    ~CancelMessage() { target.drop_ref(); }

    /// `waiting`: the task that waits for `whom`, and is cancelled. Its loop. Throws std::bad_alloc.
    static CancelMessage& make(FutureCore& whom, const std::string& text, TaskCore* waiting) {
        auto message = std::make_unique<CancelMessage>(whom);
        try {
            message->message = text;
        } catch (const std::bad_alloc&) {
            message->message.clear();  // the message is lost, and not the request
        }
        Worker* const here = Worker::current();
        message->is_of_end = here != nullptr && here->end_request() != EndRequest::none;
        if (waiting != nullptr) {
            TaskCore::Extras& extras = waiting->extras();
            drop(extras.passed_on);
            extras.passed_on = message.get();
            message->refs.store(2, std::memory_order_relaxed);  // relaxed: it is sent after this
        }
        return *message.release();
    }

    static void arrive(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<CancelMessage&>(work);
        auto& task = static_cast<TaskCore&>(self.target);
        // What is left at the end of its loop was abandoned: it is not run on, and a loop that goes on may touch it.
        if (!worker.is_discarding() && !task.is_done()) {
            if (task.home() != &worker) {
                task.send_cancel(self);  // it has moved on
                return;
            }
            if (!self.is_of_end) {
                self.has_arrived.store(true, std::memory_order_relaxed);  // [cancel.arrived]
                task.cancel_at_home(self.message);
            } else if (!task.has(TaskCore::kShuttingDown)) {
                self.has_arrived.store(true, std::memory_order_relaxed);  // [cancel.arrived]
                task.cancel_for_shutdown(worker);
            }
            // Else the end of the run has asked it already, and its cleanup is not broken off: who has passed this on
            // is cancelled when the task has ended.
        }
        drop(&self);
    }

    static void arrive_at_hook(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<CancelMessage&>(work);
        auto& future = static_cast<FutureState&>(self.target);
        if (!worker.is_discarding() && !future.is_done()) {
            self.has_arrived.store(true, std::memory_order_relaxed);  // [cancel.arrived] it may settle the future
            const EndRequest before =
                worker.set_end_request(self.is_of_end ? EndRequest::elsewhere : EndRequest::none);
            if (!future.cancel_hook(future, self.message)) {
                self.has_arrived.store(false, std::memory_order_relaxed);  // [cancel.arrived]
            }
            worker.set_end_request(before);
        }
        drop(&self);
    }

    // Also the way to what a task waits for.
    static FutureCore* awaited_by(const TaskCore& task) noexcept { return task.awaited_; }
    static Wait* wait_of(const TaskCore& task) noexcept { return task.wait_; }

    FutureCore& target;
    std::string message;
    bool is_of_end = false;           ///< the end of the run asks by it; set before it is sent
    Atomic<std::uint32_t> refs{1};    ///< any thread [cancel.refs]
    Atomic<bool> has_arrived{false};  ///< written where the target lives, read by the task that waited [cancel.arrived]
};

void drop(CancelMessage* message) noexcept {
    if (message != nullptr && message->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [cancel.refs]
        delete message;
    }
}

FutureCore* awaited_by(const TaskCore& task) noexcept { return CancelMessage::awaited_by(task); }

Wait* wait_of(const TaskCore& task) noexcept { return CancelMessage::wait_of(task); }

bool FutureCore::cancel(const std::string& message, TaskCore* waiting) {
    if (is_done()) {
        mark_retrieved();
        return false;
    }
    if (is_task()) {
        return static_cast<TaskCore*>(this)->cancel_task(message, waiting);
    }
    auto& future = *static_cast<FutureState*>(this);
    return future.cancel_future(message, waiting);
}

bool FutureState::cancel_future(const std::string& message, TaskCore* waiting) {
    if (cancel_hook == nullptr) {
        return settle_cancelled(message);
    }
    if (Worker::current() == keeper_) {
        return cancel_hook(*this, message);
    }
    CancelMessage& request = CancelMessage::make(*this, message, waiting);
    const bool is_sent = keeper_->post(request);
    if (!is_sent) {
        drop(&request);
    }
    return is_sent;
}

bool TaskCore::cancel_task(const std::string& message, TaskCore* waiting) {
    Worker* const here = Worker::current();
    if (here != nullptr && home() == here) {
        if (here->end_request() == EndRequest::elsewhere && !is_done()) {
            cancel_for_shutdown(*here);
            return true;
        }
        const bool is_own = here->current_task() == this && (!has(kMustCancel) || has(kOwnCancel));
        const bool is_taken = cancel_at_home(message);
        flags_ |= is_own ? kOwnCancel : 0U;
        return is_taken;
    }
    send_cancel(CancelMessage::make(*this, message, waiting));
    return true;
}

/// To the home of the task, or onto the task itself while nobody has begun it.
void TaskCore::send_cancel(CancelMessage& message) noexcept {
    if (Worker* const worker = home()) {
        if (!worker->post(message)) {
            drop(&message);
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
    Work* const taken = early_cancel_.exchange(nullptr, std::memory_order_acquire);  // [task.home]
    for (Work* work = Inbox::oldest_first(taken); work != nullptr;) {
        Work* const following = work->next;
        if (!worker->post(*work)) {
            drop(static_cast<CancelMessage*>(work));
        }
        work = following;
    }
}

void TaskCore::take_early_cancels(Worker& worker) noexcept {
    Work* const taken = early_cancel_.exchange(nullptr, std::memory_order_acquire);  // [task.home]
    for (Work* work = Inbox::oldest_first(taken); work != nullptr;) {
        Work* const following = work->next;
        work->run(worker, *work);
        work = following;
    }
}

/// Its loop, `here`, or whoever is about to begin it.
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
    flags_ = (flags_ & ~kOwnCancel) | kMustCancel;
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

/// The wait has ended, and had been cancelled or is.
void TaskCore::end_cancelled_wait() {
    bool is_due = has(kMustCancel);
    flags_ &= ~(kMustCancel | kCancelTaken);
    if (Extras* const extras = extras_.load(std::memory_order_relaxed)) {  // relaxed: only its loop writes
        if (CancelMessage* const message = std::exchange(extras->passed_on, nullptr)) {
            const bool has_arrived = message->has_arrived.load(std::memory_order_relaxed);  // [cancel.arrived]
            is_due = is_due || (!has_arrived && cancelling() > 0);
            if (is_due && !has_arrived && message->target.is_done()) {
                message->target.mark_retrieved();  // its error is not what this await gives, as where it lives here
            }
            drop(message);
        }
    }
    if (is_due) {
        throw_cancelled();
    }
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
