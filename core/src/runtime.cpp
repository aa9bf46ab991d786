#include "knit/runtime.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>

#include <pthread.h>
#include <unistd.h>

#include "fork_child.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "runtime_core.hpp"
#include "signal_claims.hpp"

namespace knit {

Runtime::Runtime(RunOptions options) : core_(std::make_unique<detail::RuntimeCore>(options)) {
    core_->life()->set_face(*this);
    try {
        report_ = detail::make_start_up_report(options, core_->driver_report());
        if (core_->settings().report) {
            std::fputs(report_.to_text().c_str(), stderr);
        }
    } catch (...) {  // no memory
        core_->close();
        throw;
    }
}

Runtime::~Runtime() {
    try {
        close();
    } catch (...) {
        detail::log(LogLevel::error, "a Runtime could not be closed by its destructor");
        std::terminate();
    }
}

void Runtime::check_can_run(const char* nested_message) { core_->check_can_run(nested_message); }

void Runtime::run_until(detail::FutureCore& future) {
    core_->check_can_run("This event loop is already running");
    if (future.keeper().runtime_id() != core_->id()) {
        throw ValueError("The future belongs to a different loop than the one specified as the loop argument");
    }
    core_->run_loop_0(&future);
    if (!future.is_done()) {
        throw RuntimeError("Event loop stopped before Future completed.");
    }
}

void Runtime::run_forever() {
    core_->check_can_run("This event loop is already running");
    core_->run_loop_0(nullptr);
}

void Runtime::stop() noexcept { core_->stop_loop_0(); }

std::size_t Runtime::size() const noexcept { return core_->size(); }

Loop& Runtime::loop(std::size_t index) {
    if (index >= size()) {
        throw std::out_of_range("loop " + std::to_string(index) + " of a runtime of " + std::to_string(size()));
    }
    return core_->loop(index);
}

detail::Worker& Runtime::submit_keeper() { return core_->keeper_for_submit(); }

void Runtime::submit_task(detail::TaskCore& task) { core_->submit(task); }

void Runtime::close() { core_->close(); }

bool Runtime::is_closed() const noexcept { return core_->is_closed(); }

std::string Runtime::describe() const { return detail::describe(report_.settings); }

void Runtime::set_exception_handler(std::function<void(const ExceptionContext&)> handler) {
    for (std::size_t index = 0; index < size(); ++index) {
        core_->loop(index).set_exception_handler_threadsafe(handler);
    }
}

std::vector<TaskRef> Runtime::all_tasks() { return core_->all_tasks(); }

Metrics Runtime::metrics() { return core_->metrics(); }

Runtime& get_runtime() { return detail::running_worker().life().face(); }

namespace detail {

void check_not_running(const char* function) {
    check_not_fork_child();
    if (Worker::current() != nullptr) {
        throw RuntimeError(std::string(function) + " cannot be called from a running event loop");
    }
}

namespace {

/// What a signal handler may touch: one message for loop 0, posted by lock-free steps and one write(). There is one in
/// the process, for good: a handler may still run on another thread when the scope that installed it ends.
struct SignalMessage : Work {
    Atomic<bool> is_taken{false};       ///< a SignalScope sets and clears it: whose the rest is [signal.scope]
    Atomic<bool> is_posted{false};      ///< the handler sets it, loop 0 clears it [signal.posted]
    Atomic<int> signal{0};              ///< the handler writes, loop 0 reads [signal.posted]
    Atomic<Worker*> worker{nullptr};    ///< the scope writes, the handler reads; null: no scope [signal.scope]
    TaskRef main;                       // loop 0's thread
    bool is_interrupt_watched = false;  // SIGINT becomes KeyboardInterrupt; it is no mere shutdown signal
    bool was_interrupted = false;       // loop 0's thread
};

SignalMessage& signal_message() noexcept {
    static SignalMessage* const message = new SignalMessage;
    return *message;
}

void handle_signal(int signal) {
    const int saved_errno = errno;
    SignalMessage& message = signal_message();
    Worker* const worker = message.worker.load(std::memory_order_acquire);  // [signal.scope]
    if (worker == nullptr) {
        return;
    }
    if (is_fork_child()) {
        do_default_action(signal);
    } else if (message.signal.exchange(signal, std::memory_order_acq_rel) != 0) {  // [signal.posted]
        do_default_action(signal);  // the second one does what it does without knit
    } else if (!message.is_posted.exchange(true, std::memory_order_acq_rel)) {  // [signal.posted]
        if (!worker->post(message)) {
            message.is_posted.store(false, std::memory_order_release);  // [signal.posted]
        }
    }
    errno = saved_errno;
}

void run_signal_message(Worker&, Work& work) noexcept {
    auto& message = static_cast<SignalMessage&>(work);
    message.is_posted.store(false, std::memory_order_release);                           // [signal.posted]
    // A main that has ended already was not ended by the signal.
    const bool is_taken = message.main && message.main.cancel();
    const int signal = message.signal.load(std::memory_order_acquire);  // [signal.posted]
    message.was_interrupted = is_taken && message.is_interrupt_watched && signal == SIGINT;
}

}  // namespace

struct SignalScope::State {
    std::vector<int> claimed;
};

SignalScope::SignalScope(const RunOptions& options, TaskRef main) {
    std::vector<int> signals = options.shutdown_signals;
    bool is_interrupt_watched = false;
    const bool in_main_thread = getpid() == gettid();
    if (options.handle_sigint.value_or(in_main_thread) && std::ranges::find(signals, SIGINT) == signals.end() &&
        is_signal_default(SIGINT)) {
        signals.push_back(SIGINT);
        is_interrupt_watched = true;
    }
    SignalMessage& message = signal_message();
    if (signals.empty() || message.is_taken.exchange(true, std::memory_order_acq_rel)) {  // [signal.scope]
        return;  // nothing to watch, or another run() of this process watches
    }
    state_ = std::make_unique<State>();
    message.run = &run_signal_message;
    message.is_interrupt_watched = is_interrupt_watched;
    message.was_interrupted = false;
    message.signal.store(0, std::memory_order_release);  // [signal.posted]
    Worker& worker = static_cast<TaskCore&>(*main.ref()).loop_worker();
    message.main = std::move(main);
    message.worker.store(&worker, std::memory_order_release);  // [signal.scope]
    for (const int signal : signals) {
        if (claim_signal(signal, SignalRank::shutdown, &handle_signal)) {
            state_->claimed.push_back(signal);
        }
    }
}

SignalScope::~SignalScope() {
    if (state_ == nullptr) {
        return;
    }
    for (const int signal : state_->claimed) {
        release_signal(signal, SignalRank::shutdown);
    }
    SignalMessage& message = signal_message();
    message.worker.store(nullptr, std::memory_order_release);  // [signal.scope]
    message.main = TaskRef();
    message.is_taken.store(false, std::memory_order_release);  // [signal.scope]
}

void SignalScope::check_interrupted() {
    if (state_ != nullptr && signal_message().was_interrupted && signal_message().main.uncancel() == 0) {
        throw KeyboardInterrupt();
    }
}

}  // namespace detail
}  // namespace knit
