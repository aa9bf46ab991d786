/// How a loop ends: first its tasks, then itself.

#include "driver.hpp"
#include "knit/detail/fork.hpp"
#include "knit/detail/worker.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

// Destructors of what is dropped make tasks, the frames of which are dropped, and so on, this deep.
constexpr unsigned kLateRounds = 16;

}  // namespace

void Worker::close() noexcept {
    is_discarding_ = true;
    starts_eagerly_ = false;
    Work* const left = inbox_.close();
    // Ends: whoever claimed this loop is between the claim and the ring of its bell.
    for (unsigned round = 0; wakes_done_.load(std::memory_order_acquire) != claims_; ++round) {  // [worker.wakes]
        wait_for_other_thread(round);
    }
    return_ids();
    while (Timer* timer = timers_.pop_due(kNever)) {
        ready_.push(*timer);
    }
    counters_.timers.set(0);
    for (Work* work = left; work != nullptr;) {
        Work* const next = work->next;
        ready_.push(*work);
        work = next;
    }
    drop_ready();
    for (unsigned round = 0; round < kLateRounds && has_late_tasks(); ++round) {
        ask_all_to_end();
        drop_ready();
    }
}

/// Ends: messages and callbacks make no work but by destructors. A task that was abandoned is not run on; what
/// destructors make now ends without a step.
void Worker::drop_ready() noexcept {
    while (Work* work = ready_.pop()) {
        if (!TaskCore::is_task_work(*work)) {
            work->run(*this, *work);
        } else if (TaskCore& task = TaskCore::of(*work); !runtime_.has_abandoned() && !task.is_started()) {
            task.cancel_for_shutdown(*this);
            work->run(*this, *work);
        }
    }
}

/// Offered by destructors, while the loop closes.
bool Worker::has_late_tasks() const noexcept {
    return !runtime_.has_abandoned() && (deque_.size_hint() != 0 || runtime_.injector().size_hint() != 0);
}

void Worker::ask_all_to_end() noexcept {
    is_draining_ = true;
    has_reported_drained_ = false;
    // The oldest first: what awaits another task finds that asked already, and need not pass the request on.
    TaskCore* oldest = registry_;
    while (oldest != nullptr && oldest->registry_next != nullptr) {
        oldest = oldest->registry_next;
    }
    for (TaskCore* task = oldest; task != nullptr; task = task->registry_previous) {
        task->cancel_for_shutdown(*this);
    }
    // Those that nobody has started: taken, and ended without a step.
    for (std::size_t count = deque_.size_hint() + runtime_.injector().size_hint(); count > 0; --count) {
        Work* work = deque_.pop();
        work = work != nullptr ? work : runtime_.injector().pop();
        if (work == nullptr) {
            return;
        }
        TaskCore& task = offered_task(*this, *work);
        task.cancel_for_shutdown(*this);
        run_offered(task.work());
    }
}

void Worker::count_asked_ended() noexcept {
    add_one(asked_ended_);
    if (is_draining_) {
        // Perhaps the last of this round; the loop may be too busy with newer tasks to become idle.
        runtime_.report_drained();
    }
}

}  // namespace knit::detail
