/// The slow paths of Lock, Event and Semaphore: when somebody waits. All follow asyncio's steps, with the
/// mutex where asyncio has its single thread. Who wakes others does so after the mutex, and touches the primitive no
/// more: those it wakes may destroy it.

#include <mutex>
#include <string>

#include "knit/detail/worker.hpp"
#include "knit/event.hpp"
#include "knit/lock.hpp"
#include "knit/log.hpp"
#include "knit/semaphore.hpp"
#include "report.hpp"

namespace knit {

using detail::SyncWaiter;
using detail::TaskCore;
using detail::WakeList;
using MutexHold = std::lock_guard<detail::Mutex>;

// Lock

/// Whether the lock is held now; otherwise the waiter stands in the line.
bool Lock::acquire_or_line_up(SyncWaiter& waiter, TaskCore& task) noexcept {
    const MutexHold hold(mutex_);
    std::uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders, or the mutex
    while ((word & kLined) == 0) {
        const std::uint32_t wanted = word == kFree ? kLocked : kLocked | kLined;
        if (word_.compare_exchange_weak(word, wanted, std::memory_order_acquire,  // [lock.word]
                                        std::memory_order_relaxed)) {  // relaxed: tried again
            if (wanted == kLocked) {
                return true;
            }
            break;
        }
    }
    if (word == kLined && !line_.has_claims()) {
        // Free, and all in the line are cancelled: as in asyncio, those are not waited for.
        word_.store(kLocked | kLined, std::memory_order_relaxed);  // relaxed: the mutex orders
        return true;
    }
    line_.push(waiter, task);
    return false;
}

/// False when the lock is not held.
bool Lock::release_slow() noexcept {
    for (;;) {
        {
            std::unique_lock hold(mutex_);
            const std::uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the mutex orders
            if ((word & kLined) != 0) {
                if ((word & kLocked) == 0) {
                    return false;
                }
                word_.store(kLined, std::memory_order_release);  // [lock.word]
                SyncWaiter* const woken = line_.grant_head();
                hold.unlock();
                if (woken != nullptr) {
                    wake_from_anywhere(*woken->task);
                }
                return true;
            }
        }
        // Nobody is in the line any more. Not with the mutex: the release must be the last touch.
        std::uint32_t expected = kLocked;
        if (word_.compare_exchange_strong(expected, kFree, std::memory_order_release,  // [lock.word]
                                          std::memory_order_relaxed)) {  // relaxed: tried again
            return true;
        }
        if (expected == kFree) {
            return false;
        }
    }
}

/// A waiter's task runs: it takes the lock, or gives up and sees to it that somebody else is on his way.
void Lock::leave_line(SyncWaiter& waiter, bool takes_lock) noexcept {
    SyncWaiter* woken = nullptr;
    {
        const MutexHold hold(mutex_);
        std::uint32_t locked = word_.load(std::memory_order_relaxed) & kLocked;  // relaxed: the mutex orders
        line_.remove(waiter);
        if (takes_lock) {
            KNIT_ASSERT(locked == 0);
            locked = kLocked;
        } else if (locked == 0) {
            woken = line_.grant_head();
        }
        word_.store(locked | (line_.empty() ? 0U : kLined), std::memory_order_release);  // [lock.word]
    }
    if (woken != nullptr) {
        wake_from_anywhere(*woken->task);
    }
}

bool Lock::cancel(SyncWaiter& waiter) noexcept {
    const MutexHold hold(mutex_);
    return line_.cancel(waiter);
}

void Lock::throw_not_acquired() { throw RuntimeError("Lock is not acquired."); }

// Event

void Event::set() noexcept {
    WakeList woken;
    std::uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
    for (;;) {
        if ((word & kAwaited) != 0) {
            const MutexHold hold(mutex_);
            // One that its own loop is cancelling takes itself out. Ends: that loop is on its way to the mutex, and it
            // is waited for because it must not come there when set() has returned.
            while (!waiters_.empty() && detail::EventAwaiter::claim(*waiters_.first())) {
                woken.add_first_of(waiters_);
            }
            if (waiters_.empty()) {
                word_.fetch_and(~kAwaited, std::memory_order_relaxed);  // relaxed: the exchange orders
            }
            word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
        } else if (word_.compare_exchange_weak(word, kSet, std::memory_order_release,  // [event.word] also when set
                                               std::memory_order_relaxed)) {  // relaxed: tried again
            break;
        }
    }
    woken.wake();
}

void Event::clear() noexcept {
    word_.fetch_and(~kSet, std::memory_order_relaxed);  // relaxed: nothing is published by taking back
}

/// Whether the event is set; otherwise the waiter stands in the list.
bool Event::pass_or_wait(SyncWaiter& waiter, TaskCore& task) noexcept {
    const MutexHold hold(mutex_);
    std::uint32_t word = word_.load(std::memory_order_acquire);  // [event.word]
    while ((word & kAwaited) == 0) {
        if ((word & kSet) != 0) {
            return true;
        }
        if (word_.compare_exchange_weak(word, kAwaited, std::memory_order_acquire,  // [event.word]
                                        std::memory_order_acquire)) {               // [event.word]
            break;
        }
    }
    waiters_.push(waiter, task);
    return false;
}

bool Event::cancel(SyncWaiter& waiter) noexcept {
    const MutexHold hold(mutex_);
    if (!waiters_.cancel(waiter)) {
        return false;
    }
    if (waiters_.empty()) {
        word_.fetch_and(~kAwaited, std::memory_order_relaxed);  // relaxed: nothing is published
    }
    return true;
}

// Semaphore

bool Semaphore::acquire_or_line_up(SyncWaiter& waiter, TaskCore& task) noexcept {
    const MutexHold hold(mutex_);
    std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
    while ((word & kLined) == 0) {
        const bool takes = word >= kOne;
        if (word_.compare_exchange_weak(word, takes ? word - kOne : kLined, std::memory_order_acquire,  // [sem.word]
                                        std::memory_order_relaxed)) {  // relaxed: tried again
            if (takes) {
                return true;
            }
            break;
        }
    }
    waiters_.push(waiter, task);
    return false;
}

void Semaphore::release_slow() {
    for (;;) {
        {
            std::unique_lock hold(mutex_);
            const std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the mutex orders
            if ((word & kLined) != 0) {
                if (word / kOne >= bound_) {
                    hold.unlock();
                    throw_released_too_often();
                }
                WakeList woken;
                if (waiters_.empty()) {
                    word_.store(word + kOne, std::memory_order_release);  // [sem.word]
                } else {
                    woken.add_first_of(waiters_);
                    ++granted_;
                }
                hold.unlock();
                woken.wake();
                return;
            }
        }
        // Nobody waits any more. Not with the mutex: the release must be the last touch.
        std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange orders
        while ((word & kLined) == 0) {
            if (word / kOne >= bound_) {
                throw_released_too_often();
            }
            if (word_.compare_exchange_weak(word, word + kOne, std::memory_order_release,  // [sem.word]
                                            std::memory_order_relaxed)) {  // relaxed: tried again
                return;
            }
        }
    }
}

/// With the mutex, while kLined is set: lets in as many as there is value for, and writes the word.
void Semaphore::let_in(WakeList& woken, std::int64_t value) noexcept {
    for (; value > 0 && !waiters_.empty(); --value) {
        woken.add_first_of(waiters_);
        ++granted_;
    }
    const bool is_lined = granted_ != 0 || !waiters_.empty();
    word_.store(value * kOne + (is_lined ? kLined : 0), std::memory_order_release);  // [sem.word]
}

/// A waiter's task runs: one that was let in is inside now or gives back; then others, who had to wait for it only
/// because nobody overtakes, may follow.
void Semaphore::arrive(SyncWaiter& waiter, bool gives_back) noexcept {
    WakeList woken;
    {
        const MutexHold hold(mutex_);
        const std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the mutex orders
        if (waiter.phase == SyncWaiter::Phase::granted) {
            --granted_;
        }
        if ((word & kLined) != 0) {
            let_in(woken, word / kOne + (gives_back ? 1 : 0));
        }
    }
    woken.wake();
}

bool Semaphore::cancel(SyncWaiter& waiter) noexcept {
    const MutexHold hold(mutex_);
    if (!waiters_.cancel(waiter)) {
        return false;
    }
    if (waiters_.empty() && granted_ == 0) {
        const std::int64_t word = word_.load(std::memory_order_relaxed);  // relaxed: the mutex orders
        word_.store(word - kLined, std::memory_order_release);  // [sem.word]
    }
    return true;
}

void Semaphore::throw_released_too_often() { throw ValueError("BoundedSemaphore released too many times"); }

namespace detail {

namespace {

/// Of one that was woken: what it was promised is still there.
void expect_not_orphan(const SyncWaiter& waiter) {
    if (waiter.is_orphan) {
        throw RuntimeError("what the task waited for was destroyed before the task could take it");
    }
}

}  // namespace

// The awaiters. A waiter that stands in a list may be granted by another loop at once; that comes as a message to this
// one, so the frame stays until suspend() has returned.

bool LockAwaiter::suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept {
    if (lock_.acquire_or_line_up(*this, waiting)) {
        return false;
    }
    waiting.suspend(handle, this);
    return true;
}

void LockAwaiter::finish() {
    try {
        task->resumed();
        if (phase == Phase::cancelled) {
            task->throw_cancelled();
        }
        expect_not_orphan(*this);
    } catch (...) {
        if (!is_orphan) {
            lock_.leave_line(*this, false);
        }
        throw;
    }
    lock_.leave_line(*this, true);
}

bool LockAwaiter::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<LockAwaiter&>(wait);
    if (!(self.is_orphan ? self.cancel_orphan() : self.lock_.cancel(self))) {
        return false;
    }
    self.task->wake();
    return true;
}

bool EventAwaiter::suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept {
    if (event_.pass_or_wait(*this, waiting)) {
        return false;
    }
    waiting.suspend(handle, this);
    return true;
}

bool EventAwaiter::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<EventAwaiter&>(wait);
    if (!claim(self) || !(self.is_orphan ? self.cancel_orphan() : self.event_.cancel(self))) {
        return false;
    }
    self.task->wake();
    return true;
}

bool SemaphoreAwaiter::suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept {
    if (semaphore_.acquire_or_line_up(*this, waiting)) {
        return false;
    }
    waiting.suspend(handle, this);
    return true;
}

void SemaphoreAwaiter::finish() {
    try {
        task->resumed();
        if (phase == Phase::cancelled) {
            task->throw_cancelled();
        }
        expect_not_orphan(*this);
    } catch (...) {
        if (!is_orphan) {
            semaphore_.arrive(*this, phase == Phase::granted);
        }
        throw;
    }
    semaphore_.arrive(*this, false);
}

bool SemaphoreAwaiter::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<SemaphoreAwaiter&>(wait);
    if (!(self.is_orphan ? self.cancel_orphan() : self.semaphore_.cancel(self))) {
        return false;
    }
    self.task->wake();
    return true;
}

void report_failed_release(const std::exception_ptr& error) noexcept {
    static constexpr const char* kMessage = "a guard could not release what it guards";
    if (Worker* const here = Worker::current()) {
        report(*here, kMessage, error, here->current_task());
    } else {
        log(LogLevel::error, std::string(kMessage).append("\n  exception: ").append(describe(error)));
    }
}

}  // namespace detail
}  // namespace knit
