/// The engine of as_completed().
///
///   [as_completed.refs] drop_ref: acq_rel     all use happens before the end

#include "knit/as_completed.hpp"

#include <mutex>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"

namespace knit::detail {

AsCompletedCore::AsCompletedCore(std::vector<CoreRef> children, std::optional<Duration> timeout, Worker& keeper)
    : keeper_(keeper),
      places_(std::make_unique<Place[]>(children.size())),
      count_(children.size()),
      todo_(children.size()),
      done_(std::make_unique<CoreRef[]>(children.size())),
      unclaimed_(children.size()) {
    limit_.owner = this;
    limit_.run = &AsCompletedCore::elapsed;
    farewell_.owner = this;
    for (std::size_t index = 0; index < count_; ++index) {
        Place& place = places_[index];
        place.owner = this;
        place.child = std::move(children[index]);
        place.hop.place = &place;
        place.hop.run = &AsCompletedCore::count;
    }
    try {
        for (Place& place : places()) {
            if (!place.child->is_done()) {
                place.child->subscribe(place, keeper_);
            }
        }
        if (timeout && count_ != 0) {
            keeper_.set_timer(limit_, after(keeper_.now(), *timeout));
            ++in_flight_;
        }
    } catch (...) {
        unsubscribe();
        throw;
    }
    for (Place& place : places()) {
        if (!place.linked && place.relay == nullptr) {
            settled(place, *place.child);
        }
    }
}

void AsCompletedCore::unsubscribe() noexcept {
    for (Place& place : places()) {
        if (place.child) {
            place.child->unsubscribe(place);
        }
    }
}

void AsCompletedCore::settled(Waiter& waiter, FutureCore&) noexcept {
    auto& place = static_cast<Place&>(waiter);
    ++place.owner->in_flight_;
    place.owner->keeper_.make_ready(place.hop);
}

/// A turn after a child was settled.
void AsCompletedCore::count(Worker&, Work& work) noexcept {
    Place& place = *static_cast<Place::Hop&>(work).place;
    AsCompletedCore& self = *place.owner;
    if (self.todo_ != 0 && !self.is_left_) {
        self.put(std::move(place.child));
        if (--self.todo_ == 0 && self.keeper_.cancel_timer(self.limit_)) {
            --self.in_flight_;
        }
    }
    self.ended_one();
}

void AsCompletedCore::elapsed(Worker&, Work& work) noexcept {
    AsCompletedCore& self = *static_cast<Limit&>(static_cast<Timer&>(work)).owner;
    if (!self.is_left_) {
        self.unsubscribe();
        for (std::size_t left = std::exchange(self.todo_, 0); left > 0; --left) {
            self.put(CoreRef());
        }
    }
    self.ended_one();
}

/// A hop or the timer has come back.
void AsCompletedCore::ended_one() noexcept {
    if (--in_flight_ == 0 && is_left_) {
        delete this;
    }
}

void AsCompletedCore::put(CoreRef child) noexcept {
    SyncWaiter* waiter = nullptr;
    {
        const std::lock_guard lock(mutex_);
        done_[done_end_++] = std::move(child);
        waiter = hand_over();
    }
    if (waiter != nullptr) {
        wake_from_anywhere(*waiter->task);
    }
}

/// Gives the oldest that is done to the one who waits longest, who then has to be woken. Under the mutex.
SyncWaiter* AsCompletedCore::hand_over() noexcept {
    SyncWaiter* const waiter = takers_.grant_first();
    if (waiter != nullptr) {
        static_cast<Taker*>(waiter)->child = std::move(done_[done_begin_++]);
    }
    return waiter;
}

bool AsCompletedCore::claim() noexcept {
    const std::lock_guard lock(mutex_);
    if (unclaimed_ == 0) {
        return false;
    }
    --unclaimed_;
    return true;
}

bool AsCompletedCore::take(Taker& taker, TaskCore& task) noexcept {
    const std::lock_guard lock(mutex_);
    if (done_begin_ == done_end_) {
        takers_.push(taker, task);
        return false;
    }
    taker.child = std::move(done_[done_begin_++]);
    return true;
}

bool AsCompletedCore::cancel(Taker& taker) noexcept {
    const std::lock_guard lock(mutex_);
    return takers_.cancel(taker);
}

void AsCompletedCore::give_back(Taker& taker) noexcept {
    SyncWaiter* waiter = nullptr;
    {
        const std::lock_guard lock(mutex_);
        KNIT_ASSERT(done_begin_ != 0);  // it came from there
        done_[--done_begin_] = std::move(taker.child);
        waiter = hand_over();
    }
    if (waiter != nullptr) {
        wake_from_anywhere(*waiter->task);
    }
}

void AsCompletedCore::drop_ref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) {  // [as_completed.refs]
        return;
    }
    if (Worker::current() == &keeper_) {
        leave(false);
        return;
    }
    farewell_.run = [](Worker&, Work& work) noexcept { static_cast<Farewell&>(work).owner->leave(false); };
    if (!keeper_.post(farewell_)) {
        leave(true);
    }
}

/// The last handle has gone. The keeper's thread, or any when that loop has closed.
void AsCompletedCore::leave(bool is_closed) noexcept {
    is_left_ = true;
    if (is_closed) {
        for (Place& place : places()) {
            place.relay = nullptr;  // it ended with the loop
        }
    }
    unsubscribe();
    if (!is_closed && keeper_.cancel_timer(limit_)) {
        --in_flight_;
    }
    if (in_flight_ == 0) {
        delete this;
    }
}

CoreRef AsCompletedTake::take_child() {
    if (task_ != nullptr) {
        try {
            task_->resumed();
        } catch (...) {
            if (taker_.phase == SyncWaiter::Phase::granted) {
                core_->give_back(taker_);
            }
            throw;
        }
        if (taker_.phase == SyncWaiter::Phase::cancelled) {
            task_->throw_cancelled();
        }
    }
    if (!taker_.child) {
        throw TimeoutError("");
    }
    return std::move(taker_.child);
}

void AsCompletedCore::show_children(const Worker& home, AwaitVisitor& visitor) {
    if (&home != &keeper_) {
        return;  // they are the keeper's
    }
    for (Place& place : places()) {
        if (place.child && !place.child->is_done()) {
            visitor.visit(*place.child, static_cast<Waiter*>(&place));
        }
    }
}

bool AsCompletedTake::show_awaited(const Wait& wait, AwaitVisitor& visitor) {
    if (wait.cancel != &AsCompletedTake::cancel_wait) {
        return false;
    }
    const auto& self = static_cast<const AsCompletedTake&>(wait);
    self.core_->show_children(*self.task_->home(), visitor);
    return true;
}

bool AsCompletedTake::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<AsCompletedTake&>(wait);
    if (!self.core_->cancel(self.taker_)) {
        return false;
    }
    self.task_->wake();
    return true;
}

void throw_reused_next() { throw RuntimeError("cannot reuse already awaited coroutine"); }

AsCompletedRef make_as_completed(std::vector<CoreRef> children, std::optional<Duration> timeout) {
    Worker& here = running_worker();
    for (const CoreRef& child : children) {
        if (child->keeper().runtime_id() != here.runtime_id()) {
            throw ValueError("as_completed(): a future of another runtime cannot be awaited here");
        }
    }
    drop_duplicates(children);
    return AsCompletedRef(new AsCompletedCore(std::move(children), timeout, here));
}

}  // namespace knit::detail
