#include "runtime_life.hpp"

#include "knit/detail/worker.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

RuntimeLife::RuntimeLife(unsigned threads_max, std::vector<unsigned> cpus)
    : blocking_pool_(threads_max, std::move(cpus)) {
    stop_.run = [](Worker& worker, Work& work) noexcept {
        take_back(work);
        worker.stop();
    };
    drained_.run = [](Worker& worker, Work& work) noexcept {
        take_back(work);
        worker.runtime().go_on_draining();
    };
}

void RuntimeLife::stop_loop_0() noexcept {
    if (is_running() && Worker::current() == loop_0_) {
        loop_0_->stop();  // after the present turn: what that schedules waits for the next run
    } else {
        tell_loop_0(stop_);
    }
}

/// Ends: who comes in now sees that it comes too late, and the others wait for nobody.
void RuntimeLife::wait_for_submitters() const noexcept {
    for (unsigned round = 0; submitters_.load(std::memory_order_seq_cst) != 0; ++round) {  // [run.submit]
        wait_for_other_thread(round);
    }
}

void RuntimeLife::tell_loop_0(Message& message) noexcept {
    if (!message.is_posted.exchange(true, std::memory_order_acq_rel)) {  // [run.message]
        static_cast<void>(loop_0_->post(message));                       // false: it has closed, for good
    }
}

void RuntimeLife::take_back(Work& work) noexcept {
    static_cast<Message&>(work).is_posted.exchange(false, std::memory_order_acq_rel);  // [run.message]
}

}  // namespace knit::detail
