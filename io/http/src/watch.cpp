#include "knit/http/detail/watch.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>

namespace knit::http::detail {
namespace {

/// The loop's clock as the kernel last saw it, a few milliseconds old: four times as fast to read.
TimePoint coarse_now() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return TimePoint(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

void Watch::start() {
    loop_ = &get_running_loop();
    task_ = *current_task();
}

void Watch::begin_here(Duration limit) {
    waiter_ = *current_task();
    begin(limit);
}

void Watch::begin(Duration limit) {
    is_waiting_ = true;
    if (limit <= Duration::zero()) {
        deadline_ = TimePoint::max();
        return;
    }
    deadline_ = knit::detail::after(coarse_now(), limit);
    if (deadline_ < armed_for_) [[unlikely]] {
        arm();
    }
}

Duration Watch::left() const noexcept {
    constexpr Duration kLeast = std::chrono::milliseconds(1);
    return deadline_ == TimePoint::max() ? Duration::zero() : std::max<Duration>(deadline_ - coarse_now(), kLeast);
}

void Watch::arm() {
    timer_.cancel();
    armed_for_ = deadline_;
    timer_ = loop_->call_at(deadline_, [this] { ring(); });
}

void Watch::ring() {
    armed_for_ = TimePoint::max();
    if (!is_waiting_ || deadline_ == TimePoint::max()) {
        return;
    }
    if (loop_->time() < deadline_) {
        arm();
    } else {
        expire();
    }
}

void Watch::expire() noexcept {
    if (is_waiting_ && !is_expired_) {
        is_expired_ = true;
        waiter().cancel();
    }
}

bool Watch::end_cancelled() noexcept {
    const TaskRef task = waiter();
    return end() && task.cancelling() == 0;
}

void Watch::take_back() noexcept {
    is_expired_ = false;
    waiter().uncancel();
}

}  // namespace knit::http::detail
