/// ForkBase: the children of a fork_join() without their types. It lives in the awaiting frame.
///
/// All children but the first are offered, the last one first: each has a node, which is Work, in the deque. The first
/// runs inline. Whenever an inline child has ended, its frame goes, and control returns to the loop, which
/// child_ended() has told what to go on with: it takes the newest node back, and that child runs inline as well. A node
/// that it does not get back is away: whoever takes that node makes the child a task of its own.
///
/// A node that is not away is the newest Work of the deque, or nothing here depends on it: take_back() says no when
/// somebody has taken the node, and also when other Work lies on top of it. That is either a task that an inline child
/// has spawned and left, or what other tasks of the loop have offered while an inline child was suspended. Forks that
/// inline children made have ended with them, and a fork ends only when each of its nodes is out of the deque. Covered
/// nodes are run by this loop or stolen like any other work, and the fork waits for them as for all that are away.
///
/// Who is away is counted without the owner's help: `pending_` is 0, each child that was away takes one off at its end,
/// and when the owner has run what it could it adds how many were away, having suspended its task. Whoever comes to 0
/// is the last, and goes on with the task or wakes it. So it is woken once, and by then nobody touches the fork.
///
///   ForkNode::word   set by                                   cleared by
///   kBegun           who takes the node, once there is a task  nobody
///   kStopped         who stops the fork                        nobody
///   Both are read-modify-writes of one word, so of the two one comes second, and sees the other: the taker then
///   cancels the task before its first step, the stopper cancels it by message. stop() sets kStopped in each node, also
///   where its child runs inline, or has ended: there nobody reads it.
///
///   outcome_   null; then, once and for all, the slot of the first child that failed, or &g_cancelled
///
///   [fork.word]     taker: task, word RMW release  ->  stopper: word RMW acquire, task       see above
///   [fork.pending]  a child's end: result, pending RMW release  ->  the last of them, or the owner: RMW acquire
///                   with its result the failed child's outcome and error are seen
#pragma once

#include <coroutine>
#include <cstdint>
#include <string>

#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {

class ForkBase;

/// A child of a fork_join().
struct ForkNode : Work {
    enum Word : std::uint32_t { kBegun = 1, kStopped = 2 };
    struct EndHook : Join {
        ForkNode* node;
    };

    /// `on_taken` makes a task of the coroutine `frame` and calls ForkBase::adopt().
    ForkNode(Run on_taken, void* frame, ForkBase& whose) noexcept : fork(&whose), child(frame) { run = on_taken; }
    ForkNode(const ForkNode&) = delete;
    ForkNode& operator=(const ForkNode&) = delete;

    ForkBase* const fork;
    void* const child;              ///< the coroutine's frame, which the fork owns
    Atomic<std::uint32_t> word{0};  ///< see the table above; taker and stopper write, both read [fork.word]
    // Set by whoever takes the node.
    union {
        TaskCore* task;  ///< the fork has one reference
    };
    union {
        EndHook hook;
    };
};

/// The offered work as a task, which it becomes now if it is a node of a fork.
inline TaskCore& offered_task(Worker& worker, Work& work) noexcept {
    if (work.run == &TaskCore::run_ready) [[likely]] {
        return TaskCore::of(work);
    }
    work.run(worker, work);
    return *static_cast<ForkNode&>(work).task;
}

class ForkBase {
public:
    ForkBase(const ForkBase&) = delete;
    ForkBase& operator=(const ForkBase&) = delete;

    /// Who awaits. The task's home loop.
    std::coroutine_handle<> parent() const noexcept { return parent_; }
    /// An inline child is at its end, and its frame about to go: tells the loop what to go on with.
    void child_ended() noexcept;
    /// The child of `slot` has failed: if it is the first, the others are stopped. Any thread, before the child counts
    /// as ended.
    void fail(SlotBase& slot) noexcept;
    /// The taker of a node, on its loop, has made it a task.
    static void adopt(ForkNode& node, TaskCore& task, Worker& taker) noexcept;
    /// Gives up a child that became a task.
    KNIT_NOINLINE static void release_task(TaskCore& task) noexcept;
    /// A task of its loop that has paused before it began an inline child goes on.
    static void go_on(Worker& worker, TaskCore& task) noexcept;
    /// Where the parent awaits the children.
    std::source_location where() const noexcept;

    /// Shows what a wait is for; false when it is no fork. The task's home loop.
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor);

protected:
    /// `nodes`: of all children but the first, in reverse order; they need not have been made yet.
    ForkBase(ForkNode* nodes, std::uint32_t count, void* first) noexcept
        : nodes_(nodes), first_(first), count_(count) {}
    ~ForkBase() {
        if (context_ != nullptr) [[unlikely]] {
            context_->drop_ref();
        }
    }

    /// Offers all but the first, and gives what to go on with: the first, as a rule. May throw std::bad_alloc before
    /// anything has happened. `count`: as for the constructor.
    std::coroutine_handle<> begin(TaskCore& task, std::coroutine_handle<> parent, std::uint32_t count);
    bool is_begun() const noexcept { return task_ != nullptr; }
    /// Throws when a child has failed or the task was cancelled.
    void end() {
        // relaxed: as in end_slow
        if (is_suspended_ || outcome_.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {
            end_slow();
        }
    }
    /// Before the children are given up, where nobody has awaited them.
    KNIT_NOINLINE void warn_unawaited() const noexcept;
    ForkNode* nodes() const noexcept { return nodes_; }
    void* first() const noexcept { return first_; }

private:
    struct ForkWait : Wait {
        ForkWait(ForkBase& whose, Cancel how) noexcept : Wait(how, "fork_join"), fork(&whose) {}
        ForkBase* fork;
    };

    bool start(void* child) noexcept;
    KNIT_NOINLINE bool start_slow(void* child) noexcept;
    KNIT_NOINLINE void wait_for_away() noexcept;
    KNIT_NOINLINE void end_slow();

    bool claim_outcome(SlotBase& outcome) noexcept;
    void stop(const std::string& message, bool again) noexcept;
    bool is_over() noexcept;
    static bool cancel_wait(Wait& wait) noexcept;
    static bool cancel_pause(Wait& /*wait*/) noexcept { return false; }  // it stays due, and go_on() takes it
    static void child_settled(Join& join, FutureCore& child) noexcept;

    std::coroutine_handle<> parent_;
    TaskCore* task_ = nullptr;
    ForkNode* const nodes_;                 ///< of all children but the first, in reverse order
    void* const first_;                     ///< the first child's frame, which the fork owns
    const std::uint32_t count_;             ///< of all children
    std::uint32_t left_;                    ///< nodes below this one have not been looked at again
    std::uint32_t away_ = 0;                ///< nodes that were not there any more
    Atomic<std::uint32_t> pending_{0};      ///< see above; owner and takers write [fork.pending]
    Atomic<SlotBase*> outcome_{nullptr};    ///< see above; owner and takers write, once; seen by [fork.pending]
    ContextState* context_ = nullptr;       ///< what children that are away get a copy of
    bool is_suspended_ = false;             ///< the task has waited, or waits, for children that are away
    union {
        ForkWait wait_;
    };
};

}  // namespace knit::detail
