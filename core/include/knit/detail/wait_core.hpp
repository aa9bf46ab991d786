/// WaitCore: one task waits for several futures, or for a time; what wait() and a wait_for() without time stand on.
///
/// The steps are CPython's: each future that is settled is counted a turn later, and the waiter resumes a turn after
/// the count that ends the wait. Everything lies in the awaiting frame. A count, and the timer, on their way through
/// the run queue are always ahead of the wake-up: after that none is started.
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "knit/detail/core_ref.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/promise.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/timers.hpp"
#include "knit/time.hpp"

namespace knit {

/// When a wait() ends: at the first that is done, at the first that is done by an exception (else as the last), or when
/// all are.
enum class ReturnWhen { FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED };
inline constexpr ReturnWhen FIRST_COMPLETED = ReturnWhen::FIRST_COMPLETED;
inline constexpr ReturnWhen FIRST_EXCEPTION = ReturnWhen::FIRST_EXCEPTION;
inline constexpr ReturnWhen ALL_COMPLETED = ReturnWhen::ALL_COMPLETED;

namespace detail {

class WaitCore;

/// The place of one future in a wait.
struct WaitPlace : Waiter {
    struct Hop : Work {
        WaitPlace* place = nullptr;
    };

    WaitPlace() noexcept;

    WaitCore* wait = nullptr;
    FutureCore* future = nullptr;  ///< the owner of the places holds the reference
    Hop hop;
};

class WaitCore : Wait {
public:
    WaitCore(const char* what, ReturnWhen return_when, std::optional<Duration> timeout) noexcept
        : Wait(&WaitCore::cancel_wait, what), return_when_(return_when), timeout_(timeout) {}

    static void settled(Waiter& waiter, FutureCore& future) noexcept;
    /// Shows what a wait is for; false when it is none of these. The task's home loop.
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor) {
        if (wait.cancel != &WaitCore::cancel_wait) {
            return false;
        }
        const auto& self = static_cast<const WaitCore&>(wait);
        for (const WaitPlace& place : self.places_) {
            visitor.visit(*place.future, &self);
        }
        return true;
    }

protected:
    /// Each place knows its future; they stay where they are until finish(). Ends await_suspend. Throws with nothing
    /// done.
    void start(std::span<WaitPlace> places, TaskCore& task, std::coroutine_handle<> handle);
    /// Begins await_resume: forgets the places, throws CancelledError if that is what ended the wait.
    void finish();

private:
    struct Limit : Timer {
        WaitCore* wait = nullptr;
    };

    static bool cancel_wait(Wait& wait) noexcept;
    static void count(Worker& worker, Work& work) noexcept;
    static void elapsed(Worker& worker, Work& work) noexcept;
    void leave() noexcept;
    bool release() noexcept;

    std::span<WaitPlace> places_;
    std::size_t pending_ = 0;
    TaskCore* task_ = nullptr;
    Limit limit_;
    ReturnWhen return_when_;
    std::optional<Duration> timeout_;
    bool is_over_ = false;
    bool is_cancelled_ = false;
};

inline WaitPlace::WaitPlace() noexcept : Waiter(&WaitCore::settled) {}

/// Waits until one future is settled, whatever it gives; a cancellation leaves it alone. Copied before it is awaited,
/// by GCC 12.
class SettledAwaiter : WaitCore {
public:
    using knit_awaiter = void;

    explicit SettledAwaiter(FutureCore& future) noexcept : WaitCore("wait_for", ALL_COMPLETED, std::nullopt) {
        place_.future = &future;
    }
    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        start({&place_, 1}, handle.promise().task(), handle);
    }
    void await_resume() { finish(); }

private:
    WaitPlace place_;
};

/// Leaves the first of those that are the same.
void drop_duplicates(std::vector<CoreRef>& futures);

}  // namespace detail
}  // namespace knit
