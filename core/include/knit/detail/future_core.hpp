/// FutureCore: what tasks and futures share. Settled once, awaited by many.
///
/// The waiters belong to one loop, the *keeper*: the loop that made the future or the task, for good. Only the keeper's
/// thread touches them. Another loop subscribes by a Relay, a message that travels to the keeper and comes back when
/// the future is settled. So there is no lock, and nothing here is atomic but the state and the count of owners.
///
///   state      set by
///   pending    the constructor
///   claimed    whichever thread settles a bare future: the winner writes the result            [fut.claim]
///   value, error, cancelled   the claimer of a future; of a task the loop that ran it to its end   [fut.state]
///
///   [fut.claim] compare-exchange pending -> claimed: one winner; it publishes nothing, hence relaxed
///   [fut.state] settle: state release  ->  done(), result(): state acquire     the result slot is seen
///   [fut.refs]  drop: release, or a plain load when sole owner  ->  the last drop: acquire   all use happens before
///   the end
#pragma once

#include <exception>
#include <string>

#include "knit/detail/base.hpp"
#include "knit/detail/result_slot.hpp"
#include "knit/detail/work.hpp"

namespace knit::detail {

class FutureCore;
class TaskCore;
class Relay;

/// How many children a gather still waits for, and who waits. A spawned task that the gather's own loop made is joined
/// by a mere pointer to this, without a Waiter.
struct Join {
    /// A joined task ended by an exception, or not in the usual way. Thread of the gather's loop.
    using Settled = void (*)(Join&, FutureCore&) noexcept;
    std::size_t pending = 0;
    TaskCore* parent = nullptr;  ///< set while it is suspended in the gather
    Settled settled = nullptr;
};

/// Is shown what somebody waits for, task or future. `via`: the waiter that stands in its list, or what owns that.
class AwaitVisitor {
public:
    virtual void visit(FutureCore& awaited, const void* via) = 0;

protected:
    ~AwaitVisitor() = default;
};

enum class State : std::uint8_t { pending, claimed, value, error, cancelled };

/// Somebody who wants to know when a future is settled. Lives in an awaiter, in a gather or in a callback; holds a
/// reference to the future, so that the future outlives the wait.
struct Waiter {
    /// Called once on the subscriber's loop; the waiter is in no list any more.
    using Notify = void (*)(Waiter&, FutureCore&) noexcept;

    explicit Waiter(Notify on_settled) noexcept : notify(on_settled) {}

    Waiter* next = nullptr;
    Waiter* previous = nullptr;
    Relay* relay = nullptr;  ///< set while the subscription is on another loop
    Notify notify;
    bool linked = false;
    bool is_callback = false;  ///< a DoneCallback
};

class FutureCore {
public:
    enum Kind : std::uint8_t {
        kFuture = 0,
        kTask = 1,
        kSpawned = 2,  ///< a task that spawn() made
    };

    FutureCore(const FutureCore&) = delete;
    FutureCore& operator=(const FutureCore&) = delete;

    // Any thread.
    bool is_done() const noexcept { return state() >= State::value; }
    bool is_cancelled() const noexcept { return state() == State::cancelled; }
    bool is_task() const noexcept { return (kind_ & kTask) != 0; }
    bool is_spawned() const noexcept { return (kind_ & kSpawned) != 0; }
    State state() const noexcept { return state_.load(std::memory_order_acquire); }  // [fut.state]
    SlotBase& slot() const noexcept { return *slot_; }
    Worker& keeper() const noexcept { return *keeper_; }

    /// Somebody has seen the exception, it need not be reported. Any thread.
    void mark_retrieved() noexcept { retrieved_.store(true, std::memory_order_relaxed); }
    bool is_retrieved() const noexcept { return retrieved_.load(std::memory_order_relaxed); }  // relaxed: a hint

    /// Some task has awaited this, a task, directly: before it looks at its own mark. Any thread.
    void mark_awaited() noexcept {
        if (!is_awaited()) {
            is_awaited_.store(true, std::memory_order_relaxed);  // [await.mark] a fence follows where it is needed
        }
    }
    bool is_awaited() const noexcept { return is_awaited_.load(std::memory_order_relaxed); }  // [await.mark]

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
    /// Gives up one reference; the last one destroys. Any thread.
    void drop_ref() noexcept {
        if (refs_.load(std::memory_order_acquire) == 1 ||          // [fut.refs] sole owner: nobody can add one
            refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [fut.refs]
            destroy();
        }
    }
    bool is_sole_reference() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }  // [fut.refs]

    /// Wants `waiter.notify` on loop `here` once this is settled. Not for one that is settled already when `here` is
    /// the keeper. Thread of `here`.
    void subscribe(Waiter& waiter, Worker& here) {
        if (keeper_ == &here) [[likely]] {
            link(waiter);
        } else {
            subscribe_by_relay(waiter, here);
        }
    }
    /// The waiter will not be notified. Thread of the loop that subscribed.
    void unsubscribe(Waiter& waiter) noexcept;

    /// Asks for cancellation, of a task or of a future, wherever it lives. False when it is settled already.
    /// `waiting`: the task of this loop that waits for this one; if the request comes too late there, CancelledError is
    /// due when that is resumed. Throws std::bad_alloc where it has to send a message.
    bool cancel(const std::string& message, TaskCore* waiting = nullptr);

    /// For a gather on loop `here`: true when this is a pending spawned task whose keeper is `here`; `join` will be
    /// told.
    bool try_join(Join& join, const Worker& here) noexcept {
        if (!is_spawned() || keeper_ != &here || joiner_ != nullptr || is_done()) {
            return false;
        }
        joiner_ = &join;
        return true;
    }
    /// True when `join` had joined this, and is not told any more.
    bool leave_join(Join& join) noexcept {
        if (joiner_ != &join) {
            return false;
        }
        joiner_ = nullptr;
        return true;
    }

    /// Whoever had joined this is not told any more.
    void leave_any_join() noexcept { joiner_ = nullptr; }

    std::size_t waiter_count() const noexcept;
    /// Calls `visit` for each waiter, oldest first; it may unlink the one that it is given. Keeper's thread.
    template <class Visit>
    void for_each_waiter(Visit visit) {
        for (Waiter* waiter = first_; waiter != nullptr;) {
            Waiter* next = waiter->next;
            visit(*waiter);
            waiter = next;
        }
    }

    void link(Waiter& waiter) noexcept {
        waiter.next = nullptr;
        waiter.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &waiter;
        last_ = &waiter;
        waiter.linked = true;
    }
    void unlink(Waiter& waiter) noexcept {
        KNIT_ASSERT(waiter.linked);
        (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
        (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
        waiter.linked = false;
    }

protected:
    FutureCore(Kind kind, Worker& keeper, SlotBase& slot, std::uint32_t refs) noexcept
        : slot_(&slot), keeper_(&keeper), refs_(refs), kind_(kind) {}
    ~FutureCore() = default;

    /// Notifies and unlinks every waiter, in their order. Keeper's thread.
    void notify_waiters() noexcept {
        if (joiner_ != nullptr) {
            Join& join = *joiner_;
            joiner_ = nullptr;
            join.settled(join, *this);
        }
        while (Waiter* waiter = first_) {
            unlink(*waiter);
            waiter->notify(*waiter, *this);
        }
    }
    void destroy() noexcept;
    KNIT_NOINLINE void destroy_slow() noexcept;
    void subscribe_by_relay(Waiter& waiter, Worker& here);

    SlotBase* slot_;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
    Join* joiner_ = nullptr;
    Worker* keeper_;
    Atomic<std::uint32_t> refs_;           ///< handles, waiters, and the runtime while the task is not done; any thread
    Atomic<State> state_{State::pending};  ///< see the table above
    Atomic<bool> retrieved_{false};        ///< any thread sets it, the last owner reads it; a hint for the report
    Kind kind_;                       ///< set before anybody else sees it
    bool is_plain_ = false;           ///< a task that leaves nothing to destroy when it ends with a value; its loop's
    Atomic<bool> is_awaited_{false};  ///< any thread sets it, for good; see await_cycle.cpp [await.mark]
};

/// CancelledError(message), where there is no memory for that CancelledError().
std::exception_ptr make_cancelled(const std::string& message) noexcept;

/// The shared state of a bare future.
class FutureState : public FutureCore {
public:
    /// What cancel() does instead of settling as cancelled (a gather cancels its children). Keeper's thread.
    using CancelHook = bool (*)(FutureState&, const std::string& message) noexcept;

    FutureState(Worker& keeper, SlotBase& slot) noexcept : FutureCore(kFuture, keeper, slot, 1) {}
    virtual ~FutureState() = default;
    /// What settles this one by being settled itself: a gather's children, a shield's inner one. Keeper's thread.
    virtual void show_awaited(AwaitVisitor&) const {}

    /// Whether the caller is the one that settles it; then it writes the slot and calls settle(). Any thread.
    bool claim() noexcept {
        State expected = State::pending;
        return state_.compare_exchange_strong(expected, State::claimed, std::memory_order_relaxed);  // [fut.claim]
    }
    /// Publishes what the claimer wrote and has the waiters notified on the keeper. Any thread.
    void settle(State state) noexcept;
    /// Claims and settles with CancelledError(message). False when somebody else was first. Any thread.
    bool settle_cancelled(const std::string& message) noexcept;

    /// asyncio's Future.cancel(). Any thread. `waiting`: as for cancel().
    bool cancel_future(const std::string& message, TaskCore* waiting);

    CancelHook cancel_hook = nullptr;  ///< set before the future is shown to anybody

private:
    static void run_settled(Worker& worker, Work& work) noexcept;

    // A settled future that was settled on another thread goes home as this message.
    struct SettledMessage : Work {
        FutureState* future = nullptr;
    } message_;
};

}  // namespace knit::detail
