#include "driver.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>

#include "knit/detail/worker.hpp"
#include "knit/io/detail/op.hpp"
#include "knit/log.hpp"
#include "knit/options.hpp"
#include "uring_driver.hpp"

namespace knit::detail {

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings& settings) {
    auto driver = std::make_unique<UringDriver>(settings.ring_entries);
    if (settings.report && worker.id() == 0) {
        log(LogLevel::info, "knit: io_uring: " + driver->description());
    }
    return driver;
}

UringDriver::UringDriver(unsigned entries) : ring_(entries), bell_(eventfd(0, EFD_CLOEXEC)) {
    if (!bell_) {
        throw std::system_error(errno, std::generic_category(), "knit cannot make the eventfd that wakes a loop");
    }
    flags_ = ring_.flags_word();
    flags_mask_ = Ring::kWantsEnter;
    tail_ = ring_.completion_tail();
    collected_ = *ring_.completion_tail();
}

UringDriver::~UringDriver() {
    if (!is_closed_) {
        close();
    }
    if (buffers_ != nullptr) {
        BufferPool::close(buffers_);
    }
}

BufferPool* buffers_of(Worker& worker) noexcept {
    return static_cast<UringDriver&>(worker.driver()).buffers_nowait();
}

TimePoint UringDriver::now() noexcept { return std::chrono::steady_clock::now(); }

void UringDriver::poll() noexcept {
    if (queued_ != 0 || (__atomic_load_n(flags_, __ATOMIC_RELAXED) & flags_mask_) != 0) {
        // Busy: what could not be submitted stays queued, wants_poll() stays true, and the next turn tries again.
        static_cast<void>(ring_.enter_nowait());
        queued_ = ring_.queued();
    }
    collect();
}

void UringDriver::park(TimePoint deadline) noexcept {
    arm_doorbell();
    const TimePoint start = deadline == kNever ? TimePoint::min() : now();
    // A wait of no time costs the kernel far more than no wait.
    if (deadline <= start || __atomic_load_n(tail_, __ATOMIC_RELAXED) != collected_) {
        poll();
        return;
    }
    const Ring::Entered entered = ring_.enter_wait(deadline == kNever ? Duration::max() : deadline - start);
    queued_ = ring_.queued();
    if (collect() == 0 && entered == Ring::Entered::busy) {
        back_off();
    }
}

void UringDriver::wake() noexcept {
    if (rung_.exchange(true, std::memory_order_acq_rel)) {  // [bell.rung]
        return;
    }
    const std::uint64_t one = 1;
    // EINTR cannot be: the write does not block. EAGAIN neither: the count goes up by one for each time that it is
    // heard.
    const ssize_t written = ::write(bell_.get(), &one, sizeof one);
    KNIT_ASSERT(written == sizeof one);
    written_.fetch_add(1, std::memory_order_release);  // [bell.done] the waker's last touch
}

void UringDriver::close() noexcept {
    KNIT_ASSERT(in_flight_ == 0);
    // Rung and heard once more even if the doorbell is not armed: a waker that has set the flag but not written yet
    // would otherwise write to a descriptor that is somebody else's by then.
    arm_doorbell();
    wake();
    while (is_armed_) {  // ends: the bell has been rung, and its read completes
        park(kNever);
    }
    // Ends: whoever rang is between its write and its next instruction.
    while (written_.load(std::memory_order_acquire) < heard_) {  // [bell.done]
        cpu_relax();
    }
    is_closed_ = true;
}

io_uring_sqe& UringDriver::next_sqe() noexcept {
    ++queued_;
    io_uring_sqe* sqe = ring_.sqe_nowait();
    // Ends: an enter takes at least one request unless the kernel is busy, and it is busy only until it gets memory or
    // we have collected; all that this needs is done here, without running any task.
    while (sqe == nullptr) [[unlikely]] {
        if (ring_.enter_nowait() == Ring::Entered::busy && collect() == 0) {
            back_off();
        }
        sqe = ring_.sqe_nowait();
        queued_ = ring_.queued();
    }
    return *sqe;
}

void UringDriver::submit(Op& op) noexcept {
    io_uring_sqe& sqe = next_sqe();
    op.prepare(sqe);
    sqe.user_data = reinterpret_cast<std::uintptr_t>(&op);
    ++in_flight_;
}

void UringDriver::cancel(Op& op) noexcept {
    io_uring_sqe& sqe = next_sqe();
    io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uintptr_t>(&op), 0);
    // Whether it was found is of no interest: the operation's own completion tells.
    sqe.user_data = kIgnored;
}

unsigned UringDriver::collect() noexcept {
    const unsigned count = ring_.reap([this](std::uint64_t data, int result, unsigned flags) {
        if (data > kDoorbell) [[likely]] {
            in_flight_ -= (flags & IORING_CQE_F_MORE) == 0 ? 1U : 0U;
            reinterpret_cast<Op*>(static_cast<std::uintptr_t>(data))->complete(result, flags);
        } else if (data == kDoorbell) {
            hear_doorbell(result);
        }
    });
    collected_ += count;
    return count;
}

// Armed by the loop that is about to sleep, and not when it is heard: an awake loop needs none.
void UringDriver::arm_doorbell() noexcept {
    if (is_armed_) {
        return;
    }
    io_uring_sqe& sqe = next_sqe();
    io_uring_prep_read(&sqe, bell_.get(), &bell_count_, sizeof bell_count_, 0);
    sqe.user_data = kDoorbell;
    is_armed_ = true;
}

void UringDriver::hear_doorbell(int result) noexcept {
    is_armed_ = false;
    switch (result) {
        case sizeof bell_count_:
            heard_ += bell_count_;  // the kernel adds up what was written since the last read
            rung_.exchange(false, std::memory_order_acq_rel);  // [bell.rung]
            break;
        case -EINTR:
        case -EAGAIN:
        case -ECANCELED:  // an old kernel's way when a request's thread had a signal: armed anew at the next park
            break;
        default: die("io_uring: reading the eventfd that wakes the loop", -result);
    }
}

void UringDriver::back_off() noexcept {
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
}

}  // namespace knit::detail
