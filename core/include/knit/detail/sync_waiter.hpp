/// SyncWaiter: a task that waits for a synchronisation primitive, and the primitive's list of them.
///
/// The node lies in the awaiting frame. Everything here is guarded by the primitive's Mutex, but the wake-up itself,
/// which comes after the mutex has been released: until then the waiter cannot go, because nothing else resumes its
/// task. A waiter is taken out of the list by whoever ends its wait, once: the one that grants it what it waits for
/// (any thread), or its own cancellation (its loop). The task keeps its home as long as it is suspended.
#pragma once

#include "knit/detail/base.hpp"
#include "knit/detail/task_core.hpp"

namespace knit::detail {

struct SyncWaiter {
    enum class Phase : std::uint8_t {
        idle,      ///< not in a list, never was
        waiting,   ///< in the list
        granted,   ///< taken out by a wake-up that is on its way, or has come
        cancelled  ///< taken out by its own cancellation
    };

    SyncWaiter* next = nullptr;
    SyncWaiter* previous = nullptr;
    TaskCore* task = nullptr;
    Phase phase = Phase::idle;
    bool is_orphan = false;  ///< what it waited for has been destroyed, on its own loop: it waits until it is cancelled

    /// Its cancellation then: true when it was still waiting; the caller wakes it.
    bool cancel_orphan() noexcept {
        if (phase != Phase::waiting) {
            return false;
        }
        phase = Phase::cancelled;
        return true;
    }
};

/// For the destructor of a list.
constexpr void leave_as_orphans(SyncWaiter* first) noexcept {
    for (; first != nullptr; first = first->next) {
        first->is_orphan = true;
    }
}

/// First in, first out.
class SyncWaitList {
public:
    constexpr SyncWaitList() noexcept = default;
    SyncWaitList(const SyncWaitList&) = delete;
    SyncWaitList& operator=(const SyncWaitList&) = delete;
    constexpr ~SyncWaitList() { leave_as_orphans(first_); }

    bool empty() const noexcept { return first_ == nullptr; }
    SyncWaiter* first() const noexcept { return first_; }

    void push(SyncWaiter& waiter, TaskCore& task) noexcept {
        waiter.task = &task;
        waiter.phase = SyncWaiter::Phase::waiting;
        waiter.next = nullptr;
        waiter.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &waiter;
        last_ = &waiter;
    }
    /// Takes the oldest out, granted; null when there is none. The caller wakes it, without the mutex.
    SyncWaiter* grant_first() noexcept {
        SyncWaiter* const waiter = first_;
        if (waiter != nullptr) {
            remove(*waiter);
            waiter->phase = SyncWaiter::Phase::granted;
        }
        return waiter;
    }
    /// Takes all out, granted, as a chain by `next`.
    SyncWaiter* grant_all() noexcept {
        for (SyncWaiter* waiter = first_; waiter != nullptr; waiter = waiter->next) {
            waiter->phase = SyncWaiter::Phase::granted;
        }
        SyncWaiter* const chain = first_;
        first_ = last_ = nullptr;
        return chain;
    }
    /// Its cancellation: true when it was still waiting; it is out of the list then, and the caller wakes it.
    bool cancel(SyncWaiter& waiter) noexcept {
        if (waiter.phase != SyncWaiter::Phase::waiting) {
            return false;
        }
        remove(waiter);
        waiter.phase = SyncWaiter::Phase::cancelled;
        return true;
    }

private:
    void remove(SyncWaiter& waiter) noexcept {
        (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
        (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
    }

    SyncWaiter* first_ = nullptr;
    SyncWaiter* last_ = nullptr;
};

/// Puts a suspended task at the end of its loop's run queue, from any thread. A thread that is not its loop's touches
/// nothing of the task and of what its frame owns afterwards.
void wake_from_anywhere(TaskCore& task) noexcept;
/// The same for a chain of waiters.
inline void wake_chain(SyncWaiter* first) noexcept {
    while (first != nullptr) {
        SyncWaiter* const following = first->next;
        wake_from_anywhere(*first->task);
        first = following;
    }
}

}  // namespace knit::detail
