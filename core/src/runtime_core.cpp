/// The life of a runtime.
///
/// Start: 1. settings; 2. loop 0's driver, on the constructor's thread; 3. the other loops' threads, each of which makes its own
///   driver; 4. the constructor waits until all have, and throws the first error after undoing the rest.
/// End (cancel_everything, close):
///   1. is_closing: from now on a task that has not started never does, and a new one is cancelled. [run.closing]
///   2. every loop asks its tasks to end; each goes on turning, loop 0 on the calling thread.
///   3. a loop that runs out of work says so to loop 0, which stops when the sum of all loops' tasks is zero.
///   4. the blocking pool is joined; what its jobs settle still finds all loops open.
///   5. the loops stop; each closes its inbox and its driver on its own thread; the threads are joined.
///   6. loop 0 the same, on the calling thread. The Workers stay, closed, for handles that outlive the runtime.
///
///   [run.closing]  cancel_everything: release  ->  loops: acquire

#include "runtime_core.hpp"

#include <algorithm>

#include "driver.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "platform.hpp"
#include "report.hpp"

namespace knit::detail {
namespace {

// How many closed loops stay readable for handles that outlived them.
constexpr std::size_t kClosedLoopsMax = 1024;

/// Closed loops, oldest first; leaked at exit on purpose, handles in static objects may still look at them.
void keep_closed(LoopBox* box) {
    static std::mutex* const mutex = new std::mutex;
    static std::deque<LoopBox*>* const closed = new std::deque<LoopBox*>;
    LoopBox* oldest = nullptr;
    {
        const std::lock_guard lock(*mutex);
        closed->push_back(box);
        if (closed->size() > kClosedLoopsMax) {
            oldest = closed->front();
            closed->pop_front();
        }
    }
    delete oldest;
}

void warn_unless(bool is_pinned, std::size_t index) {
    if (!is_pinned) {
        log(LogLevel::warning, "loop " + std::to_string(index) + " could not be pinned to its CPU");
    }
}

}  // namespace

RuntimeCore::RuntimeCore(const RunOptions& options)
    : options_(options),
      settings_(resolve(options)),
      blocking_pool_(settings_.blocking_threads),
      owner_(std::this_thread::get_id()) {
    stop_message_.runtime = this;
    stop_message_.run = [](Worker& worker, Work& work) noexcept {
        static_cast<StopMessage&>(work).is_posted.store(false, std::memory_order_release);  // [run.message]
        worker.stop();
    };
    drained_message_.runtime = this;
    drained_message_.run = [](Worker& worker, Work& work) noexcept {
        auto& self = static_cast<StopMessage&>(work);
        self.is_posted.store(false, std::memory_order_release);  // [run.message]
        if (self.runtime->is_draining_ && self.runtime->live_tasks() == 0) {
            worker.stop();
        }
    };
    for (unsigned index = 0; index < settings_.loops; ++index) {
        boxes_.push_back(new LoopBox(index, *this));
        boxes_.back()->loop.set_debug(settings_.debug);
        boxes_.back()->loop.slow_callback_duration = settings_.slow_task;
        boxes_.back()->loop.exception_handler_ = options_.exception_handler;
    }
    try {
        driver_0_ = make_driver(worker(0), settings_);
        worker(0).set_driver(driver_0_.get());
        start_threads();
    } catch (...) {
        stop_threads();
        close_loop_0();
        throw;
    }
}

RuntimeCore::~RuntimeCore() { KNIT_ASSERT(is_closed_); }

void RuntimeCore::start_threads() {
    if (driver_0_->is_simulation()) {
        for (std::size_t index = 1; index < size(); ++index) {
            simulated_drivers_.push_back(make_driver(worker(index), settings_));
            worker(index).set_driver(simulated_drivers_.back().get());
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
        warn_unless(pin_thread(settings_.cpus[index % settings_.cpus.size()]), index);
    }
    std::unique_ptr<Driver> driver;
    std::exception_ptr error;
    try {
        driver = make_driver(self, settings_);
        self.set_driver(driver.get());
    } catch (...) {
        error = std::current_exception();
    }
    {
        const std::lock_guard lock(start_mutex_);
        start_error_ = start_error_ != nullptr ? start_error_ : error;
        ++started_count_;
    }
    started_.notify_all();
    if (driver == nullptr) {
        return;
    }
    self.attach();
    self.run_until_stopped();
    self.close();
    driver->close();
    self.detach();
    self.set_driver(nullptr);
}

bool RuntimeCore::is_owned_here(const Worker& worker) const noexcept {
    return Worker::current() == &worker ||
           (worker.id() == 0 && std::this_thread::get_id() == owner_ && !is_running() && Worker::current() == nullptr);
}

namespace {

/// Stops the loop one turn after a future is settled, as asyncio's run_until_complete() does.
struct StopWaiter : Waiter, Work {
    StopWaiter() noexcept : Waiter(&StopWaiter::settled) {
        run = [](Worker& worker, Work& work) noexcept {
            static_cast<StopWaiter&>(work).has_run = true;
            worker.stop();
        };
    }
    static void settled(Waiter& waiter, FutureCore&) noexcept {
        auto& self = static_cast<StopWaiter&>(waiter);
        self.is_queued = true;
        self.loop->make_ready(self);
    }
    Worker* loop = nullptr;
    bool is_queued = false;
    bool has_run = false;
};

}  // namespace

void RuntimeCore::check_can_run(const char* nested_message) const {
    if (is_closed_) {
        throw RuntimeError("Event loop is closed");
    }
    if (Worker* const current = Worker::current()) {
        throw RuntimeError(&current->runtime() == this ? nested_message
                                                       : "Cannot run the event loop while another loop is running");
    }
    if (std::this_thread::get_id() != owner_) {
        throw RuntimeError("a Runtime runs on the thread that made it: its loop 0 owns a ring of that thread");
    }
}

void RuntimeCore::run_loop_0(FutureCore* until) {
    Worker& self = worker(0);
    StopWaiter waiter;
    waiter.loop = &self;
    self.attach();
    is_running_.store(true, std::memory_order_relaxed);  // relaxed: a flag alone
    if (!settings_.cpus.empty() && !is_pinned_) {
        is_pinned_ = true;
        warn_unless(pin_thread(settings_.cpus[0]), 0);
    }
    if (until != nullptr) {
        if (until->is_done()) {
            StopWaiter::settled(waiter, *until);
        } else {
            until->subscribe(waiter, self);
        }
    }
    if (driver_0_->is_simulation()) {
        driver_0_->simulate(*this);
    } else {
        self.run_until_stopped();
    }
    if (until != nullptr) {
        until->unsubscribe(waiter);
    }
    while (waiter.is_queued && !waiter.has_run) {
        self.turn();  // stopped by somebody else in between: the node must not stay in the queue
    }
    is_running_.store(false, std::memory_order_relaxed);  // relaxed: a flag alone
    self.detach();
    rethrow_failure();
}

void RuntimeCore::stop_loop_0() noexcept {
    if (!stop_message_.is_posted.exchange(true, std::memory_order_acq_rel) &&  // [run.message]
        !worker(0).post(stop_message_)) {
        stop_message_.is_posted.store(false, std::memory_order_release);  // [run.message]
    }
}

void RuntimeCore::fail(std::exception_ptr error) noexcept {
    {
        const std::lock_guard lock(failure_mutex_);
        if (failure_ == nullptr) {
            failure_ = std::move(error);
        }
    }
    stop_loop_0();
}

void RuntimeCore::rethrow_failure() {
    std::exception_ptr failure;
    {
        const std::lock_guard lock(failure_mutex_);
        std::swap(failure, failure_);
    }
    if (failure != nullptr) {
        std::rethrow_exception(failure);
    }
}

void RuntimeCore::report_drained() noexcept {
    // Any loop may bring the news; loop 0 alone decides, having been told.
    if (!drained_message_.is_posted.exchange(true, std::memory_order_acq_rel) &&  // [run.message]
        !worker(0).post(drained_message_)) {
        drained_message_.is_posted.store(false, std::memory_order_release);  // [run.message]
    }
}

/// Tasks that are made and not ended. Ended ones are summed first: should the sums be equal, then all that had been made by
/// then had ended, and only a task makes tasks.
std::uint64_t RuntimeCore::live_tasks() noexcept {
    std::uint64_t ended = 0;
    for (const LoopBox* box : boxes_) {
        ended += box->worker.ended();
    }
    std::uint64_t made = foreign_made_.load(std::memory_order_acquire);  // [worker.count]
    for (const LoopBox* box : boxes_) {
        made += box->worker.made();
    }
    return made - ended;
}

void RuntimeCore::submit(TaskCore& task) {
    count_foreign_made();
    task.mark_spawned();
    try {
        injector_.push(task.work());
    } catch (...) {
        count_foreign_lost();
        task.drop_ref();
        throw;
    }
    full_fence();  // [idle.word]
    if (Idle::needs_wake(idle_.load())) {
        wake_one();
    }
}

Worker& RuntimeCore::keeper_for_submit() {
    if (is_closed_ || is_closing()) {
        throw RuntimeError("Event loop is closed");
    }
    if (size() == 1) {
        return worker(0);
    }
    const unsigned turn = next_keeper_.fetch_add(1, std::memory_order_relaxed);  // relaxed: spreads, no more
    return worker(1 + turn % (size() - 1));
}

std::vector<TaskRef> RuntimeCore::all_tasks() {
    struct Request : Work {
        std::vector<TaskRef>* tasks = nullptr;
        Atomic<std::size_t>* answered = nullptr;
    };
    const Work::Run answer = [](Worker& worker, Work& work) noexcept {
        auto& request = static_cast<Request&>(work);
        *request.tasks = tasks_of(worker);
        request.answered->fetch_add(1, std::memory_order_release);  // [run.snapshot]
    };
    Worker* const here = Worker::current();
    Atomic<std::size_t> answered{0};  // every asked loop adds one, this thread waits for all [run.snapshot]
    std::vector<std::vector<TaskRef>> answers(size());
    std::vector<Request> requests(size());
    std::size_t asked = 0;
    for (std::size_t index = 0; index < size(); ++index) {
        requests[index].run = answer;
        requests[index].tasks = &answers[index];
        requests[index].answered = &answered;
        if (is_owned_here(worker(index))) {
            answers[index] = tasks_of(worker(index));
        } else if (worker(index).loop().is_running() && worker(index).post(requests[index])) {
            ++asked;
        }
    }
    while (answered.load(std::memory_order_acquire) != asked) {  // [run.snapshot]
        if (here != nullptr) {
            here->answer_messages(answer);  // others may be waiting for this loop meanwhile
        }
        std::this_thread::yield();
    }
    std::vector<TaskRef> tasks;
    for (std::vector<TaskRef>& part : answers) {
        std::ranges::move(part, std::back_inserter(tasks));
    }
    std::ranges::sort(tasks, {}, &TaskRef::id);
    return tasks;
}

void RuntimeCore::tell_loops(Work::Run what) {
    struct Message : Work {};
    for (std::size_t index = 1; index < boxes_.size(); ++index) {
        auto* const message = new Message;
        message->run = what;
        if (!worker(index).post(*message)) {
            delete message;
        }
    }
}

void RuntimeCore::cancel_everything() {
    is_closing_.store(true, std::memory_order_release);  // [run.closing]
    is_draining_ = true;
    worker(0).begin_draining();
    tell_loops([](Worker& worker, Work& work) noexcept {
        worker.begin_draining();
        delete &work;
    });
    std::optional<Handle> limit;
    if (options_.grace) {
        limit = loop(0).call_later(*options_.grace, [this] {
            has_abandoned_ = true;
            stop_loop_0();
        });
    }
    while (live_tasks() != 0 && !has_abandoned_) {
        try {
            run_loop_0(nullptr);
        } catch (...) {
            log(LogLevel::error, "an exception during the end of run() is lost: " + describe(std::current_exception()));
        }
    }
    if (limit) {
        limit->cancel();
    }
    if (has_abandoned_) {
        log(LogLevel::error, std::to_string(live_tasks()) + " tasks did not end within the grace period and are abandoned");
    }
    is_draining_ = false;
}

void RuntimeCore::close() {
    if (is_closed_) {
        return;
    }
    if (Worker::current() != nullptr && &Worker::current()->runtime() == this) {
        throw RuntimeError("Cannot close a running event loop");
    }
    check_can_run("Cannot close a running event loop");
    cancel_everything();
    blocking_pool_.shutdown();
    stop_threads();
    close_loop_0();
}

void RuntimeCore::stop_threads() noexcept {
    tell_loops([](Worker& worker, Work& work) noexcept {
        worker.stop();
        delete &work;
    });
    for (std::thread& thread : threads_) {
        thread.join();
    }
    threads_.clear();
    for (std::size_t index = 1; index <= simulated_drivers_.size(); ++index) {
        Worker& self = worker(index);
        self.attach();
        self.close();
        simulated_drivers_[index - 1]->close();
        self.detach();
        self.set_driver(nullptr);
    }
    simulated_drivers_.clear();
}

void RuntimeCore::close_loop_0() noexcept {
    Worker& self = worker(0);
    self.attach();
    self.close();
    if (driver_0_ != nullptr) {
        driver_0_->close();
    }
    self.detach();
    self.set_driver(nullptr);
    driver_0_.reset();
    is_closed_ = true;
    for (LoopBox* box : boxes_) {
        box->loop.is_closed_.store(true, std::memory_order_release);  // [loop.closed]
        keep_closed(box);
    }
}

}  // namespace knit::detail
