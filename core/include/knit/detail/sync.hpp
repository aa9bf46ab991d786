/// What the synchronisation primitives share besides Mutex and SyncWaiter.
#pragma once

#include <cstddef>
#include <exception>

#include "knit/detail/sync_waiter.hpp"

namespace knit::detail {

/// Waiters that have been granted what they wait for, in the order in which they are to be woken: by wake(), once the
/// mutex has been released.
class WakeList {
public:
    /// One waiter, or a chain of them by `next`; null is none.
    void add(SyncWaiter* chain) noexcept {
        if (chain == nullptr) {
            return;
        }
        (last_ != nullptr ? last_->next : first_) = chain;
        while (chain->next != nullptr) {
            chain = chain->next;
        }
        last_ = chain;
    }
    void add_first_of(SyncWaitList& waiters) noexcept {
        if (SyncWaiter* const waiter = waiters.grant_first()) {
            waiter->next = nullptr;
            add(waiter);
        }
    }
    void wake() noexcept {
        SyncWaiter* const chain = first_;
        first_ = last_ = nullptr;
        wake_chain(chain);
    }

private:
    SyncWaiter* first_ = nullptr;
    SyncWaiter* last_ = nullptr;
};

/// First in, first out; unlike in SyncWaitList, a waiter stays in it until its task has run: granted or cancelled, it
/// keeps its place. That is asyncio's Lock: nobody overtakes one that has been woken, and a cancelled one at the head
/// passes the lock on when it runs.
class WaiterLine {
public:
    constexpr WaiterLine() noexcept = default;
    WaiterLine(const WaiterLine&) = delete;
    WaiterLine& operator=(const WaiterLine&) = delete;
    constexpr ~WaiterLine() { leave_as_orphans(first_); }

    bool empty() const noexcept { return first_ == nullptr; }
    /// Whether somebody in it waits, or has been granted.
    bool has_claims() const noexcept { return claims_ != 0; }

    void push(SyncWaiter& waiter, TaskCore& task) noexcept {
        waiter.task = &task;
        waiter.phase = SyncWaiter::Phase::waiting;
        waiter.next = nullptr;
        waiter.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &waiter;
        last_ = &waiter;
        ++claims_;
    }
    /// The head's turn; null when there is none, or when the head is on its way already. The caller wakes it, without
    /// the mutex.
    SyncWaiter* grant_head() noexcept {
        if (first_ == nullptr || first_->phase != SyncWaiter::Phase::waiting) {
            return nullptr;
        }
        first_->phase = SyncWaiter::Phase::granted;
        return first_;
    }
    /// True when it was still waiting; the caller wakes it.
    bool cancel(SyncWaiter& waiter) noexcept {
        if (waiter.phase != SyncWaiter::Phase::waiting) {
            return false;
        }
        waiter.phase = SyncWaiter::Phase::cancelled;
        --claims_;
        return true;
    }
    /// Its task runs.
    void remove(SyncWaiter& waiter) noexcept {
        (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
        (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
        claims_ -= waiter.phase != SyncWaiter::Phase::cancelled ? 1U : 0U;
    }

private:
    SyncWaiter* first_ = nullptr;
    SyncWaiter* last_ = nullptr;
    std::size_t claims_ = 0;
};

/// What `lock.acquire()` and its like give. Lazy and cheap to copy: the awaiter is made where it is awaited, and is not
/// copied (as GCC 12 does with one that does not come from an operator co_await).
template <class Awaiter, class Primitive>
class [[nodiscard]] SyncOperation {
public:
    explicit SyncOperation(Primitive& primitive) noexcept : primitive_(&primitive) {}
    Awaiter operator co_await() const noexcept { return Awaiter(*primitive_); }

private:
    Primitive* primitive_;
};

/// A guard's destructor could not release: its loop's exception handler hears of it.
void report_failed_release(const std::exception_ptr& error) noexcept;

}  // namespace knit::detail
