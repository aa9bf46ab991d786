/// The parts of the queues that do not depend on the type of the items and are not on the way of every item.

#include "knit/queue.hpp"

#include <algorithm>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"

namespace knit::detail {

/// Whoever still waits waits on: nothing but its cancellation will end that.
QueueCore::~QueueCore() {
    for (const SyncWaitList* list : {&put_.getters, &take_.putters, &take_.joiners}) {
        for (SyncWaiter* waiter = list->first(); waiter != nullptr; waiter = waiter->next) {
            static_cast<Waiting&>(*waiter).queue_ = nullptr;
        }
    }
}

std::size_t QueueCore::qsize() const noexcept {
    constexpr int kAttempts = 4;
    std::size_t taken = take_.count.load(std::memory_order_acquire);  // [queue.count]
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const std::size_t put = put_.count.load(std::memory_order_acquire);           // [queue.count]
        const std::size_t taken_since = take_.count.load(std::memory_order_acquire);  // [queue.count]
        if (taken_since == taken) {
            return put - taken;  // both figures were true when `put` was read
        }
        taken = taken_since;
    }
    const Hold hold(take_.mutex, put_.mutex);
    return put_.count.load(std::memory_order_relaxed) -  // relaxed: under the mutex
           take_.count.load(std::memory_order_relaxed);  // relaxed: under the mutex
}

void QueueCore::task_done() {
    SyncWaiter* released = nullptr;
    bool is_too_often = false;
    {
        const Hold hold(take_.mutex);
        KNIT_ASSERT(take_.done <= take_.put_seen);
        if (take_.done == take_.put_seen) {
            take_.put_seen = put_.count.load(std::memory_order_relaxed);  // relaxed: the item's put came before
        }
        is_too_often = take_.done == take_.put_seen;
        take_.done += is_too_often ? 0 : 1;
        if (!take_.joiners.empty() && unfinished() == 0) {
            released = take_.joiners.grant_all();
        }
    }
    if (is_too_often) {
        throw ValueError("task_done() called too many times");
    }
    wake_chain(released);
}

void QueueCore::note_dropped(std::size_t dropped) noexcept {
    take_.count.store(put_.count.load(std::memory_order_relaxed),  // relaxed: under the mutex
                      std::memory_order_release);                  // [queue.count]
    take_.reserved = 0;  // those who were to take them find the queue shut down
    take_.done += std::min(dropped, unfinished());
    take_.put_seen = put_.count.load(std::memory_order_relaxed);  // relaxed: under the mutex
}

QueueCore::Released QueueCore::release_waiters() noexcept {
    is_shutdown_ = true;
    SyncWaiter* const joiners = unfinished() == 0 ? take_.joiners.grant_all() : nullptr;
    const Released released{joiners, put_.getters.grant_all(), take_.putters.grant_all()};
    for (SyncWaiter* chain : {released.getters, released.putters}) {
        for (; chain != nullptr; chain = chain->next) {
            static_cast<Waiting&>(*chain).is_released_ = true;
        }
    }
    return released;
}

void QueueCore::wake(const Released& released) noexcept {
    wake_chain(released.joiners);
    wake_chain(released.getters);
    wake_chain(released.putters);
}

void QueueCore::throw_empty() { throw QueueEmpty("QueueEmpty"); }
void QueueCore::throw_full() { throw QueueFull("QueueFull"); }
void QueueCore::throw_shut_down() { throw QueueShutDown("QueueShutDown"); }

SyncWaitList& QueueCore::Waiting::list() const noexcept {
    switch (role_) {
        case Role::getter: return queue_->put_.getters;
        case Role::putter: return queue_->take_.putters;
        case Role::joiner: break;
    }
    return queue_->take_.joiners;
}

bool QueueCore::Waiting::cancel_waiting(Wait& wait) noexcept {
    auto& self = static_cast<Waiting&>(wait);
    if (self.is_cancelled_) {
        return false;  // and not in the queue's list any more: the queue may have gone
    }
    if (self.queue_ != nullptr) {
        const Hold hold(self.mutex());
        if (!self.list().cancel(self)) {
            return false;
        }
    } else {
        self.phase = Phase::cancelled;
    }
    self.is_cancelled_ = true;
    self.task->wake();
    return true;
}

void QueueCore::Waiting::resumed() {
    KNIT_ASSERT(phase == Phase::granted || phase == Phase::cancelled);
    task->resumed();
    if (phase == Phase::cancelled) {
        task->throw_cancelled();
    }
}

void QueueCore::Waiting::leave() noexcept {
    if (phase == Phase::cancelled || queue_ == nullptr) {
        phase = Phase::idle;
        is_cancelled_ = false;
        return;
    }
    Hold hold(queue_->take_.mutex, queue_->put_.mutex);
    const bool was_waiting = list().cancel(*this);
    phase = Phase::idle;
    if (!was_waiting && !is_released_ && role_ != Role::joiner) {
        hold.wake(role_ == Role::getter ? queue_->free_item() : queue_->free_slot());
    }
}

SyncWaiter* QueueCore::free_item() noexcept {
    std::size_t& reserved = take_.reserved != 0 ? take_.reserved : put_.reserved;
    if (reserved == 0) {
        return nullptr;  // shutdown has dropped it
    }
    if (put_.getters.empty()) {
        --reserved;
    }
    return put_.getters.grant_first();
}

bool QueueCore::Join::begin(TaskCore& waiting, std::coroutine_handle<> handle) noexcept {
    {
        const Hold hold(queue().take_.mutex);
        if (queue().unfinished() == 0) {
            return false;
        }
        enter(waiting);
    }
    suspend(handle);
    return true;
}

}  // namespace knit::detail
