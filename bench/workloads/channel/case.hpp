/// channel: several tasks put numbers into one bounded channel, several others take them out.
#pragma once

#include <cstdint>

namespace bench::channel {

inline constexpr std::uint64_t kItems = 1'000'000;
inline constexpr std::uint64_t kProducers = 4;
inline constexpr std::uint64_t kConsumers = 4;
inline constexpr std::uint64_t kCapacity = 64;

/// Of the numbers 1 to `items`; 0 is no item but tells a consumer to end.
constexpr std::int64_t expected(std::uint64_t items) { return static_cast<std::int64_t>(items * (items + 1) / 2); }

}  // namespace bench::channel
