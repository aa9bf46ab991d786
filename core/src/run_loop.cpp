/// Loop 0, on the thread of whoever runs it: run_until_complete(), run_forever(), and the end of the run.

#include <thread>

#include "driver.hpp"
#include "fork_child.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

void warn_unless_pinned(bool is_pinned, std::size_t index) {
    if (!is_pinned) {
        log(LogLevel::warning, "loop " + std::to_string(index) + " could not be pinned to its CPU");
    }
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
    check_not_fork_child();
    if (is_closed()) {
        throw RuntimeError("Event loop is closed");
    }
    if (Worker* const current = Worker::current()) {
        throw RuntimeError(current->runtime_id() == id_ ? nested_message
                                                       : "Cannot run the event loop while another loop is running");
    }
    if (!life_->is_owner_here()) {
        throw RuntimeError("a Runtime runs on the thread that made it: its loop 0 owns a ring of that thread");
    }
}

void RuntimeCore::run_loop_0(FutureCore* until) {
    Worker& self = worker(0);
    StopWaiter waiter;
    waiter.loop = &self;
    if (!settings_.cpus.empty()) {
        warn_unless_pinned(pin_thread({settings_.cpus[0]}), 0);
    }
    self.attach();
    life_->set_running(true);
    if (until != nullptr) {
        if (until->is_done()) {
            StopWaiter::settled(waiter, *until);
        } else {
            until->subscribe(waiter, self);
        }
    }
    if (drivers_[0]->is_simulation()) {
        drivers_[0]->simulate(*this);
    } else {
        self.run_until_stopped();
    }
    if (until != nullptr) {
        until->unsubscribe(waiter);
    }
    // Stopped by somebody else in between: the node must not stay in the queue. What had arrived before the loop was
    // stopped runs, as in asyncio.
    while ((waiter.is_queued && !waiter.has_run) || self.keeps_messages()) {
        self.turn();
    }
    life_->set_running(false);
    self.detach();
    if (!settings_.cpus.empty()) {
        static_cast<void>(pin_thread(own_cpus_));  // the thread is the caller's again
    }
    rethrow_failure();
}

}  // namespace knit::detail
