/// A task's life: begun on some loop, run, settled on its keeper. Cancellation is in cancel.cpp.

#include "knit/detail/task_core.hpp"

#include <new>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "report.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

void TaskCore::free_extras() noexcept {
    Extras* const extras = extras_.load(std::memory_order_acquire);               // [task.name]
    for (Name* name = extras->name.load(std::memory_order_acquire); name != nullptr;) {  // [task.name]
        Name* const older = name->older;
        delete name;
        name = older;
    }
    drop(extras->passed_on);
    delete extras;
}

void TaskCore::set_context(ContextState* context) noexcept {
    if (context_ != nullptr) {
        context_->drop_ref();
    }
    context_ = context;
    is_plain_ = false;
}

TaskCore::Extras& TaskCore::extras() {
    Extras* extras = extras_.load(std::memory_order_relaxed);  // relaxed: only its loop writes
    if (extras == nullptr) {
        extras = new Extras;
        extras_.store(extras, std::memory_order_release);  // [task.name]
        is_plain_ = false;
    }
    return *extras;
}

void TaskCore::settle_down(Worker& worker) noexcept {
    home_.store(&worker, std::memory_order_relaxed);  // relaxed: nobody else knows the task yet
    enter_registry();
}

/// Out of the run queue.
void TaskCore::run_ready(Worker& worker, Work& work) noexcept {
    TaskCore& task = of(work);
    if (!task.has(kStarted)) {
        task.flags_ |= kStarted;
        if (task.has(kMustCancel)) [[unlikely]] {
            task.end_unstarted(worker);
            worker.after_resume();
            return;
        }
    }
    worker.resume(task, task.leaf_);
}

/// Out of the inbox: the task lives here from now on.
void TaskCore::run_arrived(Worker& worker, Work& work) noexcept {
    TaskCore& task = of(work);
    work.run = &TaskCore::run_ready;
    task.enter_registry();
    if (worker.is_draining()) {
        task.cancel_for_shutdown(worker);
    }
    run_ready(worker, work);
}

void TaskCore::leave_registry() noexcept {
    if (has(kRegistered)) {
        home()->leave_registry(*this);
        flags_ &= ~kRegistered;
    }
}

void TaskCore::leave_home() noexcept {
    leave_registry();
    home()->set_current_task(nullptr);  // it may run, and end, elsewhere before this loop is back in its own code
    home_.store(nullptr, std::memory_order_release);  // [task.move] cancellers at the old home are sent on
}

void TaskCore::move_home(Worker& target) noexcept {
    leave_registry();
    home()->set_current_task(nullptr);  // as above
    run = &TaskCore::run_arrived;
    // Never null in between: a cancellation must find somebody to go to.
    home_.store(&target, std::memory_order_release);  // [task.move]
}

void TaskCore::come_back(Worker& here) noexcept {
    home_.store(&here, std::memory_order_relaxed);  // relaxed: only this loop has touched the task since [task.move]
    run = &TaskCore::run_ready;
    enter_registry();
    here.set_current_task(this);
}

void TaskCore::travel_to(Worker& target) noexcept {
    home_.store(&target, std::memory_order_relaxed);  // relaxed: nobody else knows the task yet
    run = &TaskCore::run_arrived;
}

void TaskCore::cancel_for_shutdown(Worker& worker) noexcept {
    if (has(kShuttingDown)) {
        return;
    }
    flags_ |= kShuttingDown;
    worker.count_asked();
    const TaskCore* const awaited = awaited_here();
    if (awaited != nullptr && awaited->has(kShuttingDown)) {
        note_cancel({});  // what it awaits has been asked already: the request waits for the end of that
        return;
    }
    const EndRequest before = worker.set_end_request(EndRequest::here);
    cancel_at_home({});
    worker.set_end_request(before);
}

/// A task that is cancelled before its start, or that goes on after reschedule().
bool TaskCore::begin_slow(Worker& worker) noexcept {
    if (!has(kStarted)) {
        flags_ |= kStarted;
        if (has(kMustCancel)) {
            end_unstarted(worker);
            return false;
        }
    } else if (worker.is_draining()) {
        cancel_for_shutdown(worker);
    }
    return true;
}

void TaskCore::fail_unstarted(std::exception_ptr error) noexcept {
    slot_->error = std::move(error);
    flags_ |= kMustCancel;
}

void TaskCore::end_unstarted(Worker& worker) noexcept {
    if (slot_->error == nullptr) {
        slot_->error = make_cancelled_error();
        flags_ |= kEndsCancelled;
    }
    flags_ &= ~kMustCancel;
    worker.set_current_task(this);  // while its parameters go
    frame_.destroy();
    finish(worker);
}

/// Out of line what is rare: an error, a result with a destructor, a frame that never came to its end.
void TaskCore::destroy_block() noexcept {
    // A result or a frame may hold the last handle of another task, and so on: one after the other, without recursion.
    Dying& dying = t_dying;
    Worker* const here = Worker::current();
    if (dying.is_destroying && dying.where == here) {
        next = dying.first;
        dying.first = this;
        return;
    }
    const Dying outer = std::exchange(dying, {nullptr, here, true});  // a destructor may run loops of its own
    for (TaskCore* task = this; task != nullptr;) {
        task->end_block();
        task = dying.first != nullptr ? &of(*dying.first) : nullptr;
        dying.first = task != nullptr ? task->next : nullptr;
    }
    dying = outer;
}

void TaskCore::end_block() noexcept {
    if (!is_done()) {
        frame_.destroy();
    }
    SlotBase& slot = *slot_;
    if (slot.kind->destroy != nullptr) {
        slot.kind->destroy(slot);
    } else {
        std::destroy_at(&slot);
    }
    if (extras_.load(std::memory_order_relaxed) != nullptr) {  // relaxed: it is read again there
        free_extras();
    }
    if (context_ != nullptr) {
        context_->drop_ref();
    }
    BlockHead& block = head();
    std::destroy_at(this);
    free_block(block);
}

void TaskCore::settle(Worker& worker) noexcept {
    const bool was_asked = has(kShuttingDown);
    State state = State::value;
    if (has(kMustCancel) && slot_->error == nullptr) {
        slot_->error = make_cancelled_error();  // the request was never delivered: the value is lost, as in asyncio
        flags_ |= kEndsCancelled;
    }
    if (slot_->error != nullptr) {
        state = has(kEndsCancelled) ? State::cancelled : State::error;
        if (has(kFatal)) {
            mark_retrieved();  // run() throws it
            worker.runtime().fail(slot_->error);
        }
    }
    flags_ &= ~kMustCancel;
    const bool is_reported = was_asked && state == State::error && !has(kFatal);
    if (is_reported) {
        mark_retrieved();
    }
    state_.store(state, std::memory_order_release);  // [fut.state]
    if (is_reported) {
        report(worker, "unhandled exception during run() shutdown", slot_->error, this);
    }
    if (keeper_ == &worker) {
        notify_waiters();
        drop_ref();
    } else if (is_sole_reference()) {
        drop_ref();  // no handle, hence no waiter
    } else {
        run = &TaskCore::run_settled;
        if (!keeper_->post(work())) {
            drop_ref();  // the keeper has closed, so nobody waits there
        }
    }
    // Last: the run may end once all are counted, and until then the keeper takes messages.
    worker.count_ended();
    if (was_asked) {
        worker.count_asked_ended();
    }
}

/// On the keeper: a task has ended on another loop.
void TaskCore::run_settled(Worker&, Work& work) noexcept {
    TaskCore& task = of(work);
    task.notify_waiters();
    task.drop_ref();
}

std::string TaskCore::name() const {
    const std::string_view given = given_name();
    return given.empty() ? "Task-" + std::to_string(id_) : std::string(given);
}

std::string_view TaskCore::given_name() const noexcept {
    const Extras* const extras = extras_.load(std::memory_order_acquire);  // [task.name]
    const Name* const name = extras != nullptr ? extras->name.load(std::memory_order_acquire) : nullptr;  // [task.name]
    return name != nullptr ? std::string_view(name->text) : std::string_view();
}

void TaskCore::set_name(std::string text) {
    // Older names stay until the end: another thread may be reading one.
    Atomic<Name*>& newest = extras().name;
    newest.store(new Name{std::move(text), newest.load(std::memory_order_relaxed)},  // relaxed: only its loop writes
                 std::memory_order_release);                                        // [task.name]
}

namespace {

/// Stays until the process has gone, with its threads. Made without memory.
union NoText {
    NoText() noexcept : text() {}
    ~NoText() {}
    std::string text;
};

}  // namespace

const std::string& TaskCore::cancel_message() const noexcept {
    static const NoText none;
    const Extras* const extras = extras_.load(std::memory_order_relaxed);  // relaxed: only its loop writes, and asks
    return extras != nullptr ? extras->cancel_message : none.text;
}

void TaskCore::throw_cancelled() {
    std::string text;
    try {
        text = cancel_message();
    } catch (const std::bad_alloc&) {
        text.clear();  // the message is lost, and not the request
    }
    throw CancelledError(std::move(text));
}

std::exception_ptr TaskCore::make_cancelled_error() const noexcept { return make_cancelled(cancel_message()); }

}  // namespace knit::detail
