/// skynet: a tree of tasks, ten children each, whose leaves are numbered and summed. Wide fan-out, tiny bodies.
#pragma once

#include <cstdint>

namespace bench::skynet {

inline constexpr std::int64_t kChildren = 10;
inline constexpr std::int64_t kDefault = 1'000'000;
inline constexpr std::int64_t kMost = 1'000'000'000;

constexpr bool is_power_of_ten(std::int64_t leaves) {
    while (leaves > 1 && leaves % kChildren == 0) {
        leaves /= kChildren;
    }
    return leaves == 1;
}

/// Sum of the numbers of all leaves.
constexpr std::int64_t expected(std::int64_t leaves) { return leaves * (leaves - 1) / 2; }

/// Nodes of the tree, inner ones and leaves.
constexpr std::uint64_t tasks(std::int64_t leaves) {
    std::uint64_t sum = 0;
    for (; leaves > 0; leaves /= kChildren) {
        sum += static_cast<std::uint64_t>(leaves);
    }
    return sum;
}

static_assert(tasks(100) == 111);

}  // namespace bench::skynet
