#include "knit/wait.hpp"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "knit/detail/worker.hpp"

namespace knit::detail {

void WaitCore::start(std::span<WaitPlace> places, TaskCore& task, std::coroutine_handle<> handle) {
    Worker& here = *task.home();
    for (const WaitPlace& place : places) {
        if (place.future->keeper().runtime_id() != here.runtime_id()) {
            throw ValueError("wait(): a future of another runtime cannot be awaited here");
        }
    }
    task_ = &task;
    places_ = places;
    pending_ = places.size();
    try {
        for (WaitPlace& place : places_) {
            place.wait = this;
            place.hop.place = &place;
            place.hop.run = &WaitCore::count;
            if (!place.future->is_done()) {
                place.future->subscribe(place, here);
            }
        }
        if (timeout_) {
            limit_.wait = this;
            limit_.run = &WaitCore::elapsed;
            here.set_timer(limit_, after(here.now(), *timeout_));
        }
    } catch (...) {
        leave();
        throw;
    }
    for (WaitPlace& place : places_) {
        if (!place.linked && place.relay == nullptr) {
            here.make_ready(place.hop);
        }
    }
    task.suspend(handle, this);
}

void WaitCore::finish() {
    leave();
    task_->resumed();
    if (is_cancelled_) {
        task_->throw_cancelled();
    }
}

void WaitCore::leave() noexcept {
    for (WaitPlace& place : places_) {
        place.future->unsubscribe(place);
    }
}

void WaitCore::settled(Waiter& waiter, FutureCore&) noexcept {
    auto& place = static_cast<WaitPlace&>(waiter);
    WaitCore& self = *place.wait;
    if (!self.is_over_) {
        self.task_->home()->make_ready(place.hop);
    }
}

/// A turn after a future was settled.
void WaitCore::count(Worker&, Work& work) noexcept {
    WaitPlace& place = *static_cast<WaitPlace::Hop&>(work).place;
    WaitCore& self = *place.wait;
    --self.pending_;
    if (self.pending_ != 0 && self.return_when_ != FIRST_COMPLETED) {
        if (self.return_when_ != FIRST_EXCEPTION || place.future->state() != State::error) {
            return;
        }
        place.future->mark_retrieved();
    }
    self.release();
}

void WaitCore::elapsed(Worker&, Work& work) noexcept {
    static_cast<Limit&>(static_cast<Timer&>(work)).wait->release();
}

/// Ends the wait; false when it is over.
bool WaitCore::release() noexcept {
    if (is_over_) {
        return false;
    }
    is_over_ = true;
    task_->home()->cancel_timer(limit_);
    task_->wake();
    return true;
}

bool WaitCore::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<WaitCore&>(wait);
    if (!self.release()) {
        return false;
    }
    self.is_cancelled_ = true;
    return true;
}

void drop_duplicates(std::vector<CoreRef>& futures) {
    std::vector<const FutureCore*> sorted;
    sorted.reserve(futures.size());
    for (const CoreRef& future : futures) {
        sorted.push_back(future.get());
    }
    std::ranges::sort(sorted, std::less<>());
    if (std::ranges::adjacent_find(sorted) == sorted.end()) {
        return;  // as usual
    }
    std::unordered_set<const FutureCore*> seen;
    std::erase_if(futures, [&](const CoreRef& future) { return !seen.insert(future.get()).second; });
}

}  // namespace knit::detail
