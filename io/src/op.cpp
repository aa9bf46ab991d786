#include "knit/io/detail/op.hpp"

#include <system_error>
#include <utility>

#include "knit/detail/worker.hpp"
#include "io_driver.hpp"
#include "ring.hpp"

namespace knit::detail {

void Op::start(std::coroutine_handle<> leaf, TaskCore& task) {
    KNIT_ASSERT(stage_ == Stage::fresh);
    descriptor_->link(*this, *task.home());
    is_linked_ = true;
    task_ = &task;
    // Suspended first: a cancellation that is due calls cancel_wait now, and then nothing is submitted. So a task that
    // never waits, because its operations complete at once, is still cancelled.
    task.suspend(leaf, this);
    if (stage_ == Stage::fresh) {
        submit();
    }
}

void Op::submit() noexcept {
    stage_ = Stage::in_flight;
    is_absorbed_ = false;
    IoDriver& driver = this->driver();
    driver.count_submitted();
    driver.submit(*this);
}

void Op::complete(int result, std::uint32_t flags) noexcept {
    KNIT_ASSERT(stage_ == Stage::in_flight);
    if ((flags & IORING_CQE_F_MORE) == 0) {
        driver().count_ended();
    }
    if (!is_absorbed_) {
        is_absorbed_ = true;
        completion_flags_ = flags;
        is_whole_ = absorb(result);
    }
    if ((flags & IORING_CQE_F_MORE) != 0) {
        if (is_closed_ || (is_cancelled_ && task_->is_asked_to_end())) {
            descriptor_->break_connection();  // the close, or the end of the run, came before this first completion
        }
        return;
    }
    if (!is_whole_ && is_stopping()) {
        is_whole_ = absorb(-ECANCELED);
        KNIT_ASSERT(is_whole_);
    }
    if (is_whole_) {
        settle();
    } else {
        // Not from here: this runs inside the collection of completions, and a new request may have to enter the ring.
        stage_ = Stage::again;
        task_->home()->make_ready(*this);
    }
}

void Op::run_again(Worker&, Work& work) noexcept {
    Op& op = static_cast<Op&>(static_cast<OpNode&>(work));
    if (op.is_cancel_out_) {
        op.is_cancel_out_ = false;
        if (op.stage_ == Stage::ended) {
            op.settle();
        } else if (!op.is_absorbed_) {
            op.driver().cancel(op);
        }
        return;
    }
    KNIT_ASSERT(op.stage_ == Stage::again);
    if (!op.is_stopping()) {
        op.submit();
        return;
    }
    const bool is_whole = op.absorb(-ECANCELED);
    KNIT_ASSERT(is_whole);
    op.settle();
}

void Op::cancel_answered(int result) noexcept {
    KNIT_ASSERT(is_cancel_out_);
    if (stage_ == Stage::in_flight && !is_absorbed_ && result == -ENOENT) {
        task_->home()->make_ready(*this);  // the kernel was between two attempts at it: once more
        return;
    }
    is_cancel_out_ = false;
    if (stage_ == Stage::ended) {
        settle();
    }
}

void Op::settle() noexcept {
    if (is_cancel_out_) {
        stage_ = Stage::ended;
        return;
    }
    stage_ = Stage::done;
    task_->wake();
}

bool Op::cancel_wait(Wait& wait) noexcept {
    Op& op = static_cast<Op&>(wait);
    switch (op.stage_) {
        case Stage::ended:
        case Stage::done: return false;
        case Stage::fresh: {
            op.is_cancelled_ = true;
            const bool is_whole = op.absorb(-ECANCELED);
            KNIT_ASSERT(is_whole);
            op.settle();
            return true;
        }
        case Stage::again: op.is_cancelled_ = true; return true;
        case Stage::in_flight:
            if (op.is_absorbed_ && op.task_->is_asked_to_end()) {
                op.descriptor_->break_connection();  // else the peer would decide when the program ends
            }
            if (!std::exchange(op.is_cancelled_, true) && !op.is_closed_ && !op.is_absorbed_) {
                op.driver().cancel(op);
            }
            return true;
    }
    return false;
}

void Op::stop_for_close() noexcept {
    if (std::exchange(is_closed_, true) || stage_ != Stage::in_flight) {
        return;
    }
    if (is_absorbed_) {
        // Nothing is left to cancel. What the kernel still reads from, it would give back only when the peer has it.
        descriptor_->break_connection();
    } else if (!is_cancelled_) {
        driver().cancel(*this);
    }
}

int Op::take_result_slow(const char* operation) {
    if (task_ == nullptr) {  // never started: nothing to wait for, or nothing to work on
        if (result_ < 0) {
            throw std::system_error(-result_, std::generic_category(), std::string(operation) + ": it is closed");
        }
        return result_;
    }
    task_->resumed_keep_cancel();
    if (is_closed_ && result_ == -EINTR) {
        result_ = -ECANCELED;
    }
    if (is_cancelled_ && (result_ == -ECANCELED || result_ == -EINTR)) {
        leave();
        task_->forget_due_cancel();
        task_->throw_cancelled();
    }
    if (is_cancelled_) {
        task_->request_cancel_again();
    }
    if (result_ < 0) {
        std::string text = std::string(operation) + " " + descriptor_->describe();
        if (is_closed_) {
            text += ": closed by another task";
        }
        leave();
        throw std::system_error(-result_, std::generic_category(), text);
    }
    leave();
    return result_;
}

IoDriver& Op::driver() const noexcept { return static_cast<IoDriver&>(task_->home()->driver()); }

}  // namespace knit::detail
