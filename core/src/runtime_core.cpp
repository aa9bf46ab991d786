/// What any thread may ask of a runtime while it lives: work for some loop, a stop, a count. Its start and end are in
/// lifecycle.cpp.
///
///   [run.message]  stop_loop_0, report_drained: is_posted RMW  <->  loop 0: is_posted store     one node, in one inbox

#include "runtime_core.hpp"

#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {

void RuntimeCore::wake_one() noexcept {
    // Counted as searching before it is claimed: it may wake by itself at once, and then takes itself off.
    for (unsigned round = 0;; ++round) {
        idle_.begin_search();
        for (Worker* each : workers_) {
            if (each->claim_sleeper()) {
                return;
            }
        }
        // Whoever has made work meanwhile may have taken us for a searcher. Ends: without sleepers or work, at once.
        if (!idle_.end_search() || !leaves_work_to_sleepers()) {
            return;
        }
        wait_for_other_thread(round);  // a sleeper is just waking by itself, and has still to say so
    }
}

void RuntimeCore::fence_against_offers() noexcept {
    for (const Worker* each : workers_) {
        if (each->is_unfenced()) {
            heavy_fence();  // [idle.word]
            return;
        }
    }
}

bool RuntimeCore::leaves_work_to_sleepers() noexcept {
    if (Idle::sleeping(idle_.load()) == 0) {
        return false;
    }
    fence_against_offers();
    return has_stealable();
}

bool RuntimeCore::has_stealable() noexcept {
    if (injector_.size_hint() != 0) {
        return true;
    }
    if (!settings_.steal) {
        return false;
    }
    for (Worker* each : workers_) {
        if (each->has_stealable()) {
            return true;
        }
    }
    return false;
}

void RuntimeCore::stop_loop_0() noexcept {
    if (is_running() && Worker::current() == &worker(0)) {
        worker(0).stop();  // after the present turn: what that schedules waits for the next run
        return;
    }
    if (!stop_message_.is_posted.exchange(true, std::memory_order_acq_rel) &&  // [run.message]
        !worker(0).post(stop_message_)) {
        stop_message_.is_posted.store(false, std::memory_order_release);  // [run.message]
    }
}

void RuntimeCore::fail(std::exception_ptr error) noexcept {
    {
        const std::lock_guard lock(failure_mutex_);
        if (failure_ == nullptr) {
            failure_ = std::move(error);
        }
    }
    stop_loop_0();
}

void RuntimeCore::rethrow_failure() {
    std::exception_ptr failure;
    {
        const std::lock_guard lock(failure_mutex_);
        std::swap(failure, failure_);
    }
    if (failure != nullptr) {
        std::rethrow_exception(failure);
    }
}

void RuntimeCore::report_drained() noexcept {
    // Any loop may bring the news; loop 0 alone decides, having been told.
    if (!drained_message_.is_posted.exchange(true, std::memory_order_acq_rel) &&  // [run.message]
        !worker(0).post(drained_message_)) {
        drained_message_.is_posted.store(false, std::memory_order_release);  // [run.message]
    }
}

/// Tasks that are made and not ended. Ended ones are summed first: should the sums be equal, then all that had been
/// made by then had ended, and only a task makes tasks.
std::uint64_t RuntimeCore::live_tasks() noexcept {
    std::uint64_t ended = 0;
    for (const Worker* each : workers_) {
        ended += each->ended();
    }
    std::uint64_t made = foreign_made_.load(std::memory_order_seq_cst);  // [run.closing]
    for (const Worker* each : workers_) {
        made += each->made();
    }
    return made - ended;
}

void RuntimeCore::submit(TaskCore& task) {
    task.mark_spawned();
    try {
        if (is_closing()) {
            throw RuntimeError("Event loop is closed");
        }
        injector_.push(task.work());
    } catch (...) {
        count_foreign_lost();
        task.drop_ref();
        throw;
    }
    full_fence();  // [idle.word]
    if (Idle::needs_wake(idle_.load())) {
        wake_one();
    }
}

Worker& RuntimeCore::keeper_for_submit() {
    if (is_closed() || is_closing()) {
        throw RuntimeError("Event loop is closed");
    }
    if (size() == 1) {
        return worker(0);
    }
    const unsigned turn = next_keeper_.fetch_add(1, std::memory_order_relaxed);  // relaxed: spreads, no more
    return worker(1 + turn % (size() - 1));
}

}  // namespace knit::detail
