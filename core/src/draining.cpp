/// The end of a runtime's tasks: they are asked to end, round after round, until there are none and can be no more. The
/// whole order is at the head of lifecycle.cpp.
///
///   [run.round]    a loop's answer: release  ->  loop 0: acquire     its count of asked tasks is seen

#include <mutex>
#include <string>

#include "knit/log.hpp"
#include "loop_box.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

void RuntimeCore::tell_loops(Work LoopBox::*message, Work::Run what) noexcept {
    for (std::size_t index = 1; index < boxes_.size(); ++index) {
        Work& work = boxes_[index]->*message;
        work.run = what;
        static_cast<void>(worker(index).post(work));  // false: it could not be started, and has closed
    }
}

/// Every loop has answered the round before.
void RuntimeCore::start_round() noexcept {
    round_answers_.store(0, std::memory_order_relaxed);  // relaxed: the messages publish it
    tell_loops(&LoopBox::ask, [](Worker& self, Work&) noexcept {
        self.ask_all_to_end();
        RuntimeCore& runtime = self.runtime();
        runtime.round_answers_.fetch_add(1, std::memory_order_release);  // [run.round]
        runtime.report_drained();  // this loop may be too busy ever to become idle
    });
    worker(0).ask_all_to_end();
}

bool RuntimeCore::is_round_answered() const noexcept {
    return round_answers_.load(std::memory_order_acquire) + 1 >= size();  // [run.round]
}

/// Loop 0's thread. Ends loop 0 when no task is left; asks the tasks that have come since when those that were asked
/// have ended.
void RuntimeCore::go_on_draining() noexcept {
    if (!is_draining_ || !is_round_answered()) {
        return;
    }
    if (live_tasks() == 0) {
        worker(0).stop();
        return;
    }
    std::uint64_t ended = 0;
    std::uint64_t asked = 0;
    for (const Worker* each : workers_) {
        ended += each->asked_ended();
    }
    for (const Worker* each : workers_) {
        asked += each->asked();
    }
    if (asked == ended) {
        start_round();
    }
}

void RuntimeCore::cancel_everything() {
    life_->start_closing();
    if (options_.grace) {
        grace_.run = [](Worker& loop_0, Work&) noexcept {
            loop_0.runtime().has_abandoned_ = true;
            loop_0.stop();
        };
        worker(0).set_timer(grace_, after(worker(0).now(), *options_.grace));
    }
    is_draining_ = true;
    worker(0).attach();  // as if from a callback: what a cancelled task waits for is cancelled at once, not by message
    start_round();
    worker(0).detach();
    while (!has_abandoned_ && (live_tasks() != 0 || !is_round_answered())) {
        run_loop_0_to_the_end();
    }
    worker(0).cancel_timer(grace_);
    is_draining_ = false;
    if (has_abandoned_) {
        log_or_lose(LogLevel::error, [this] {
            return std::to_string(live_tasks()) + " tasks did not end within the grace period and are abandoned";
        });
    }
}

/// Zero tasks are final only where nothing runs: callbacks and messages make tasks too. Ends: a callback that makes
/// tasks for ever would have to do so at each halt.
void RuntimeCore::halt_without_tasks() {
    for (;;) {
        halt_threads();
        if (live_tasks() == 0) {
            return;
        }
        let_threads_go_on();
        cancel_everything();
        if (has_abandoned_) {
            return;
        }
    }
}

/// Waits until each loop but 0 has come to the end of its turn. In a simulation nobody turns them now.
void RuntimeCore::halt_threads() noexcept {
    if (threads_.empty()) {
        return;
    }
    is_halting_.store(true, std::memory_order_relaxed);  // relaxed: a flag alone
    tell_loops(&LoopBox::halt, [](Worker& self, Work&) noexcept { self.stop(); });
    std::unique_lock lock(halt_mutex_);
    halted_.wait(lock, [this] { return halted_count_ == threads_.size(); });
}

void RuntimeCore::let_threads_go_on() noexcept {
    is_halting_.store(false, std::memory_order_relaxed);  // relaxed: a flag alone
    {
        const std::lock_guard lock(halt_mutex_);
        halted_count_ = 0;
        ++halt_number_;
    }
    halted_.notify_all();
}

/// The loop's thread, which has been stopped. False: for good.
bool RuntimeCore::goes_on_after_halt() noexcept {
    std::unique_lock lock(halt_mutex_);
    const unsigned number = halt_number_;
    ++halted_count_;
    halted_.notify_all();
    halted_.wait(lock, [this, number] { return are_threads_ending_ || halt_number_ != number; });
    return !are_threads_ending_;
}

}  // namespace knit::detail
