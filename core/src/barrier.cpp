/// Barrier: asyncio's steps. asyncio's Barrier stands on a Condition, whose lock no task ever waits for on one loop;
/// here the mutex takes that lock's place, and the wakes are the condition's.

#include "knit/barrier.hpp"

#include <string>

#include "knit/detail/awaitable.hpp"

namespace knit {
namespace detail {

/// One coroutine's stay at a barrier. It holds the mutex whenever its coroutine runs, and gives it up in each wait; who
/// is to be woken is woken after the mutex. Leaves the barrier at its end, whatever the end is.
class BarrierVisit {
public:
    /// Gives the mutex up until somebody wakes this task. Cancelled: wakes somebody else instead, perhaps for nothing.
    class Turn : Wait, SyncWaiter {
    public:
        using knit_awaiter = void;

        explicit Turn(BarrierVisit& visit) noexcept : Wait(&Turn::cancel_wait, "Barrier.wait"), visit_(visit) {}
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        bool await_ready() const noexcept { return false; }
        template <KnitPromise P>
        void await_suspend(std::coroutine_handle<P> handle) noexcept {
            TaskCore& waiting = handle.promise().task();
            visit_.barrier_.waiters_.push(*this, waiting);
            visit_.unlock();
            waiting.suspend(handle, this);
        }
        void await_resume() {
            if (is_orphan) {
                visit_.is_gone_ = true;
                task->resumed();
                task->throw_cancelled();
            }
            visit_.lock();
            try {
                task->resumed();
                if (phase == Phase::cancelled) {
                    task->throw_cancelled();
                }
            } catch (...) {
                visit_.woken_.add_first_of(visit_.barrier_.waiters_);
                throw;
            }
        }

    private:
        static bool cancel_wait(Wait& wait) noexcept {
            auto& self = static_cast<Turn&>(wait);
            bool is_taken;
            if (self.is_orphan) {
                is_taken = self.cancel_orphan();
            } else {
                Barrier& barrier = self.visit_.barrier_;
                barrier.mutex_.lock();
                is_taken = barrier.waiters_.cancel(self);
                barrier.mutex_.unlock();
            }
            if (is_taken) {
                self.task->wake();
            }
            return is_taken;
        }

        BarrierVisit& visit_;
    };

    explicit BarrierVisit(Barrier& barrier) noexcept : barrier_(barrier) { lock(); }
    BarrierVisit(const BarrierVisit&) = delete;
    BarrierVisit& operator=(const BarrierVisit&) = delete;
    ~BarrierVisit() {
        if (is_gone_) {
            return;
        }
        if (has_arrived_) {
            leave();
        }
        unlock();
    }

    SyncOperation<Turn, BarrierVisit> turn() noexcept { return SyncOperation<Turn, BarrierVisit>(*this); }

    /// The round before is still leaving.
    bool must_stay_outside() const noexcept {
        return barrier_.state_ == State::draining || barrier_.state_ == State::resetting;
    }
    void arrive() {
        if (barrier_.state_ == State::broken) {
            throw BrokenBarrierError("Barrier aborted");
        }
        has_arrived_ = true;
        link();
        if (++barrier_.count_ == barrier_.parties_) {
            barrier_.state_ = State::draining;
            number_all();
            wake_all();
        }
    }
    bool must_wait() const noexcept { return barrier_.state_ == State::filling; }
    int index() const {
        if (barrier_.state_ != State::draining) {
            throw BrokenBarrierError("Abort or reset of barrier");
        }
        return index_;
    }

    void reset() noexcept {
        barrier_.state_ = barrier_.count_ > 0 ? State::resetting : State::filling;
        wake_all();
    }
    void abort() noexcept {
        barrier_.state_ = State::broken;
        wake_all();
    }

private:
    using State = Barrier::State;

    void lock() noexcept { barrier_.mutex_.lock(); }
    void unlock() noexcept {
        barrier_.mutex_.unlock();
        woken_.wake();
    }
    void wake_all() noexcept { woken_.add(barrier_.waiters_.grant_all()); }

    void leave() noexcept {
        if (is_linked_) {
            unlink();
        }
        if (--barrier_.count_ == 0) {
            if (must_stay_outside()) {
                barrier_.state_ = State::filling;
            }
            wake_all();
        }
    }

    // Who waits for the round to be complete, in the order of arrival. The indices are given out at the end of it: so
    // they have no gap and no double where somebody has left.
    void link() noexcept {
        older_ = barrier_.newest_;
        if (older_ != nullptr) {
            older_->newer_ = this;
        }
        barrier_.newest_ = this;
        is_linked_ = true;
    }
    void unlink() noexcept {
        (newer_ != nullptr ? newer_->older_ : barrier_.newest_) = older_;
        if (older_ != nullptr) {
            older_->newer_ = newer_;
        }
        is_linked_ = false;
    }
    void number_all() noexcept {
        int index = static_cast<int>(barrier_.count_);
        for (BarrierVisit* visit = barrier_.newest_; visit != nullptr; visit = visit->older_) {
            visit->index_ = --index;
            visit->is_linked_ = false;
        }
        KNIT_ASSERT(index == 0);
        barrier_.newest_ = nullptr;
    }

    Barrier& barrier_;
    WakeList woken_;
    BarrierVisit* older_ = nullptr;
    BarrierVisit* newer_ = nullptr;
    int index_ = 0;
    bool has_arrived_ = false;
    bool is_linked_ = false;
    bool is_gone_ = false;  ///< the barrier has been destroyed
};

}  // namespace detail

Coro<int> Barrier::wait() {
    detail::BarrierVisit visit(*this);
    while (visit.must_stay_outside()) {
        co_await visit.turn();
    }
    visit.arrive();
    while (visit.must_wait()) {
        co_await visit.turn();
    }
    co_return visit.index();
}

Coro<> Barrier::reset() {
    detail::BarrierVisit(*this).reset();
    co_return;
}

Coro<> Barrier::abort() {
    detail::BarrierVisit(*this).abort();
    co_return;
}

std::size_t Barrier::n_waiting() const noexcept {
    mutex_.lock();
    const std::size_t count = state_ == State::filling ? count_ : 0;
    mutex_.unlock();
    return count;
}

bool Barrier::broken() const noexcept {
    mutex_.lock();
    const bool is_broken = state_ == State::broken;
    mutex_.unlock();
    return is_broken;
}

}  // namespace knit
