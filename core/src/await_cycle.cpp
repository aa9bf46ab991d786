/// Tasks of several loops that await each other, all for ever: found by a message that follows the chain of awaits.
///
/// A task's await is known to its home loop alone. So whoever starts to await a task of another loop sends a probe
/// there, which goes from task to task and from loop to loop. It ends where a task awaits none; it comes back where
/// there is a cycle, which the last of the awaits to come about has closed, so that this one's probe finds it whole.
///
/// No cycle is reported that is none. The first lap gives every await on its way a ticket; then a limit is drawn, and
/// the second lap wants each await to bear a ticket below it: so all of them were there when the limit was drawn, at
/// once.
///
/// A task that nobody has awaited yet cannot be part of a cycle, and sends no probe: an await first marks its target,
/// then looks whether its own task is marked. Of all the awaits of a cycle, take the one that looks last. The await of
/// its task has marked it before: on the same loop, or, across loops, before a fence which came before that await's own
/// look. Across loops means that the target does not live here. One that has not started and is kept here counts as
/// living here; should it start elsewhere, then it does not live on its keeper, and such a task sends its probes
/// unasked.
///
///   [await.mark]    await across loops: mark the target; fence  ->  look at the own mark      see above
///   [await.ticket]  ticket: fetch_add  ->  limit: load     a ticket below the limit was given before it was drawn

#include <memory>
#include <new>

#include "await_chain.hpp"
#include "knit/detail/future_wait.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {
namespace {

// How many awaits are followed before the loop gets its turn.
constexpr int kStepsMax = 64;

Atomic<std::uint64_t> g_next_ticket{0};  // any thread takes from it [await.ticket]

/// The task that `task` awaits, null where it is none. Home loop.
TaskCore* awaited_task(const TaskCore& task) noexcept {
    FutureCore* const awaited = awaited_by(task);
    return awaited != nullptr && awaited->is_task() && !awaited->is_done() ? static_cast<TaskCore*>(awaited) : nullptr;
}

bool may_be_awaited(const TaskCore& task, const Worker& home) noexcept {
    return task.is_awaited() || &task.keeper() != &home;
}

}  // namespace

/// What a probe leaves with an await. Its home loop's.
struct CycleMark {
    explicit CycleMark(FutureWait& whose) : wait(std::make_shared<FutureWait*>(&whose)) {}
    std::uint64_t ticket = g_next_ticket.fetch_add(1, std::memory_order_acq_rel) + 1;  // [await.ticket]
    std::shared_ptr<FutureWait*> wait;  ///< shared with the await's own probe; null once it has ended
};

class CycleProbe : public Work {
public:
    /// Of the await `wait` of `task`.
    CycleProbe(TaskCore& task, const CycleMark& mark, TaskCore& first) : origin_(&task), wait_(mark.wait), at_(&first) {
        task.add_ref();
        first.add_ref();
        run = &CycleProbe::arrive;
    }
    /// Follows the chain as far as it lies on this loop, then sends the probe on.
    static void arrive(Worker& worker, Work& work) noexcept {
        std::unique_ptr<CycleProbe> self(static_cast<CycleProbe*>(&work));
        auto* task = static_cast<TaskCore*>(self->at_.get());
        for (int step = 0; task != nullptr && !task->is_done(); ++step) {
            Worker* const home = task->home();
            if (home == nullptr) {
                return;  // it runs nowhere: it awaits nothing
            }
            if (home != &worker || step == kStepsMax) {
                task->add_ref();
                self->at_ = CoreRef(task);
                if (home->post(*self)) {
                    static_cast<void>(self.release());
                }
                return;
            }
            if (task == self->origin_.get() ? !self->end_lap() : !self->pass(*task)) {
                return;
            }
            task = awaited_task(*task);
        }
    }
    /// The mark of what `task` awaits; null where that is no FutureWait, or there is no memory.
    static CycleMark* mark_of(const TaskCore& task) noexcept {
        Wait* const wait = wait_of(task);
        return wait != nullptr && wait->cancel == &FutureWait::cancel_wait ? mark_of(static_cast<FutureWait&>(*wait))
                                                                          : nullptr;
    }
    static CycleMark* mark_of(FutureWait& wait) noexcept {
        try {
            wait.mark_ = wait.mark_ != nullptr ? wait.mark_ : new CycleMark(wait);
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
        return wait.mark_;
    }

private:
    /// Back at the start. False when there is nothing more to do.
    bool end_lap() noexcept {
        if (*wait_ == nullptr) {
            return false;  // that await has ended
        }
        if (limit_ != 0) {
            (*wait_)->refuse();
            return false;
        }
        limit_ = g_next_ticket.load(std::memory_order_acquire);  // [await.ticket]
        passed_ = 0;
        watched_ = 0;
        return true;
    }

    /// Whether the task's await is to be followed.
    bool pass(const TaskCore& task) noexcept {
        if (awaited_task(task) == nullptr) {
            return false;
        }
        const CycleMark* const mark = mark_of(task);
        if (mark == nullptr || mark->ticket == watched_ || (limit_ != 0 && mark->ticket > limit_)) {
            return false;  // on the same await again: in a cycle that does not lead through the origin
        }
        ++passed_;
        if ((passed_ & (passed_ - 1)) == 0) {
            watched_ = mark->ticket;  // the 1st, 2nd, 4th, 8th ...: within each cycle, some time
        }
        return true;
    }

    CoreRef origin_;
    std::shared_ptr<FutureWait*> wait_;  ///< the origin's home looks into it
    CoreRef at_;                         ///< the task to go on with
    std::uint64_t limit_ = 0;            ///< on the second lap: no await is younger
    std::uint64_t watched_ = 0;
    std::uint64_t passed_ = 0;
};

bool check_cycle_slow(TaskCore& task, TaskCore& target, Worker& here) {
    if (target.home() != &here) {
        return target.home() != nullptr || &target.keeper() != &here;
    }
    TaskCore* link = &target;
    for (int step = 0; link != nullptr && step < kStepsMax; ++step) {
        if (link == &task) {
            throw_awaits_itself(task);
        }
        Worker* const home = link->home();
        if (home != &here) {
            return home != nullptr;
        }
        link = awaited_task(*link);
    }
    return link != nullptr;
}

void FutureWait::probe_for_cycle(Worker& here) noexcept {
    full_fence();  // [await.mark]
    auto& first = static_cast<TaskCore&>(*core_);
    if (first.home() == nullptr || !may_be_awaited(*task_, here)) {  // [await.mark]
        return;
    }
    const CycleMark* const mark = CycleProbe::mark_of(*this);
    auto* const probe = mark != nullptr ? new (std::nothrow) CycleProbe(*task_, *mark, first) : nullptr;
    if (probe != nullptr) {  // without memory a cycle goes unfound, as in asyncio
        CycleProbe::arrive(here, *probe);
    }
}

bool FutureWait::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<FutureWait&>(wait);
    if (self.is_refused_) {
        return false;
    }
    if (self.core_->is_task() && !self.is_over_) {
        const auto& awaited = static_cast<const TaskCore&>(*self.core_);
        if (awaited.home() == self.task_->home() && awaited.is_cancelling_wait()) {
            // What is being cancelled waits, through a gather, for this task, and this one for that: here it ends.
            self.is_cancel_taken_ = true;
            self.refuse();
            return true;
        }
    }
    try {
        const bool is_taken = self.core_->cancel(self.task_->cancel_message(), self.task_);
        self.is_cancel_taken_ = self.is_cancel_taken_ || is_taken;
        return is_taken;
    } catch (const std::bad_alloc&) {
        return false;  // it could not be passed on: it is due when the wait has ended
    }
}

void FutureWait::refuse() noexcept {
    if (!is_over_) {
        is_over_ = true;
        is_refused_ = true;
        core_->unsubscribe(*this);
        task_->wake();
    }
}

void FutureWait::throw_refused() {
    if (is_cancel_taken_) {
        task_->throw_cancelled();
    }
    throw_awaits_itself(*task_);
}

void FutureWait::drop_mark() noexcept {
    *mark_->wait = nullptr;
    delete mark_;
    mark_ = nullptr;
}

}  // namespace knit::detail
