/// Condition: asyncio's steps, with the mutex where asyncio has its single thread.

#include "knit/condition.hpp"

#include <exception>
#include <mutex>

#include "knit/error.hpp"

namespace knit {

using detail::WakeList;
using MutexHold = std::lock_guard<detail::Mutex>;

Coro<bool> Condition::wait() {
    if (!locked()) {
        throw RuntimeError("cannot wait on un-acquired lock");
    }
    std::exception_ptr error;
    detail::ConditionAwaiter waiting(*this);
    try {
        co_await waiting;
    } catch (const CancelledError&) {
        error = std::current_exception();
        if (waiting.is_orphan) {
            throw;  // the condition has gone, and with it the lock
        }
    }
    for (bool is_locked = false; !is_locked;) {
        try {
            is_locked = co_await acquire();
        } catch (const CancelledError&) {
            error = std::current_exception();  // waits on: the caller relies on the lock
        }
    }
    if (error != nullptr) {
        wake(1);  // perhaps it had been notified: somebody else is, instead
        std::rethrow_exception(error);
    }
    co_return true;
}

void Condition::notify(std::size_t count) {
    expect_locked();
    wake(count);
}

void Condition::notify_all() {
    expect_locked();
    WakeList woken;
    {
        const MutexHold hold(mutex_);
        woken.add(waiters_.grant_all());
    }
    woken.wake();
}

void Condition::expect_locked() const {
    if (!locked()) {
        throw RuntimeError("cannot notify on un-acquired lock");
    }
}

void Condition::wake(std::size_t count) noexcept {
    WakeList woken;
    {
        const MutexHold hold(mutex_);
        for (; count != 0 && !waiters_.empty(); --count) {
            woken.add_first_of(waiters_);
        }
    }
    woken.wake();
}

namespace detail {

void ConditionAwaiter::suspend(TaskCore& waiting, std::coroutine_handle<> handle) noexcept {
    {
        // First into the list, then out of the lock: who takes the lock finds this one.
        const std::lock_guard hold(condition_.mutex_);
        condition_.waiters_.push(*this, waiting);
    }
    static_cast<void>(condition_.lock_.try_release());  // false: somebody released it since wait() looked
    waiting.suspend(handle, this);
}

bool ConditionAwaiter::cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<ConditionAwaiter&>(wait);
    if (self.is_orphan) {
        if (!self.cancel_orphan()) {
            return false;
        }
    } else {
        const std::lock_guard hold(self.condition_.mutex_);
        if (!self.condition_.waiters_.cancel(self)) {
            return false;
        }
    }
    self.task->wake();
    return true;
}

}  // namespace detail
}  // namespace knit
