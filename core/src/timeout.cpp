/// Timeout, and the alarm that stands for it in the timers of a loop.
///
///   [alarm.refs] drop: acq_rel     all use of an alarm happens before its end

#include "knit/timeout.hpp"

#include <memory>
#include <new>
#include <string>

#include "knit/detail/timers.hpp"
#include "knit/detail/worker.hpp"

namespace knit {
namespace detail {

/// The timer of a Timeout. Not in the awaiting frame: a scope ends without a turn of the loop, and the timer that has
/// fallen due meanwhile stands in the run queue, which nothing can be taken out of; nor can the timers of the loop that
/// the task has left be touched from where it is now. So it has a pooled block of its own, which ends when nobody has
/// it any more.
///
/// It belongs to one loop, the owner, whose timers it may stand in. When it falls due it goes where its task lives, by
/// message if that is elsewhere; only there is `timeout_` looked at, which the task alone changes.
class Alarm : Timer {
public:
    Alarm(Timeout& timeout, TaskCore& task, Worker& owner) noexcept : timeout_(&timeout), task_(task), owner_(owner) {
        run = &Alarm::ring;
    }
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

    /// Throws std::bad_alloc.
    void set(TimePoint when) {
        if (when <= owner_.now()) {
            owner_.make_ready(*this);
        } else {
            owner_.set_timer(*this, when);
        }
    }
    /// The timeout does not want it any more. The task's loop, `here`.
    void retire(Worker& here) noexcept {
        if (&owner_ == &here && owner_.cancel_timer(*this)) {
            delete this;
            return;
        }
        timeout_ = nullptr;
        task_.add_ref();  // whoever has the alarm looks for the task
        keeps_task_ = true;
        if (&owner_ != &here) {
            refs_.fetch_add(1, std::memory_order_relaxed);  // relaxed: there is another one
            recall_.alarm = this;
            recall_.run = &Alarm::recall;
            if (!owner_.post(recall_)) {
                drop();  // it has closed, and dropped the alarm
            }
        }
    }

private:
    /// How often the owner looks for a task that offers itself (reschedule()), until some loop takes it.
    static constexpr std::chrono::milliseconds kOfferedPause{1};

    struct Recall : Work {
        Alarm* alarm = nullptr;
    };

    static void ring(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<Alarm&>(static_cast<Timer&>(work));
        if (worker.is_discarding()) {
            if (self.task_.is_done()) {
                self.drop();  // else its task is abandoned, and its Timeout may still come back to this
            }
            return;
        }
        Worker* const home = self.task_.home();
        if (home == &worker) {
            if (self.timeout_ != nullptr) {
                self.timeout_->expire();
                delete &self;
            } else {
                self.drop();
            }
            return;
        }
        Worker& target = home != nullptr ? *home : self.owner_;
        if (&target == &worker) {
            try {
                worker.set_timer(self, after(worker.now(), kOfferedPause));
            } catch (const std::bad_alloc&) {
                worker.make_ready(self);
            }
        } else if (!target.post(self)) {
            self.drop();
        }
    }

    /// The timeout was left on another loop. Owner.
    static void recall(Worker& worker, Work& work) noexcept {
        Alarm& self = *static_cast<Recall&>(work).alarm;
        if (worker.cancel_timer(self)) {
            self.drop();
        }
        self.drop();
    }

    /// Only of an alarm that has been retired, or at the end of its loop.
    void drop() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [alarm.refs]
            if (keeps_task_) {
                task_.drop_ref();
            }
            delete this;
        }
    }

    Timeout* timeout_;  ///< null once retired; the task's loop
    TaskCore& task_;
    Worker& owner_;
    bool keeps_task_ = false;  ///< set with it
    Recall recall_;
    Atomic<std::uint32_t> refs_{1};  ///< the way of the timer, and that of the recall; any thread [alarm.refs]
};

}  // namespace detail

Timeout::~Timeout() { KNIT_ASSERT(alarm_ == nullptr); }

void Timeout::reschedule(std::optional<TimePoint> when) {
    switch (state_) {
        case State::active: break;
        case State::created: throw RuntimeError("Timeout has not been entered");
        case State::expiring: throw RuntimeError("Cannot change state of expiring Timeout");
        case State::expired: throw RuntimeError("Cannot change state of expired Timeout");
        case State::finished: throw RuntimeError("Cannot change state of finished Timeout");
    }
    detail::Worker* const here = detail::Worker::current();
    if (here == nullptr || task_->home() != here) {
        throw RuntimeError("Non-thread-safe operation: Timeout::reschedule() on another loop than the body's");
    }
    arm(when, *here);
}

void Timeout::enter(detail::TaskCore& task) {
    if (state_ != State::created) {
        throw RuntimeError("Timeout has already been entered");
    }
    task_ = &task;
    cancelling_ = task.cancelling() - (task.is_cancel_kept() ? 1 : 0);  // that one is to come out of the body
    arm(when_, *task.home());
    state_ = State::active;
}

/// True when the cancellation is the deadline's own doing.
bool Timeout::leave() noexcept {
    disarm(*task_->home());
    if (state_ != State::expiring) {
        state_ = State::finished;
        return false;
    }
    state_ = State::expired;
    return task_->uncancel() <= cancelling_;
}

void Timeout::arm(std::optional<TimePoint> when, detail::Worker& here) {
    disarm(here);
    when_ = when;
    if (when) {
        auto alarm = std::make_unique<detail::Alarm>(*this, *task_, here);
        alarm->set(*when);
        alarm_ = alarm.release();
    }
}

void Timeout::disarm(detail::Worker& here) noexcept {
    if (alarm_ != nullptr) {
        std::exchange(alarm_, nullptr)->retire(here);
    }
}

/// The deadline has come. The task's loop, which the task is suspended on.
void Timeout::expire() noexcept {
    alarm_ = nullptr;
    task_->cancel_task({});
    state_ = State::expiring;
}

}  // namespace knit
