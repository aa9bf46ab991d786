/// sleepers: many tasks that only wait. One after another they take the sum of their delays, overlapped the longest.
#pragma once

#include <chrono>
#include <cstdint>

namespace bench::sleepers {

inline constexpr std::uint64_t kTasks = 1000;
inline constexpr std::uint64_t kMilliseconds = 10;

/// Delays spread evenly from `shortest` to twice as much, so that not all of them end in one turn.
constexpr std::chrono::nanoseconds delay(std::uint64_t index, std::uint64_t tasks, std::chrono::nanoseconds shortest) {
    return shortest + shortest * static_cast<std::int64_t>(index) / static_cast<std::int64_t>(tasks);
}

constexpr std::chrono::nanoseconds sum(std::uint64_t tasks, std::chrono::nanoseconds shortest) {
    std::chrono::nanoseconds all{};
    for (std::uint64_t i = 0; i < tasks; ++i) {
        all += delay(i, tasks, shortest);
    }
    return all;
}

}  // namespace bench::sleepers
