/// What any thread may ask of a runtime while it lives: work for some loop, a stop, a count. Its start and end are in
/// lifecycle.cpp, and what may be asked when it has gone is in runtime_life.hpp.

#include "runtime_core.hpp"

#include <algorithm>

#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {

void RuntimeCore::wake_one() noexcept {
    do {
        // Counted as searching before it is claimed: it may wake by itself at once, and then takes itself off.
        idle_.begin_search();
        for (Worker* each : workers_) {
            if (each->claim_sleeper()) {
                return;
            }
        }
        // Whoever has made work meanwhile may have taken us for a searcher. Ends: a sleeper that is seen now is claimed
        // in the next round, by us or by another; one that goes to sleep later looks for work after that.
    } while (idle_.end_search() && has_sleeper() && leaves_work_to_sleepers());
}

/// Somebody can be claimed; who is just waking still counts as asleep, but has to look for work by itself.
bool RuntimeCore::has_sleeper() const noexcept {
    return std::ranges::any_of(workers_, [](const Worker* each) { return each->is_claimable(); });
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
    life_->report_drained();  // any loop may bring the news; loop 0 alone decides, having been told
}

/// Tasks that are made and not ended. Ended ones are summed first: should the sums be equal, then all that had been
/// made by then had ended. Callbacks may have made others since, unless the loops stand still.
std::uint64_t RuntimeCore::live_tasks() noexcept {
    std::uint64_t ended = 0;
    for (const Worker* each : workers_) {
        ended += each->ended();
    }
    std::uint64_t made = life_->made();
    for (const Worker* each : workers_) {
        made += each->made();
    }
    return made - ended;
}

void RuntimeCore::submit(TaskCore& task) {
    // Once it is pushed the task may end, with it the run, and the owner ends the runtime: not before this has gone.
    const RuntimeLife::Submitter submitter(life_);
    task.mark_spawned();
    Worker& keeper = task.keeper();
    try {
        if (is_closing()) {
            throw RuntimeError("Event loop is closed");
        }
        injector_.push(task.work());
    } catch (...) {
        life_->count_lost();
        task.drop_ref();
        throw;
    }
    full_fence();  // [idle.word]
    const std::uint64_t word = idle_.load();
    if (Idle::needs_wake(word)) {
        wake_one();
    } else if (Idle::searching(word) == 0) {
        keeper.nudge();  // all are busy
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
