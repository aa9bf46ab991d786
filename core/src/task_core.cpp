/// A task's life: begun on some loop, run, settled on its keeper. Cancellation is in cancel.cpp.

#include "knit/detail/task_core.hpp"

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "report.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

void TaskCore::free_extras() noexcept {
    for (Name* name = name_.load(std::memory_order_acquire); name != nullptr;) {  // [task.name]
        Name* const older = name->older;
        delete name;
        name = older;
    }
    delete cancel_message_;
}

void TaskCore::settle_down(Worker& worker) noexcept {
    home_.store(&worker, std::memory_order_relaxed);  // relaxed: nobody else knows the task yet
    enter_registry();
}

/// Out of the run queue.
void TaskCore::run_ready(Worker& worker, Work& work) noexcept {
    TaskCore& task = of(work);
    if (!task.has_started_) {
        task.has_started_ = true;
        if (task.must_cancel_) [[unlikely]] {
            worker.resume(task, task.end_unstarted(worker));
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
    run_ready(worker, work);
}

void TaskCore::leave_home() noexcept {
    if (is_registered_) {
        home()->leave_registry(*this);
        is_registered_ = false;
    }
    home_.store(nullptr,
                std::memory_order_relaxed);  // [task.home] a canceller that reads the old home is sent on from there
}

void TaskCore::move_home(Worker& target) noexcept {
    leave_home();
    home_.store(&target, std::memory_order_relaxed);  // [task.home] likewise
    run = &TaskCore::run_arrived;
}

void TaskCore::come_back(Worker& here) noexcept {
    home_.store(&here, std::memory_order_relaxed);  // [task.home] likewise
    run = &TaskCore::run_ready;
    enter_registry();
}

void TaskCore::travel_to(Worker& target) noexcept {
    home_.store(&target, std::memory_order_relaxed);  // relaxed: nobody else knows the task yet
    run = &TaskCore::run_arrived;
}

bool TaskCore::cancel_for_shutdown() noexcept {
    if (is_shutting_down_) {
        return false;
    }
    is_shutting_down_ = true;
    cancel_at_home({});
    return true;
}

std::coroutine_handle<> TaskCore::end_unstarted(Worker& worker) noexcept {
    slot_->error = make_cancelled_error();
    must_cancel_ = false;
    ends_cancelled_ = true;
    return finish(worker);
}

void TaskCore::settle(Worker& worker) noexcept {
    State state = State::value;
    if (must_cancel_ && slot_->error == nullptr) {
        slot_->error = make_cancelled_error();  // the request was never delivered: the value is lost, as in asyncio
        ends_cancelled_ = true;
    }
    if (slot_->error != nullptr) {
        state = ends_cancelled_ ? State::cancelled : State::error;
        if (is_fatal_) {
            worker.runtime().fail(slot_->error);
        }
    }
    must_cancel_ = false;
    if (is_shutting_down_ && state == State::error && !is_fatal_) {
        mark_retrieved();
        report(worker, "unhandled exception during run() shutdown", slot_->error, this);
    }
    state_.store(state, std::memory_order_release);  // [fut.state]
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
}

/// On the keeper: a task has ended on another loop.
void TaskCore::run_settled(Worker&, Work& work) noexcept {
    TaskCore& task = of(work);
    task.notify_waiters();
    task.drop_ref();
}

std::string TaskCore::name() const {
    const Name* const name = name_.load(std::memory_order_acquire);  // [task.name]
    return name != nullptr ? name->text : "Task-" + std::to_string(id_);
}

void TaskCore::set_name(std::string text) {
    // Older names stay until the end: another thread may be reading one.
    Name* const name =
        new Name{std::move(text), name_.load(std::memory_order_relaxed)};  // relaxed: only its loop writes
    name_.store(name, std::memory_order_release);                          // [task.name]
}

const std::string& TaskCore::cancel_message() const noexcept {
    static const std::string* const none = new std::string;
    return cancel_message_ != nullptr ? *cancel_message_ : *none;
}

void TaskCore::throw_cancelled() { throw CancelledError(cancel_message()); }

std::exception_ptr TaskCore::make_cancelled_error() const {
    return std::make_exception_ptr(CancelledError(cancel_message()));
}

}  // namespace knit::detail
