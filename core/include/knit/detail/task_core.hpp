/// TaskCore: a task without its type. It belongs to the loop that runs the task, its *home*; until it has started, a
/// spawned task has none. It lies in one block of memory with its result and, behind both, the frame of its outermost
/// coroutine: the frame ends when the task does, the block when the last handle has gone.
///
///   [task.home]  begin: home, light fence, early_cancel  <->  cancel: early_cancel, heavy fence, home
///                a task that nobody has started yet is cancelled by whoever starts it, or its home hears of it by
///                message
///   [task.move]  move_home: release  ->  home: acquire
///                the new home may touch the task, the old one has done with it
#pragma once

#include <coroutine>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "knit/detail/context_state.hpp"
#include "knit/detail/future_core.hpp"

namespace knit {

/// One coroutine of a task: its function, and the last await that it has come to.
struct Frame {
    std::string_view function;
    std::string_view file;
    unsigned line;
};

}  // namespace knit

namespace knit::detail {

/// How the wait of a suspended task is undone; lives in the awaiter.
struct Wait {
    /// Home loop. True: the wait will now end, by itself and because of this; the cancellation is taken. False: it had
    /// ended already, the task keeps the cancellation until it is resumed.
    using Cancel = bool (*)(Wait&) noexcept;
    Wait(Cancel how, const char* what) noexcept : cancel(how), name(what) {}
    Cancel cancel;
    const char* name;  ///< what a dump of the tasks says: "sleep", "Lock.acquire"
};

struct CancelMessage;
/// Gives up one of its owners' parts; null: does nothing. Any thread.
void drop(CancelMessage* message) noexcept;

/// In front of every frame that can become a task's: what is known of the block when the coroutine has gone.
struct BlockHead {
    std::uint32_t bytes;
    std::uint16_t pool_class;  ///< 0: not pooled
    bool outlives_frame;       ///< the block is not the coroutine's own: it stays when the frame goes
    bool is_task;              ///< it belongs to a TaskCore, which follows
};

class TaskCore : public FutureCore, private Work {
public:
    /// `handle` is the task's outermost coroutine, not started. Two references: the runtime's and the first handle's.
    /// `is_plain`: the result has no destructor.
    TaskCore(Worker& keeper, SlotBase& slot, bool is_plain, std::coroutine_handle<> handle, std::uint64_t id) noexcept
        : FutureCore(kTask, keeper, slot, 2), leaf_(handle), frame_(handle), id_(id) {
        is_plain_ = is_plain;
        run = &TaskCore::run_ready;
    }

    // The awaiters' side; home loop.

    /// The last thing that await_suspend does: says what to resume, and how to undo the wait (null: it ends in any case
    /// at the next turn). May call wait->cancel at once, when a cancellation is due.
    void suspend(std::coroutine_handle<> leaf, Wait* wait) noexcept;
    /// Puts the suspended task at the end of its loop's run queue.
    void wake() noexcept;
    /// The first thing that await_resume does. Throws CancelledError when a cancellation is due.
    void resumed() {
        wait_ = nullptr;
        awaited_ = nullptr;
        if ((flags_ & (kMustCancel | kCancelTaken)) != 0) [[unlikely]] {
            end_cancelled_wait();
        }
    }
    /// The same for an operation that has a result to give although a cancellation is due: that stays for the next
    /// await.
    void resumed_keep_cancel() noexcept {
        wait_ = nullptr;
        flags_ &= ~kCancelTaken;
    }
    /// The task awaits `target`, until it is resumed.
    void set_awaited(FutureCore& target) noexcept { awaited_ = &target; }
    /// A cancellation waits for the next await. Home loop.
    bool is_cancel_due() const noexcept { return has(kMustCancel); }
    /// The same of one that somebody else has asked for: it stays due after an operation that had a result.
    bool is_cancel_kept() const noexcept { return has(kMustCancel) && !has(kOwnCancel); }
    /// One that somebody else has asked for, and that a wait took which had a result: due again at the next await.
    void request_cancel_again() noexcept {
        flags_ = (flags_ & ~kOwnCancel) | (cancelling() > 0 ? kMustCancel : 0U);
    }
    /// The wait has ended by a cancellation, which is all that was asked for meanwhile.
    void forget_due_cancel() noexcept { flags_ &= ~kMustCancel; }
    /// The one that is due is taken: what the task comes to next will end by it. Home loop.
    void take_cancel() noexcept { flags_ = (flags_ & ~kMustCancel) | kCancelTaken; }
    [[noreturn]] void throw_cancelled();
    const std::string& cancel_message() const noexcept;

    // The scheduler's side.

    /// Starts, or goes on with, a task taken from a deque or the injector: makes `worker` its home. False when it was
    /// cancelled before: it has ended then.
    bool begin(Worker& worker) noexcept;
    /// Ends the task: the result is in the slot; the frame is about to go, and the loop goes on from there.
    void finish(Worker& worker) noexcept;
    /// The rest of finish(), when the frame has gone: publishes the result, has the waiters notified, gives up the
    /// runtime's reference.
    void settle(Worker& worker) noexcept;
    std::coroutine_handle<> leaf() const noexcept { return leaf_; }
    /// What waking it and going on with it will touch of the task itself.
    void prefetch() const noexcept {
        detail::prefetch(static_cast<const Work*>(this));
        detail::prefetch(&since_ms_);
    }
    /// What going on with it will touch next: the innermost frame, and the awaiter in it.
    void prefetch_frame() const noexcept {
        detail::prefetch(leaf_.address());
        detail::prefetch(leaf_.address(), kCacheLine);
        detail::prefetch(wait_);
        detail::prefetch(wait_, kCacheLine);
    }
    /// The watchdog's signal handler may follow the chain from the leaf at any instruction: what has been written of
    /// it comes before, what becomes of the old leaf after.
    void continue_at(std::coroutine_handle<> handle) noexcept {
        light_fence();
        leaf_ = handle;
        light_fence();
    }
    /// The one node that the task stands in queues with.
    Work& work() noexcept { return *this; }
    static TaskCore& of(Work& work) noexcept { return static_cast<TaskCore&>(work); }

    /// Home before it is made visible: a task that only `worker` may run.
    void settle_down(Worker& worker) noexcept;
    /// The function of its outermost coroutine, and where the task was made.
    void set_places(std::source_location function, std::source_location created) noexcept {
        function_ = function;
        created_ = created;
    }
    const std::source_location& function() const noexcept { return function_; }
    const std::source_location& created() const noexcept { return created_; }
    /// Its coroutines, the innermost first; for one of another loop the outermost alone; empty when it has ended.
    std::vector<Frame> stack() const;
    /// How the present wait is undone, and its name; null while it runs or is ready. Home loop.
    const Wait* wait() const noexcept { return wait_; }
    /// Its wait is being cancelled at this moment. Home loop.
    bool is_cancelling_wait() const noexcept { return has(kCancelling); }
    /// The task or future that it awaits directly. Home loop.
    FutureCore* awaited() const noexcept { return awaited_; }
    /// Takes over one reference. Before the task is made visible.
    void set_context(ContextState* context) noexcept;
    /// What context variables it sees; null: none is set. Home loop.
    ContextState*& context() noexcept { return context_; }
    void mark_spawned() noexcept { kind_ = static_cast<Kind>(kind_ | kSpawned); }
    /// The task, suspended, goes to the deques: it has no home until somebody begins it. Home loop.
    void leave_home() noexcept;
    /// The task, suspended, moves to loop `target` (resume_on). Home loop.
    void move_home(Worker& target) noexcept;
    /// The move was refused: the task goes on where it was.
    void come_back(Worker& here) noexcept;
    /// A new task that starts on a loop of another thread.
    void travel_to(Worker& target) noexcept;
    /// The end of the run asks the task to end, once; what that reaches on other loops, likewise.
    void cancel_for_shutdown(Worker& worker) noexcept;
    /// It ends without a step, by a cancellation or by `error`. By whoever is about to begin it.
    void cancel_unstarted() noexcept { note_cancel({}); }
    void fail_unstarted(std::exception_ptr error) noexcept;
    static bool is_task_work(const Work& work) noexcept {
        return work.run == &TaskCore::run_ready || work.run == &TaskCore::run_arrived ||
               work.run == &TaskCore::run_paused;
    }

    /// May be stale the moment it is read, unless the caller is on that loop. Null: not started, or on offer.
    Worker* home() const noexcept { return home_.load(std::memory_order_acquire); }  // [task.move]

    // The users' side.

    /// asyncio's Task.cancel(). Any thread; acts at once on the home loop, elsewhere by message.
    /// `waiting`: as for cancel().
    bool cancel_task(const std::string& message, TaskCore* waiting = nullptr);
    int cancelling() const noexcept { return cancel_requests_.load(std::memory_order_relaxed); }  // relaxed: a counter
    int uncancel();
    std::uint64_t id() const noexcept { return id_; }
    std::string name() const;
    /// The name that it was given, empty for none. Allocates nothing; valid as long as the task.
    std::string_view given_name() const noexcept;
    void set_name(std::string name);
    /// The loop that the task lives on; for one that has none yet, the one that made it.
    Worker& loop_worker() const noexcept {
        Worker* worker = home();
        return worker != nullptr ? *worker : *keeper_;
    }
    /// A BaseException other than CancelledError ended the task: it also comes out of run().
    void mark_failed() noexcept { flags_ |= kFailed; }
    void mark_fatal() noexcept { flags_ |= kFatal; }
    /// It has ended by an error that comes out of run().
    bool is_fatal() const noexcept { return has(kFatal); }
    void mark_cancelled() noexcept { flags_ |= kEndsCancelled; }
    /// knit's own, which no list of tasks shows. Home loop.
    void mark_hidden() noexcept { flags_ |= kHidden; }
    bool is_hidden() const noexcept { return has(kHidden); }
    /// The end of the run has asked it to end. Home loop.
    bool is_asked_to_end() const noexcept { return has(kShuttingDown); }
    bool is_started() const noexcept { return has(kStarted); }
    /// Worker::coarse_ms() of when it was last suspended. Home loop.
    std::uint32_t suspended_ms() const noexcept { return since_ms_; }
    bool is_registered() const noexcept { return has(kRegistered); }

    BlockHead& head() noexcept { return *(reinterpret_cast<BlockHead*>(this) - 1); }
    /// The last reference has gone: ends the result, and the coroutine of a task that never ended; frees the block.
    void destroy_block() noexcept;

    static void run_ready(Worker& worker, Work& work) noexcept;
    static void run_arrived(Worker& worker, Work& work) noexcept;
    static void run_paused(Worker& worker, Work& work) noexcept;

private:
    friend struct CancelMessage;

    /// The task's state, bit by bit; all but the first two are rare.
    enum Flag : unsigned {
        kStarted = 1,         ///< its coroutine has been resumed
        kRegistered = 2,      ///< it stands in the registry of its home
        kMustCancel = 4,      ///< CancelledError is due at its next await, or instead of its start ...
        kOwnCancel = 1024,    ///< ... and nobody but the task itself has asked for that; else it says nothing
        kFatal = 8,           ///< it ended by a BaseException that comes out of run()
        kEndsCancelled = 16,  ///< it ended by CancelledError
        kShuttingDown = 32,   ///< the end of the run has asked it to end
        kCancelling = 64,     ///< its wait is being cancelled: tasks that await each other come back here
        kFailed = 128,        ///< it ended by an exception
        kCancelTaken = 256,   ///< its wait has taken a cancellation, and it has not been resumed yet
        kHidden = 512,        ///< all_tasks() leaves it out
    };
    /// What few tasks have. Made and changed by the home loop; names are read by any thread.
    struct Name {
        std::string text;
        Name* older;
    };
    struct Extras {
        Atomic<Name*> name{nullptr};  ///< written by its loop, read by any thread; publishes the text [task.name]
        std::string cancel_message;   ///< home loop
        CancelMessage* passed_on = nullptr;  ///< the last one that its present wait sent to another loop; home loop
    };

    bool has(Flag flag) const noexcept { return (flags_ & flag) != 0; }
    Extras& extras();

    void end_block() noexcept;
    void free_extras() noexcept;
    void enter_registry() noexcept;
    void leave_registry() noexcept;
    void cancel_wait() noexcept;
    KNIT_NOINLINE void end_cancelled_wait();
    bool cancel_at_home(const std::string& message) noexcept;
    void send_cancel(CancelMessage& message) noexcept;
    void take_early_cancels(Worker& worker) noexcept;
    KNIT_NOINLINE bool begin_slow(Worker& worker) noexcept;
    void end_unstarted(Worker& worker) noexcept;
    void note_cancel(const std::string& message) noexcept;
    TaskCore* awaited_here() const noexcept;
    std::exception_ptr make_cancelled_error() const noexcept;
    static void run_settled(Worker& worker, Work& work) noexcept;

    // What each switch to the task and away from it touches, beside Work: together, as each line counts where many
    // tasks wait.
    std::coroutine_handle<> leaf_;
    Wait* wait_ = nullptr;
    FutureCore* awaited_ = nullptr;  ///< what it awaits directly, to find tasks that await each other
    Atomic<Worker*> home_{
        nullptr};  ///< written by the loop that begins or gives away the task; read by cancellers [task.home]
    unsigned flags_ = 0;  ///< of the enumerators above; the home loop's alone
    std::uint32_t since_ms_ = 0;

    ContextState* context_ = nullptr;
    std::coroutine_handle<> frame_;

public:
    TaskCore* registry_next;  ///< the registry of the home loop; set while it stands there
    TaskCore* registry_previous;

private:
    std::uint64_t id_;
    std::source_location function_;
    std::source_location created_;
    Atomic<Extras*> extras_{nullptr};  ///< written by its loop, read by any thread; publishes the Extras [task.name]
    Atomic<Work*> early_cancel_{nullptr};  ///< cancellers push, whoever begins the task takes all [task.home]
    Atomic<int> cancel_requests_{
        0};  ///< written by the home loop, read by any thread; a counter that publishes nothing
};

/// What knit's own coroutines offer to awaiters.
template <class P>
concept KnitPromise = requires(P& promise) {
    { promise.task() } -> std::same_as<TaskCore&>;
};

}  // namespace knit::detail
