/// Worker: the engine of one loop. What the user sees of it is Loop; what it runs is Work.
///
/// Everything here belongs to the loop's own thread, except: post() and the deque's thieves' end (any thread), and the
/// counters, which other threads read.
///
///   [worker.sleep]  post: inbox push (RMW), sleep_ load  <->  wait_for_work: sleep_ RMW, inbox load
///                   a message is seen by the loop before it sleeps, or its sender sees the loop asleep
///   [worker.wakes]  post, claim_sleeper: the wake, then wakes_done_ release  ->  close: acquire
///                   nobody touches the driver or the runtime on behalf of this loop after its close
///   [worker.steps]  count_step: release by the owner  ->  steps: acquire     a later count is of a later step
///   [worker.nudge]  submit: injector push, fence, is_nudged_ RMW or load  <->  run_nudge: is_nudged_ RMW, fence,
///                   injector pop       who finds it set is seen there; who sets it has the node, which nobody uses
///   [worker.count]  made_, ended_: release by the owner  ->  acquire by whoever sums them up at the end of a run
#pragma once

#include <coroutine>
#include <memory>
#include <utility>

#include "knit/detail/counters.hpp"
#include "knit/detail/deque.hpp"
#include "knit/detail/frame_pool.hpp"
#include "knit/detail/inbox.hpp"
#include "knit/detail/inline_budget.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/timers.hpp"
#include "knit/detail/work.hpp"
#include "knit/time.hpp"

namespace knit {
class Loop;
}

namespace knit::detail {

/// Whether a request of the end of the run is on its way on a loop, and where it comes from.
enum class EndRequest : std::uint8_t { none, here, elsewhere };

class Driver;
class RuntimeCore;
class RuntimeLife;
class Worker;

// GCC splits coroutines before it optimises and Clang 17 and later know that a thread-local's address does not survive
// a suspension; earlier Clangs may keep it (llvm 63022), so there the access stays out of line.
#if defined(__clang__) && __clang_major__ < 17
Worker*& current_worker() noexcept;
#else
inline constinit thread_local Worker* t_worker = nullptr;
inline Worker*& current_worker() noexcept { return t_worker; }
#endif

/// What context variables the code of this thread sees that is no task: a callback, or a plain thread.
inline constinit thread_local ContextState* t_context = nullptr;
/// The thread's own context ends with the thread.
void keep_thread_context() noexcept;

/// The tasks that a thread is destroying: a frame that holds the last handle of another task, and so on, would recurse.
struct Dying {
    Work* first = nullptr;
    Worker* where = nullptr;  ///< the loop that they are destroyed on
    bool is_destroying = false;
};
inline constinit thread_local Dying t_dying;

/// The memory of frames: of the calling loop's pool, or for a thread without a loop from the heap.
[[nodiscard]] inline void* allocate_frame(std::size_t bytes);
inline void free_frame(void* memory, std::size_t bytes) noexcept;
inline void free_block(BlockHead& block) noexcept;

/// A task's number on a thread that is no loop.
std::uint64_t take_task_id() noexcept;

class Worker {
public:
    Worker(unsigned id, RuntimeCore& runtime, Loop& loop);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// The calling thread's running loop, or null. Not to be kept over an await: ask the task.
    static Worker* current() noexcept { return current_worker(); }

    // Owner thread: what is to run.

    /// To the end of the run queue.
    void make_ready(Work& work) noexcept { ready_.push(work); }
    /// An unstarted task for whichever loop is free.
    void offer(Work& work);
    /// Takes `work` back that the loop offered; false when another has it, or when newer work lies on it.
    bool take_back(const Work& work) noexcept { return deque_.take_back(work); }
    /// Counts a coroutine that runs inline in a task; true when look_inside_task() is due.
    bool spend_inline() noexcept { return inline_.spend(); }
    /// In the middle of a task that runs coroutines inline: looks at the ring, and at the clock. True when the loop has
    /// something to do that must not wait: the task then calls pause().
    KNIT_NOINLINE bool look_inside_task() noexcept;
    /// The task, suspended, goes on after the next batch of the run queue, ahead of the loop's own offered work.
    void pause(TaskCore& task) noexcept { paused_.push(task.work()); }
    void set_timer(Timer& timer, TimePoint deadline) {
        timers_.insert(timer, deadline);
        counters_.timers.set(timers_.size());
    }
    bool cancel_timer(Timer& timer) noexcept {
        const bool was_in = timers_.remove(timer);
        counters_.timers.set(timers_.size());
        return was_in;
    }
    std::size_t timer_count() const noexcept { return timers_.size(); }
    TimePoint now() noexcept;

    // Any thread.

    /// A message: runs on this loop, in the order of arrival. False when the loop is closed; the caller keeps it then.
    [[nodiscard]] bool post(Work& work) noexcept;
    /// Something lies in the injector: the loop looks there in its next turn, however long its steps are.
    void nudge() noexcept;
    /// Oldest stealable work, or null.
    Work* steal() noexcept { return deque_.steal(); }
    bool has_stealable() const noexcept { return deque_.size_hint() != 0; }
    bool is_unfenced() const noexcept { return deque_.is_unfenced(); }
    /// Whether the calling thread may touch this loop: it runs it, or owns the runtime, whose loop 0 this is, and does
    /// not run it.
    bool is_owned_here() const noexcept;
    /// Wakes the loop to look for work: only the idle protocol calls it, having claimed the sleeper.
    bool claim_sleeper() noexcept;
    /// It sleeps, and nobody has claimed it.
    bool is_claimable() const noexcept { return sleep_.load(std::memory_order_seq_cst) == parked; }  // [worker.sleep]

    // Owner thread: the scheduler.

    /// One turn: collects completions, messages and due timers, runs what was ready at that point, then offered work.
    /// False when there was nothing at all.
    bool turn() noexcept;
    /// Looks for work elsewhere, spins, sleeps until there is some.
    void wait_for_work() noexcept;
    /// Takes work from the injector or from another loop, or null.
    Work* find_elsewhere() noexcept;
    void run_offered(Work& work) noexcept;
    void run_until_stopped() noexcept;
    /// One turn, or work from elsewhere, never waiting: what a simulation does instead. False when there was nothing.
    bool step() noexcept;
    /// A stop() from before does not count any more.
    void start_turning() noexcept { is_stopping_ = false; }
    void stop() noexcept { is_stopping_ = true; }
    bool is_stopping() const noexcept { return is_stopping_; }
    /// Messages have arrived for which the last turn had no room.
    bool keeps_messages() const noexcept { return inbox_.keeps_some(); }
    /// Before the loop is shown to other threads.
    void set_driver(Driver* driver) noexcept;
    /// The calling thread runs this loop from now on, until detach(); not twice. Then again that of another runtime, if
    /// it did: a runtime may be made and closed inside another's loop.
    void attach() noexcept;
    /// The same for a thread that turns several loops by itself and takes care of the one before.
    void make_current() noexcept;
    void detach() noexcept;
    /// Handles the messages with this `run` at once; the others keep their turn.
    void answer_messages(Work::Run which) noexcept;
    TimePoint next_deadline() const noexcept { return timers_.next(); }
    /// The end of the loop: post() fails from now on; messages are handled, callbacks and timers dropped. Tasks that
    /// the destructors of these make end without a step.
    void close() noexcept;
    bool is_discarding() const noexcept { return is_discarding_; }
    /// The run is over: every task that there is now is asked to end, once; one that has not started never does. Tasks
    /// made later, by the cleanup of these, run, until the next round.
    void ask_all_to_end() noexcept;
    void end_draining() noexcept { is_draining_ = false; }
    /// What a request of the end of the run reaches from here is asked by it too; where that comes from another loop,
    /// each once. Gives what was set before.
    EndRequest set_end_request(EndRequest request) noexcept { return std::exchange(end_request_, request); }
    EndRequest end_request() const noexcept { return end_request_; }
    bool is_draining() const noexcept { return is_draining_; }

    /// Resumes `handle` as part of `task`, then settles what ended meanwhile.
    void resume(TaskCore& task, std::coroutine_handle<> handle) noexcept {
        current_task_ = &task;
        handle.resume();
        after_resume();
    }
    /// Goes on with what a resumed coroutine has left behind: a task that its end made ready, the rest of its own end.
    void after_resume() noexcept;
    /// What a final_suspend or an await of `task` may hand control to: `handle`, or the loop when the stack has grown
    /// too deep.
    std::coroutine_handle<> transfer(TaskCore& task, std::coroutine_handle<> handle) noexcept {
        if (stack_pointer() < stack_limit_) [[unlikely]] {
            task.continue_at(handle);
            continue_with(task);
            return std::noop_coroutine();
        }
        return handle;
    }
    /// The loop goes straight on with `task`, when the coroutine that runs now has returned.
    void continue_with(TaskCore& task) noexcept { continued_ = &task; }
    /// The task has ended: it is settled once its coroutine has left the stack.
    void retire(TaskCore& task) noexcept { retired_ = &task; }

    /// Runs the first step of a new task inside the task or callback that made it.
    void start_eagerly(TaskCore& task) noexcept;
    bool starts_eagerly() const noexcept { return starts_eagerly_; }
    void set_starts_eagerly(bool on) noexcept { starts_eagerly_ = on; }

    TaskCore* current_task() const noexcept { return current_task_; }
    /// Of the turn's batch, what has not run yet.
    const Work* batch_rest() const noexcept { return batch_rest_; }
    const WorkList& ready() const noexcept { return ready_; }
    const WorkList& paused() const noexcept { return paused_; }
    std::size_t offered_count() const noexcept { return deque_.size_hint(); }

    // What a watcher sees of the loop; any thread.

    /// Changes whenever the loop begins something: a callback, a task's step, a message.
    std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_acquire); }  // [worker.steps]
    /// It waits for work, or nobody runs it.
    bool is_resting() const noexcept { return is_resting_.load(std::memory_order_relaxed); }  // relaxed: a flag alone
    /// The kernel's id of the thread that runs it, 0 for none, and the clock of the processor time which that uses.
    int thread_id() const noexcept { return thread_id_.load(std::memory_order_relaxed); }  // relaxed: a number alone
    int cpu_clock() const noexcept { return cpu_clock_.load(std::memory_order_relaxed); }  // relaxed: a number alone
    /// asyncio's debug mode: every step is timed.
    bool is_watched() const noexcept { return is_watched_.load(std::memory_order_relaxed); }  // relaxed: a flag alone
    void set_watched(bool on) noexcept { is_watched_.store(on, std::memory_order_relaxed); }  // relaxed: a flag alone
    /// About when it is, on the loop's clock, in milliseconds that wrap around: as of the last time that somebody
    /// looked, which the watchdog does all the time, and the loop itself after a sleep.
    std::uint32_t coarse_ms() const noexcept { return coarse_ms_.load(std::memory_order_relaxed); }  // relaxed: a hint
    void set_coarse_time(TimePoint time) noexcept {
        coarse_ms_.store(milliseconds_of(time), std::memory_order_relaxed);  // relaxed: a hint
    }
    static std::uint32_t milliseconds_of(TimePoint time) noexcept {
        return static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
    }
    void set_current_task(TaskCore* task) noexcept { current_task_ = task; }

    /// What it has counted; the rest, made(), ended() and steps(), stands elsewhere because it is used.
    const WorkerCounters& counters() const noexcept { return counters_; }
    /// How many tasks it has taken from that loop.
    std::uint64_t stolen_from(std::size_t loop) const noexcept { return steals_[loop].value(); }
    /// Null before the loop's start and after its end.
    const Driver* driver_nowait() const noexcept { return driver_; }

    // Owner thread: accounts.

    /// Counts a task as made here, and gives its number.
    std::uint64_t next_task_id() noexcept {
        const std::uint64_t made = made_.load(std::memory_order_relaxed) + 1;  // relaxed: only this thread writes it
        if (made > id_limit_) [[unlikely]] {
            reserve_ids(made);
        }
        made_.store(made, std::memory_order_release);  // [worker.count]
        return id_offset_ + made;
    }
    void count_asked() noexcept { add_one(asked_); }
    void count_asked_ended() noexcept;
    /// Tasks of this loop that were asked to end, here or before they came; and those that have.
    std::uint64_t asked() const noexcept { return asked_.load(std::memory_order_acquire); }  // [worker.count]
    std::uint64_t asked_ended() const noexcept {
        return asked_ended_.load(std::memory_order_acquire);  // [worker.count]
    }
    void count_ended() noexcept { add_one(ended_); }
    std::uint64_t made() const noexcept { return made_.load(std::memory_order_acquire); }    // [worker.count]
    std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }  // [worker.count]
    void enter_registry(TaskCore& task) noexcept;
    void leave_registry(TaskCore& task) noexcept;
    TaskCore* first_task() const noexcept { return registry_; }

    FramePool& pool() noexcept { return pool_; }
    Driver& driver() noexcept { return *driver_; }
    Loop& loop() noexcept { return loop_; }
    /// Only while the loop is open, and cannot close: on a loop's own thread, or by the runtime itself.
    RuntimeCore& runtime() noexcept { return runtime_; }
    /// What may be asked of the runtime when it has gone. Any thread.
    RuntimeLife& life() const noexcept { return *life_; }
    unsigned id() const noexcept { return id_; }
    /// Whose loop this is, or was: unlike runtime(), it may be asked of a loop whose runtime has gone.
    std::uint64_t runtime_id() const noexcept { return runtime_id_; }
    bool has_asymmetric_fences() const noexcept { return asymmetric_; }

private:
    static void add_one(Atomic<std::uint64_t>& count) noexcept {
        count.store(count.load(std::memory_order_relaxed) + 1,  // relaxed: only this thread writes it
                    std::memory_order_release);                 // [worker.count]
    }
    std::uint64_t run_batch(Work* first) noexcept;
    static void fetch_ahead(Work* next) noexcept;
    void look(TimePoint time = TimePoint()) noexcept;
    void look_around() noexcept;
    TimePoint take_shared() noexcept;
    static void run_nudge(Worker& worker, Work& work) noexcept;
    void run_oldest(TimePoint time) noexcept;
    void rest_offered() noexcept;
    bool has_waiting() const noexcept;
    void run_paused(Work* paused) noexcept;
    bool run_deque() noexcept;
    bool has_outside_news() const noexcept;
    bool collect() noexcept;
    bool has_offered() const noexcept { return !paused_.empty() || deque_.size_hint() != 0; }
    bool has_own_work() const noexcept;
    bool spin() noexcept;
    void sleep() noexcept;
    void stop_searching() noexcept;
    void report_drained() noexcept;
    void drop_ready() noexcept;
    bool has_late_tasks() const noexcept;
    KNIT_NOINLINE void reserve_ids(std::uint64_t made) noexcept;
    void return_ids() noexcept;
    void share(std::size_t count) noexcept;
    void answer_thieves() noexcept;
    void forget_thieves() noexcept;
    KNIT_NOINLINE void offer_to_idle(std::uint64_t word) noexcept;
    void run_watched(Work& work) noexcept;
    void run_offered_now(Work& work) noexcept;
    void run_taken(Work& work) noexcept;
    Work* steal_from(Worker& victim) noexcept;
    bool leaves_offers() noexcept;
    void end_rest() noexcept;
    void park() noexcept;
    void look_at_pool(TimePoint time) noexcept;
    static void count_wake_sent() noexcept;
    void count_step() noexcept {
        steps_.store(steps_.load(std::memory_order_relaxed) + 1,  // relaxed: only this thread writes it
                     std::memory_order_release);                  // [worker.steps]
    }

    // The loop's own, hot.
    WorkList ready_;
    WorkList paused_;  ///< tasks whose forked coroutines have spent the budget
    const Work* batch_rest_ = nullptr;
    Atomic<std::uint64_t> steps_{0};  ///< the owner counts, a watcher looks [worker.steps]
    Atomic<std::uint32_t> coarse_ms_{0};  ///< the owner and the watchdog write, the owner reads; a hint
    Atomic<bool> is_watched_;             ///< any thread sets it, the owner asks; publishes nothing
    Atomic<bool> is_resting_{true};       ///< the owner sets it, a watcher asks; publishes nothing
    TaskCore* current_task_ = nullptr;
    TaskCore* continued_ = nullptr;
    TaskCore* retired_ = nullptr;
    std::uintptr_t stack_limit_ = 0;
    unsigned budget_;
    unsigned budget_spent_ = 0;
    bool is_stopping_ = false;
    bool is_searching_ = false;
    bool has_reported_drained_ = false;
    bool is_idle_ = true;  ///< the last turn found nothing
    bool is_time_known_ = false;  ///< the coarse time has been set since the loop woke
    bool asymmetric_;
    bool is_draining_ = false;
    EndRequest end_request_ = EndRequest::none;
    bool is_discarding_ = false;
    bool starts_eagerly_ = false;
    const Atomic<std::uint64_t>* idle_word_;
    Driver* driver_ = nullptr;
    FramePool pool_;
    std::uint64_t id_offset_ = 0;  ///< a task's number is this plus the count of those made here
    std::uint64_t id_limit_ = 0;   ///< the count up to which that holds
    std::uint64_t offers_ = 0;  ///< published now and then, because a plain increment is one instruction
    Atomic<std::uint64_t> made_{0};   ///< tasks made here; the owner writes, the end of a run reads [worker.count]
    Atomic<std::uint64_t> ended_{0};  ///< tasks ended here; likewise [worker.count]
    Atomic<std::uint64_t> asked_{0};        ///< tasks asked to end; likewise [worker.count]
    Atomic<std::uint64_t> asked_ended_{0};  ///< of these, those that ended here; likewise [worker.count]
    Work nudge_;
    Atomic<bool> is_nudged_{false};  ///< any thread sets it, and posts nudge_ then; the owner clears it [worker.nudge]
    Timers timers_;
    TaskCore* registry_ = nullptr;
    Worker* previous_ = nullptr;  ///< the thread's loop before attach()
    unsigned looks_ = 0;
    unsigned looks_per_clock_ = 1;  ///< a power of two
    InlineBudget inline_{budget_};
    bool is_look_due_ = false;  ///< a task has paused so that the loop looks around
    TimePoint looked_around_{};      ///< when the loop last did
    TimePoint oldest_due_ = kNever;  ///< when the oldest offered work is to be run before its turn, if that is known
    Duration oldest_after_{};        ///< what that was put off by the last time
    TimePoint left_since_ = kNever;  ///< since when offered work is left to a loop on its way, if it is
    std::size_t left_count_ = 0;     ///< how much there was then
    TimePoint leaves_again_{};       ///< not before that, because nobody came the last time
    unsigned random_ = 0;
    unsigned spin_misses_ = 0;
    unsigned taken_ = 0;  ///< offered work of others that was too small to be timed each time
    TimePoint pool_seen_{};  ///< when the frame pool's bytes were last counted
    Atomic<int> thread_id_{0};  ///< the thread that attaches itself writes, a watcher reads; publishes nothing
    Atomic<int> cpu_clock_{0};  ///< likewise

    RuntimeCore& runtime_;
    Loop& loop_;
    const unsigned id_;
    const std::uint64_t runtime_id_;

    Deque deque_;

    WorkerCounters counters_;                 ///< the owner writes, any thread reads
    const std::unique_ptr<Count[]> steals_;  ///< by the loop stolen from; likewise
    const std::shared_ptr<RuntimeLife> life_;

    // Other threads'.
    Inbox inbox_;
    Atomic<bool> has_slow_thief_{false};  ///< thieves set it, the owner clears it; a hint that publishes nothing
    enum Sleep : std::uint32_t { awake, parked, notified, searching };
    unsigned claims_ = 0;  ///< how often the owner found its sleep claimed by a waker
    Atomic<std::uint32_t> wakes_done_{0};  ///< wakers count, the owner waits at its end [worker.wakes]
    Atomic<std::uint32_t> sleep_{awake};  ///< the owner parks and wakes, any thread claims a parked one [worker.sleep]
};

}  // namespace knit::detail

#include "knit/detail/hot_paths.hpp"
