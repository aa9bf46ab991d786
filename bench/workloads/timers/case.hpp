/// timers: a number of timers is kept outstanding; each operation cancels the oldest and sets a new one, as every
/// request with a timeout does. None of them ever fires. The cost has to stay flat from 10 timers to 1,000,000.
#pragma once

#include <chrono>
#include <cstdint>

namespace bench::timers {

inline constexpr std::uint64_t kOutstanding = 10'000;
inline constexpr std::uint64_t kMost = 10'000'000;
inline constexpr std::uint64_t kOperations = 1'000'000;
/// After so many operations the loop gets a turn.
inline constexpr std::uint64_t kBatch = 64;

/// From one to two hours, in no order.
constexpr std::chrono::microseconds delay(std::uint64_t number) {
    return std::chrono::hours(1) + std::chrono::microseconds(number * 2'654'435'761 % 3'600'000'000);
}

}  // namespace bench::timers
