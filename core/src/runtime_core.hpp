/// RuntimeCore: what the loops of one runtime share.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "blocking_pool.hpp"
#include "idle.hpp"
#include "injector.hpp"
#include "knit/detail/timers.hpp"
#include "knit/detail/worker.hpp"
#include "knit/metrics.hpp"
#include "knit/options.hpp"
#include "runtime_life.hpp"

namespace knit {
class Runtime;
class TaskRef;
struct DriverReport;
}

namespace knit::detail {

class Driver;
class MetricsServer;
class Watchdog;

/// The tasks of one loop that are not done, in the order of creation. That loop's thread.
std::vector<TaskRef> tasks_of(Worker& worker);

/// The loops of that runtime have closed: threads that still wait for one of its tasks are told. Any thread.
void end_thread_waits(std::uint64_t runtime_id) noexcept;

/// Warns that loop `index` could not be pinned, unless it is.
void warn_unless_pinned(bool is_pinned, std::size_t index);

/// A loop's engine and its face.
struct LoopBox;

class RuntimeCore {
public:
    explicit RuntimeCore(const RunOptions& options);
    ~RuntimeCore();
    RuntimeCore(const RuntimeCore&) = delete;
    RuntimeCore& operator=(const RuntimeCore&) = delete;

    Worker& worker(std::size_t index) noexcept { return *workers_[index]; }
    Loop& loop(std::size_t index) noexcept { return workers_[index]->loop(); }
    std::size_t size() const noexcept { return workers_.size(); }
    const Settings& settings() const noexcept { return settings_; }
    const RunOptions& options() const noexcept { return options_; }
    /// Unique in the process, for as long as it lives: addresses are used again.
    std::uint64_t id() const noexcept { return id_; }
    Idle& idle() noexcept { return idle_; }
    UsualTime& offered_time() noexcept { return offered_time_; }
    Injector& injector() noexcept { return injector_; }
    BlockingPool& blocking_pool() noexcept { return life_->blocking_pool(); }
    BlockingPool& driver_pool() noexcept { return driver_pool_; }

    /// Work has become visible that any loop may take: wakes one sleeper unless somebody searches already. Any thread.
    void wake_one() noexcept;
    /// Whether any deque or the injector holds something. Any thread; a hint.
    bool has_stealable() noexcept;
    /// What has been made visible until now by loops that do so without a fence can be seen after this.
    void fence_against_offers() noexcept;
    /// Of whoever was the last searcher: some loop sleeps, and there is work for it.
    bool leaves_work_to_sleepers() noexcept;
    bool has_sleeper() const noexcept;
    /// An unstarted task from a thread that is no loop of this runtime.
    void submit(TaskCore& task);
    /// The loop that keeps the waiters of a task that was submitted by a plain thread.
    Worker& keeper_for_submit();

    /// Throws RuntimeError where loop 0 cannot be run: closed, inside a loop, not the owner's thread.
    void check_can_run(const char* nested_message) const;
    /// Runs loop 0 on the calling thread until `until` is settled or somebody stopped the loop. Rethrows what must come
    /// out of run() (BaseException).
    void run_loop_0(FutureCore* until);
    /// Cancels every task on every loop and runs until none is left.
    void cancel_everything();
    void close();
    bool is_closed() const noexcept { return is_closed_.load(std::memory_order_acquire); }  // [run.closed]
    bool is_closing() const noexcept { return life_->is_closing(); }
    /// Loops stand still until all do. Any thread.
    bool is_halting() const noexcept { return is_halting_.load(std::memory_order_relaxed); }  // relaxed: a flag alone
    /// The grace period is over, and tasks are left. While the loops close: any of them.
    bool has_abandoned() const noexcept { return has_abandoned_; }
    void stop_loop_0() noexcept { life_->stop_loop_0(); }
    /// Keeps the first BaseException that came out of a task, and stops loop 0 for it. Any thread.
    void fail(std::exception_ptr error) noexcept;
    /// A loop has nothing left to do while the runtime is closing.
    void report_drained() noexcept;
    void go_on_draining() noexcept;
    std::uint64_t live_tasks() noexcept;
    /// The tasks of all loops; waits until each loop has answered.
    std::vector<TaskRef> all_tasks();
    DriverReport driver_report() const;
    /// What has been counted until now; after close() until then. Any thread.
    Metrics metrics();
    Watchdog& watchdog() noexcept { return *watchdog_; }
    /// In a forked child: no driver touches what it shares with the parent.
    void leave_to_parent() noexcept;
    /// Whether the calling thread turns all loops of this runtime by itself.
    bool is_simulated_here() const noexcept;
    /// A loop that had nothing to do goes on: the watchdog looks again.
    void end_doze() noexcept;
    const std::shared_ptr<RuntimeLife>& life() const noexcept { return life_; }

private:
    void start_threads();
    void start_round() noexcept;
    bool is_round_answered() const noexcept;
    void halt_without_tasks();
    void halt_threads() noexcept;
    void let_threads_go_on() noexcept;
    bool goes_on_after_halt() noexcept;
    void stop_threads() noexcept;
    void join_blocking_pool();
    void run_loop_0_to_the_end() noexcept;
    void close_loop(Worker& self) noexcept;
    void close_loop_0() noexcept;
    void run_thread(std::size_t index);
    void rethrow_failure();
    Metrics take_metrics();
    void keep_last_metrics() noexcept;
    void end_drivers() noexcept;
    /// Posts that message of its own to each loop but 0.
    void tell_loops(Work LoopBox::*message, Work::Run what) noexcept;

    const std::uint64_t id_;
    RunOptions options_;
    Settings settings_;
    const std::vector<unsigned> own_cpus_;  ///< where the constructor's thread may run; empty where nothing is pinned
    Idle idle_;
    alignas(kCacheLine) UsualTime offered_time_;
    Injector injector_;
    std::vector<LoopBox*> boxes_;
    std::vector<Worker*> workers_;  ///< of boxes_
    std::vector<std::thread> threads_;
    const std::shared_ptr<RuntimeLife> life_;  ///< the loops' too
    BlockingPool driver_pool_;  ///< for what drivers cannot do without blocking
    std::vector<std::unique_ptr<Driver>>
        drivers_;  ///< one for each loop; kept until all threads are joined, who may be
                   ///< ringing one that has just closed
    std::unique_ptr<Watchdog> watchdog_;
    std::unique_ptr<MetricsServer> metrics_server_;
    std::mutex metrics_mutex_;              ///< guards last_metrics_, and the drivers' end against a look at them
    std::optional<Metrics> last_metrics_;  ///< of a runtime that has closed
    TimePoint started_at_{};
    Atomic<bool> is_closed_{false};             ///< the owner sets it at the end, any thread asks [run.closed]
    Atomic<bool> has_pool_ended_{false};        ///< the pool's last thread sets it, loop 0's reads it [run.pool]
    bool is_draining_ = false;
    bool has_abandoned_ = false;
    Atomic<std::size_t> round_answers_{0};      ///< loops that have asked their tasks; loop 0 reads [run.round]
    Atomic<unsigned> next_keeper_{0};        ///< any thread; spreads submitted tasks, publishes nothing
    std::mutex failure_mutex_;
    std::exception_ptr failure_;
    std::mutex start_mutex_;
    std::condition_variable started_;
    std::size_t started_count_ = 0;
    std::exception_ptr start_error_;
    Timer grace_;  ///< of loop 0: when it is due, what has not ended is abandoned
    std::mutex halt_mutex_;
    std::condition_variable halted_;   ///< any of the following has changed, which the mutex guards
    std::size_t halted_count_ = 0;     ///< threads of loops that stand still
    unsigned halt_number_ = 0;         ///< changes when they may go on
    bool are_threads_ending_ = false;  ///< they may not
    Atomic<bool> is_halting_{false};   ///< loop 0 sets it, who waits for another loop's answer asks; publishes nothing
};

}  // namespace knit::detail
