/// pingpong: two tasks hand a number to and fro through two channels that hold one item; on one loop, or on a loop
/// each. The cost of a switch, and between loops that of waking one another.
#pragma once

#include <cstdint>

namespace bench::pingpong {

inline constexpr std::uint64_t kTrips = 1'000'000;

/// Each side adds one on the way.
constexpr std::int64_t expected(std::uint64_t trips) { return static_cast<std::int64_t>(2 * trips); }

}  // namespace bench::pingpong
