#include "uring_driver.hpp"

#include <cerrno>
#include <chrono>
#include <ctime>

#include "die.hpp"
#include "epoll_driver.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {
namespace {

// So often a busy kernel is asked again at once, by a loop that may have other work.
constexpr unsigned kBusyPolls = 4;

}  // namespace

UringDriver::UringDriver(unsigned entries) : IoDriver(Kind::uring, &ring_), ring_(entries) {
    flags_ = ring_.flags_word();
    flags_mask_ = Ring::kWantsEnter;
    tail_ = ring_.completion_tail();
    collected_ = *ring_.completion_tail();
}

UringDriver::~UringDriver() {
    if (!is_closed_) {
        close();
    }
}

DriverReport UringDriver::report() const {
    DriverReport report;
    report.name = "io_uring";
    report.reason = "the kernel grants it";
    report.entries = ring_.entries();
    report.flags_granted = ring_.flags_granted();
    report.flags_stripped = ring_.flags_stripped();
    return report;
}

void UringDriver::poll() noexcept {
    check_not_parents();
    if (queued_ != 0 || (__atomic_load_n(flags_, __ATOMIC_RELAXED) & flags_mask_) != 0) {
        // Busy: what could not be submitted stays queued, wants_poll() stays true, and the next turn tries again.
        count_enter(ring_.has_overflown());
        const bool is_busy = ring_.enter_nowait() == Ring::Entered::busy;
        queued_ = ring_.queued();
        if (is_busy) [[unlikely]] {
            // Every few times with a pause: a loop that wants to poll does not park, however little else it has to do.
            if (collect() == 0 && ++busy_polls_ % kBusyPolls == 0) {
                back_off();
            }
            return;
        }
    }
    collect();
}

void UringDriver::park(TimePoint deadline) noexcept {
    check_not_parents();
    arm_doorbell();
    const TimePoint start = deadline == kNever ? TimePoint::min() : now();
    // A wait of no time costs the kernel far more than no wait.
    if (deadline <= start || __atomic_load_n(tail_, __ATOMIC_RELAXED) != collected_) {
        poll();
        return;
    }
    count_enter(ring_.has_overflown());
    const Ring::Entered entered = ring_.enter_wait(deadline == kNever ? Duration::max() : deadline - start);
    queued_ = ring_.queued();
    if (collect() == 0 && entered == Ring::Entered::busy) {
        back_off();
    }
}

void UringDriver::close() noexcept {
    KNIT_ASSERT(in_flight_ == 0);
    // Rung and heard once more even if the doorbell is not armed: a waker that has set the flag but not written yet
    // would otherwise write to a descriptor that is somebody else's by then.
    const std::uint64_t heard = bell_.heard();
    wake();
    while (bell_.heard() == heard) {  // ends: the bell has been rung, and a read of it that fails is begun again
        park(kNever);
    }
    bell_.wait_for_ringers();
    ring_.give_up_index();
    is_closed_ = true;
}

// Here, where the ring's way is inlined.
void IoDriver::submit(Op& op) noexcept {
    if (kind_ == Kind::uring) [[likely]] {
        static_cast<UringDriver*>(this)->begin(op);
    } else {
        check_not_parents();
        static_cast<EpollDriver*>(this)->begin(op);
    }
}

void IoDriver::cancel(Op& op) noexcept {
    if (kind_ == Kind::uring) [[likely]] {
        static_cast<UringDriver*>(this)->end(op);
    } else {
        check_not_parents();
        static_cast<EpollDriver*>(this)->end(op);
    }
}

io_uring_sqe& UringDriver::next_sqe() noexcept {
    ++queued_;
    io_uring_sqe* sqe = ring_.sqe_nowait();
    // Ends: an enter takes at least one request unless the kernel is busy, and it is busy only until it gets memory or
    // we have collected, which an enter does in any case; no task has to run for it.
    while (sqe == nullptr) [[unlikely]] {
        count_enter(ring_.has_overflown());
        if (ring_.enter_nowait() == Ring::Entered::busy && collect() == 0) {
            back_off();
        }
        sqe = ring_.sqe_nowait();
        queued_ = ring_.queued();
    }
    return *sqe;
}

void UringDriver::begin(Op& op) noexcept {
    io_uring_sqe& sqe = next_sqe();
    prepare(op, sqe);
    sqe.user_data = reinterpret_cast<std::uintptr_t>(&op);
    ++in_flight_;
}

static_assert(alignof(Op) > UringDriver::kUnwanted, "the low bits of an operation's address are the tokens'");

void UringDriver::end(Op& op) noexcept {
    expect_answer(op);  // first: getting a slot may collect completions, its own among them
    ++in_flight_;
    io_uring_sqe& sqe = next_sqe();
    io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uintptr_t>(&op), 0);
    sqe.user_data = reinterpret_cast<std::uintptr_t>(&op) | kCancel;
}

/// Of an operation in flight: itself, and when that has come its task.
struct UringDriver::Fetch {
    void far(std::uint64_t data) const noexcept {
        const void* const op = reinterpret_cast<const void*>(static_cast<std::uintptr_t>(data));
        prefetch(op);
        prefetch(op, kCacheLine);
    }
    void near(std::uint64_t data) const noexcept {
        if ((data & kUnwanted) == 0) {
            prefetch_task(*reinterpret_cast<Op*>(static_cast<std::uintptr_t>(data)));
        }
    }
};

unsigned UringDriver::collect() noexcept {
    const auto visit = [this](std::uint64_t data, int result, unsigned flags) {
        if ((data & kUnwanted) == 0) [[likely]] {
            in_flight_ -= (flags & IORING_CQE_F_MORE) == 0 ? 1U : 0U;
            complete(*reinterpret_cast<Op*>(static_cast<std::uintptr_t>(data)), result, flags);
        } else if (data == kDoorbell) {
            hear_doorbell(result);
        } else if (data != kUnwanted) {
            --in_flight_;
            answer_cancel(*reinterpret_cast<Op*>(static_cast<std::uintptr_t>(data & ~kCancel)), result);
        }
    };
    const unsigned count = ring_.reap(visit, Fetch{});
    collected_ += count;
    return count;
}

// Armed by the loop that is about to sleep, and not when it is heard: an awake loop needs none.
void UringDriver::arm_doorbell() noexcept {
    if (is_armed_) {
        return;
    }
    io_uring_sqe& sqe = next_sqe();
    io_uring_prep_read(&sqe, bell_.number(), &bell_count_, sizeof bell_count_, 0);
    sqe.user_data = kDoorbell;
    is_armed_ = true;
}

void UringDriver::hear_doorbell(int result) noexcept {
    is_armed_ = false;
    switch (result) {
        case sizeof bell_count_:
            bell_.hear(bell_count_);
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
