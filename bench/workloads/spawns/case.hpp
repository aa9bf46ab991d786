/// spawns: one task starts very many others, each of which does next to nothing, and then awaits them all. The cost of
/// a task that is made in one place and may run in another.
#pragma once

#include <cstdint>

namespace bench::spawns {

inline constexpr std::uint64_t kTasks = 1'000'000;
inline constexpr std::uint64_t kMost = 100'000'000;

constexpr std::int64_t result(std::uint64_t index) { return static_cast<std::int64_t>(index % 10); }

constexpr std::int64_t expected(std::uint64_t tasks) {
    const std::int64_t rest = static_cast<std::int64_t>(tasks % 10);
    return static_cast<std::int64_t>(tasks / 10) * 45 + rest * (rest - 1) / 2;
}

static_assert(expected(12) == 46);

}  // namespace bench::spawns
