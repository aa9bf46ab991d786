/// The life of a runtime.
///
/// Start: 1. settings; 2. loop 0's driver, on the constructor's thread; 3. the other loops' threads, each of which
/// makes its own
///   driver; 4. the constructor waits until all have, and throws the first error after undoing the rest.
/// End (close; 1 to 3 and 5 are in draining.cpp):
///   1. is_closing: threads can submit no more.
///   2. every loop asks the tasks that it has to end, once, and never starts those that have not started; it goes on
///   turning,
///      loop 0 on the calling thread. What the cleanup of these creates runs; when all that were asked have ended and
///      some are left, they are asked in another round.
///   3. a loop that runs out of work, or has answered, says so to loop 0, which stops when the sum of all loops' tasks
///      is zero.
///   4. the blocking pool is joined; what its jobs settle still finds all loops open. (Where tasks were abandoned it is
///      the last to end: a job may wait for one.)
///   5. the loops halt. A callback may have made a task since the sum was taken: then they go on, and it is asked to
///      end as in 2. When the sum is zero while all stand still, nothing runs on them any more.
///   6. each closes its inbox and its driver on its own thread; the threads are joined.
///   7. loop 0 the same, on the calling thread. The Workers stay, closed, for handles that outlive the runtime.
///
///   [run.pool]     the pool's last thread, after the last job: release  ->  loop 0's: acquire
///   [run.closed]   close: release  ->  any thread: acquire     the loops have ended

#include "runtime_core.hpp"

#include <algorithm>
#include <cstddef>
#include <new>

#include "driver.hpp"
#include "fork_child.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "loop_box.hpp"
#include "metrics_server.hpp"
#include "platform.hpp"
#include "report.hpp"
#include "signals.hpp"
#include "watchdog.hpp"

namespace knit::detail {

namespace {

// For one disk and a slow one beside it.
constexpr unsigned kDriverThreadsMax = 8;

// How many closed loops stay readable for handles that outlived them.
constexpr std::size_t kClosedLoopsMax = 16384;

Atomic<std::uint64_t> g_next_runtime_id{1};  // any thread takes from it; publishes nothing

/// Closed loops, oldest first; leaked at exit on purpose, handles in static objects may still look at them.
struct ClosedLoops {
    std::mutex mutex;
    LoopBox* oldest = nullptr;
    LoopBox** end = &oldest;
    std::size_t count = 0;
};

ClosedLoops& closed_loops() {
    alignas(ClosedLoops) static std::byte memory[sizeof(ClosedLoops)];  // the end of a run has none to ask for
    static ClosedLoops* const all = new (memory) ClosedLoops;
    return *all;
}

void keep_closed(LoopBox* box) noexcept {
    ClosedLoops& closed = closed_loops();
    LoopBox* oldest = nullptr;
    {
        const std::lock_guard lock(closed.mutex);
        *closed.end = box;
        closed.end = &box->next_closed;
        if (++closed.count > kClosedLoopsMax) {
            --closed.count;
            oldest = closed.oldest;
            closed.oldest = oldest->next_closed;
        }
    }
    delete oldest;
}

}  // namespace

RuntimeCore::RuntimeCore(const RunOptions& options)
    : id_(g_next_runtime_id.fetch_add(1, std::memory_order_relaxed)),  // relaxed: a counter
      options_(options),
      settings_(resolve(options)),
      own_cpus_(settings_.cpus.empty() ? std::vector<unsigned>() : allowed_cpus()),
      life_(std::make_shared<RuntimeLife>(settings_.blocking_threads, own_cpus_)),
      driver_pool_(kDriverThreadsMax, own_cpus_, {"knit-files", "the runtime has ended"}),
      drivers_(settings_.loops) {
    check_not_fork_child();
    for (unsigned index = 0; index < settings_.loops; ++index) {
        boxes_.push_back(new LoopBox(index, *this));
        workers_.push_back(&boxes_.back()->worker);
        Loop& face = boxes_.back()->loop;
        face.slow_callback_duration =
            settings_.slow_task > Duration::zero() ? settings_.slow_task : Duration::max();
        face.exception_handler_ = options_.exception_handler;
    }
    life_->set_loop_0(worker(0));
    try {
        drivers_[0] = make_driver(worker(0), settings_);
        worker(0).set_driver(drivers_[0].get());
        started_at_ = worker(0).now();
        watchdog_ = std::make_unique<Watchdog>(*this);
        start_threads();
        if (!drivers_[0]->is_simulation()) {
            watchdog_->start();
            metrics_server_ = std::make_unique<MetricsServer>(*this);
            metrics_server_->start();
        }
        guard_fork(*this);
    } catch (...) {
        if (watchdog_ != nullptr) {
            watchdog_->stop();
        }
        metrics_server_.reset();
        stop_threads();
        close_loop_0();
        throw;
    }
}

DriverReport RuntimeCore::driver_report() const { return drivers_[0]->report(); }

RuntimeCore::~RuntimeCore() { KNIT_ASSERT(is_closed()); }

void RuntimeCore::start_threads() {
    if (drivers_[0]->is_simulation()) {
        life_->set_simulated();
        for (std::size_t index = 1; index < size(); ++index) {
            drivers_[index] = make_driver(worker(index), settings_);
            worker(index).set_driver(drivers_[index].get());
        }
        return;
    }
    for (std::size_t index = 1; index < size(); ++index) {
        threads_.emplace_back([this, index] { run_thread(index); });
    }
    std::unique_lock lock(start_mutex_);
    started_.wait(lock, [&] { return started_count_ + 1 == size(); });
    if (start_error_ != nullptr) {
        std::rethrow_exception(start_error_);
    }
}

void RuntimeCore::run_thread(std::size_t index) {
    Worker& self = worker(index);
    name_thread(("knit-loop-" + std::to_string(index)).c_str());
    if (!settings_.cpus.empty()) {
        warn_unless_pinned(pin_thread({settings_.cpus[index % settings_.cpus.size()]}), index);
    }
    std::exception_ptr error;
    try {
        drivers_[index] = make_driver(self, settings_);
        self.set_driver(drivers_[index].get());
    } catch (...) {
        error = std::current_exception();
    }
    {
        const std::lock_guard lock(start_mutex_);
        start_error_ = start_error_ != nullptr ? start_error_ : error;
        ++started_count_;
    }
    started_.notify_all();
    if (error != nullptr) {
        return;
    }
    self.attach();
    do {
        self.run_until_stopped();
    } while (goes_on_after_halt());
    self.detach();
    close_loop(self);
}

bool RuntimeCore::is_simulated_here() const noexcept {
    const Worker* const here = Worker::current();
    return here != nullptr && here->runtime_id() == id_ && drivers_[0]->is_simulation();
}

void RuntimeCore::close() {
    if (is_closed()) {
        return;
    }
    if (Worker::current() != nullptr && Worker::current()->runtime_id() == id_) {
        throw RuntimeError("Cannot close a running event loop");
    }
    if (!life_->is_owner_here()) {
        throw RuntimeError("a Runtime is closed on the thread that made it: its loop 0 owns a ring of that thread");
    }
    check_not_fork_child();
    cancel_everything();
    if (!has_abandoned_) {
        join_blocking_pool();
    }
    if (!has_abandoned_) {
        halt_without_tasks();
    }
    if (!has_abandoned_) {
        driver_pool_.shutdown();
    }
    metrics_server_.reset();
    watchdog_->stop();
    stop_threads();
    life_->wait_for_submitters();
    unguard_fork(*this);  // before the drivers go, which a fork on another thread would look at
    close_loop_0();
    end_thread_waits(id_);
    // What was abandoned: a job may wait for it, and hears only now that this is in vain.
    blocking_pool().shutdown();
    driver_pool_.shutdown();
}

/// A job may still ask something of loop 0 and wait for it, so that runs until the last job has ended.
void RuntimeCore::join_blocking_pool() {
    worker(0).end_draining();
    const bool has_threads = blocking_pool().refuse([this] {
        has_pool_ended_.store(true, std::memory_order_release);  // [run.pool]
        stop_loop_0();
    });
    while (has_threads && !has_pool_ended_.load(std::memory_order_acquire)) {  // [run.pool]
        run_loop_0_to_the_end();
    }
    blocking_pool().shutdown();  // joins the thread that has said so: what it touches is still there
    if (has_threads) {
        cancel_everything();
    }
}

/// run_loop_0() where nobody is left to take what it throws.
void RuntimeCore::run_loop_0_to_the_end() noexcept {
    try {
        run_loop_0(nullptr);
    } catch (...) {
        log_or_lose(LogLevel::error, [error = std::current_exception()] {
            return "an exception during the end of run() is lost: " + describe(error);
        });
    }
}

void RuntimeCore::stop_threads() noexcept {
    {
        const std::lock_guard lock(halt_mutex_);
        are_threads_ending_ = true;
    }
    halted_.notify_all();
    tell_loops(&LoopBox::stop, [](Worker& self, Work&) noexcept { self.stop(); });
    for (std::thread& thread : threads_) {
        thread.join();
    }
    threads_.clear();
}

/// On the loop's own thread, its last act.
void RuntimeCore::close_loop(Worker& self) noexcept {
    self.attach();
    leave_signals(self);
    self.close();
    if (drivers_[self.id()] != nullptr && !has_abandoned_) {
        drivers_[self.id()]->close();
    }
    self.detach();
}

void RuntimeCore::close_loop_0() noexcept {
    if (drivers_[0] != nullptr && drivers_[0]->is_simulation()) {
        for (std::size_t index = 1; index < size(); ++index) {
            close_loop(worker(index));
        }
    }
    close_loop(worker(0));
    keep_last_metrics();
    end_drivers();
    is_closed_.store(true, std::memory_order_release);  // [run.closed]
    for (LoopBox* box : boxes_) {
        box->loop.is_closed_.store(true, std::memory_order_release);  // [loop.closed]
        keep_closed(box);
    }
}

/// While nobody looks at them: where the last metrics could not be kept, a later look finds what the loops have.
void RuntimeCore::end_drivers() noexcept {
    const std::lock_guard lock(metrics_mutex_);
    for (std::size_t index = 0; index < size(); ++index) {
        worker(index).set_driver(nullptr);
        if (has_abandoned_) {
            boxes_[index]->abandoned_driver = drivers_[index].release();
        }
    }
    drivers_.clear();
}

}  // namespace knit::detail
