#include "knit/http/detail/watch.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <new>

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
    begin(limit);
    waiter_ = *current_task();
}

void Watch::begin(Duration limit) {
    if (waiter_) [[unlikely]] {
        waiter_ = TaskRef();  // whose wait is not this one
    }
    deadline_ = limit > Duration::zero() ? knit::detail::after(coarse_now(), limit) : TimePoint::max();
    if (deadline_ < armed_for_) [[unlikely]] {
        arm();
    }
    is_waiting_ = true;
}

Duration Watch::left() const noexcept {
    constexpr Duration kLeast = std::chrono::milliseconds(1);
    return deadline_ == TimePoint::max() ? Duration::zero() : std::max<Duration>(deadline_ - coarse_now(), kLeast);
}

void Watch::arm() {
    timer_.cancel();
    armed_for_ = TimePoint::max();
    timer_ = loop_->call_at(deadline_, [this] { ring(); });
    armed_for_ = deadline_;
}

void Watch::ring() noexcept {
    timer_ = Handle();  // which holds memory
    armed_for_ = TimePoint::max();
    if (!is_waiting_ || deadline_ == TimePoint::max()) {
        return;
    }
    if (loop_->time() >= deadline_) {
        expire();
        return;
    }
    try {
        arm();
    } catch (const std::bad_alloc&) {
        expire();  // what has no deadline must not go on
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
