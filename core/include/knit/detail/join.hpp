/// GatherBase: counts the children of a gather down, on the gather's loop, without knowing their types.
///
/// It lives in the awaiting frame of `co_await gather(...)`, or on the heap behind a gather that is used as a handle.
/// The steps are CPython's: a child that create_task() made, or a bare future, is counted at the turn after it has
/// ended, and the waiter resumes at the turn after that. A spawned child, which asyncio has not, hands control on at
/// once (TaskCore::finish does the usual case by itself, on the Join alone).
#pragma once

#include <exception>
#include <span>
#include <string>
#include <type_traits>

#include "knit/detail/core_ref.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/work.hpp"

namespace knit::detail {

class GatherBase;

/// The place of a child that is not joined by pointer.
struct JoinWaiter : Waiter {
    JoinWaiter() noexcept;
    GatherBase* gather = nullptr;
    FutureCore* child = nullptr;       ///< the gather's shape holds the reference
    JoinWaiter* next_place = nullptr;  ///< of the gather's places that are in use
};

/// Room for one, made only where it is needed.
union JoinPlace {
    JoinPlace() noexcept {}
    JoinPlace(const JoinPlace&) noexcept {}
    JoinWaiter waiter;
    static_assert(std::is_trivially_destructible_v<JoinWaiter>);
};

class GatherBase : Join {
public:
    GatherBase(const GatherBase&) = delete;
    GatherBase& operator=(const GatherBase&) = delete;

    bool is_complete() const noexcept { return state_.is_done; }
    /// Its children. The gather's loop, until it is done.
    void show_children(AwaitVisitor& visitor) const {
        for (const CoreRef& child : children_) {
            visitor.visit(*child, this);
        }
    }
    /// Asks every child; whether any took it. The gather's loop.
    bool cancel_children(const std::string& message) noexcept;
    /// The first child's error, or CancelledError when the gather was cancelled; null for values.
    std::exception_ptr error(const std::string& cancel_message) const;
    static void child_settled(Waiter& waiter, FutureCore& child) noexcept;

protected:
    /// Told of the outcome, on the gather's loop, when no task waits in the gather.
    using OnDone = void (*)(GatherBase&) noexcept;

    GatherBase(OnDone on_done, bool return_exceptions) noexcept
        : on_done_(on_done), state_{return_exceptions} {
        settled = &GatherBase::joined_settled;
    }
    ~GatherBase() = default;
    /// The children that still run go on, and the gather hears no more of them: in the destructor of whoever owns the
    /// places, which live shorter than this. The gather's loop.
    void leave() noexcept {
        if (pending != 0) [[unlikely]] {
            detach();
            pending = 0;
        }
    }

    /// Subscribes to the children, one place for each in reserve; those that have ended already are counted at once.
    /// Thread of `here`. `is_direct`: the outcome shows without the turn that asyncio's gather takes.
    void start(std::span<const CoreRef> children, JoinPlace* places, Worker& here, bool is_direct = false) {
        children_ = children;
        pending = children.size();
        state_.is_direct = is_direct;
        for (const CoreRef& child : children) {
            if (!child->try_join(*this, here)) {
                start_slow(*child, places->waiter, here);
            }
            ++places;
        }
        state_.is_done = state_.is_over;
        state_.is_started = true;
    }
    void set_parent(TaskCore& task) noexcept { (state_.is_over ? hop_parent_ : parent) = &task; }
    bool has_failed() const noexcept { return failed_ != nullptr || state_.is_cancel_requested; }

private:
    KNIT_NOINLINE void start_slow(FutureCore& child, JoinWaiter& place, Worker& here);
    void count_child(FutureCore& child, bool at_once) noexcept;
    void complete() noexcept;
    void detach() noexcept;
    static void joined_settled(Join& join, FutureCore& child) noexcept;
    static void run_hop(Worker& worker, Work& work) noexcept;

    /// The turn between the end of the last child and the outcome.
    struct Hop : Work {
        GatherBase* gather;
    };

    std::span<const CoreRef> children_;
    JoinWaiter* places_ = nullptr;
    /// Who waits, once the outcome is known: not `parent` any more, so that no child hands control to it before the
    /// hop.
    TaskCore* hop_parent_ = nullptr;
    OnDone on_done_;
    FutureCore* failed_ = nullptr;  ///< the first child that failed
    struct {
        bool return_exceptions;
        bool is_cancel_requested = false;
        bool is_started = false;
        bool is_over = false;  ///< the outcome is known; it becomes visible one turn later
        bool is_done = false;
        bool is_direct = false;
    } state_;
    // Set where a child needs a place.
    Worker* here_;
    union {
        Hop hop_;
    };
};

/// A task that waits in a gather, whatever the children's types.
class GatherWait : public GatherBase, protected Wait {
public:
    /// Shows what a wait is for; false when it is no gather. The task's home loop.
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor) {
        if (wait.cancel != &GatherWait::cancel_wait) {
            return false;
        }
        static_cast<const GatherWait&>(wait).show_children(visitor);
        return true;
    }

protected:
    explicit GatherWait(bool return_exceptions) noexcept
        : GatherBase(nullptr, return_exceptions), Wait(&GatherWait::cancel_wait, "gather") {}
    ~GatherWait() = default;

    static bool cancel_wait(Wait& wait) noexcept;

    TaskCore* task_ = nullptr;
};

inline JoinWaiter::JoinWaiter() noexcept : Waiter(&GatherBase::child_settled) {}

}  // namespace knit::detail
