/// nop: requests to the ring that do nothing, 64 in flight at a time, each asked for anew when it has completed. What a
/// runtime adds to the ring's own cost.
#pragma once

#include <cstdint>

namespace bench::nop {

inline constexpr std::uint64_t kOperations = 1'000'000;
inline constexpr std::uint64_t kAtOnce = 64;

}  // namespace bench::nop
