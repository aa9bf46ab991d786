#include "knit/detail/join.hpp"

#include <memory>
#include <new>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"

namespace knit::detail {

void GatherBase::child_settled(Waiter& waiter, FutureCore& child) noexcept {
    auto& place = static_cast<JoinWaiter&>(waiter);
    place.gather->count_child(child, false);
}

void GatherBase::joined_settled(Join& join, FutureCore& child) noexcept {
    static_cast<GatherBase&>(join).count_child(child, true);
}

/// A child that cannot be joined: it has ended, or it needs a place in a list, here or on another loop.
void GatherBase::start_slow(FutureCore& child, JoinWaiter& place, Worker& here) {
    if (child.keeper().runtime_id() != here.runtime_id()) {
        throw ValueError("gather(): a future of another runtime cannot be awaited here");
    }
    here_ = &here;
    if (child.is_done()) {
        count_child(child, false);
        return;
    }
    std::construct_at(&place);
    place.gather = this;
    place.child = &child;
    place.next_place = places_;
    places_ = &place;
    child.subscribe(place, *here_);
}

/// `at_once`: no turn passes before the outcome shows.
void GatherBase::count_child(FutureCore& child, bool at_once) noexcept {
    --pending;
    if (state_.is_over) {
        child.mark_retrieved();  // the first error has been told; those after it are dropped, as in asyncio
        return;
    }
    if (child.state() != State::value && !state_.return_exceptions) {
        failed_ = &child;
        child.mark_retrieved();
    } else if (pending != 0) {
        return;
    }
    state_.is_over = true;
    if (!state_.is_started) {
        return;
    }
    if (at_once || state_.is_direct || (child.is_spawned())) {
        complete();
    } else {
        hop_parent_ = parent;
        parent = nullptr;
        std::construct_at(&hop_);
        hop_.run = &GatherBase::run_hop;
        hop_.gather = this;
        here_->make_ready(hop_);
    }
}

void GatherBase::run_hop(Worker&, Work& work) noexcept { static_cast<Hop&>(work).gather->complete(); }

void GatherBase::complete() noexcept {
    state_.is_done = true;
    if (TaskCore* const task = parent != nullptr ? parent : hop_parent_) {
        parent = nullptr;
        hop_parent_ = nullptr;
        task->wake();
    } else if (on_done_ != nullptr) {
        on_done_(*this);
    }
}

bool GatherWait::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<GatherWait&>(wait);
    return self.cancel_children(self.task_->cancel_message());
}

bool GatherBase::cancel_children(const std::string& message) noexcept {
    if (state_.is_done) {
        return false;
    }
    bool any = false;
    for (const CoreRef& child : children_) {
        try {
            any = child->cancel(message) || any;
        } catch (const std::bad_alloc&) {
            // No memory for the message to its loop: it has not taken the request.
        }
    }
    state_.is_cancel_requested = state_.is_cancel_requested || any;
    return any;
}

std::exception_ptr GatherBase::error(const std::string& cancel_message) const {
    if (failed_ != nullptr) {
        return failed_->slot().error;
    }
    return state_.is_cancel_requested ? make_cancelled(cancel_message) : nullptr;
}

/// The gather goes while children still run: they go on, and what they fail with is of no interest any more.
void GatherBase::detach() noexcept {
    for (JoinWaiter* place = places_; place != nullptr; place = place->next_place) {
        if (place->linked || place->relay != nullptr) {
            place->child->unsubscribe(*place);
            place->child->mark_retrieved();
        }
    }
    for (const CoreRef& child : children_) {
        if (child->leave_join(*this)) {
            child->mark_retrieved();
        }
    }
}

}  // namespace knit::detail
