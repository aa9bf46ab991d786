/// Time as knit counts it: nanoseconds on the steady clock, saturating instead of overflowing.
#pragma once

#include <chrono>

namespace knit {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::steady_clock::time_point;

namespace detail {

inline constexpr TimePoint kNever = TimePoint::max();

/// Any duration as nanoseconds; what does not fit becomes the largest or smallest Duration.
template <class Rep, class Period>
constexpr Duration saturate(std::chrono::duration<Rep, Period> time) noexcept {
    using Wide = std::chrono::duration<long double, std::nano>;
    const Wide wide = std::chrono::duration_cast<Wide>(time);
    if (wide >= Wide(Duration::max())) {
        return Duration::max();
    }
    if (wide <= Wide(Duration::min())) {
        return Duration::min();
    }
    return std::chrono::duration_cast<Duration>(time);
}

constexpr Duration saturate(Duration time) noexcept { return time; }

/// `now + delay`, or kNever where that lies beyond the clock. A negative delay is kept.
constexpr TimePoint after(TimePoint now, Duration delay) noexcept {
    if (delay > Duration::zero() && now >= kNever - delay) {
        return kNever;
    }
    if (delay < Duration::zero() && now < TimePoint::min() - delay) {
        return TimePoint::min();
    }
    return now + delay;
}

}  // namespace detail
}  // namespace knit
