/// fib: the Fibonacci numbers by double recursion; nothing but forking and joining.
#pragma once

#include <cstdint>

namespace bench::fib {

inline constexpr unsigned kDefault = 37;
inline constexpr unsigned kMost = 45;

/// fib(n) by iteration.
constexpr std::int64_t expected(unsigned n) {
    std::int64_t current = 0;
    std::int64_t next = 1;
    for (unsigned i = 0; i < n; ++i) {
        const std::int64_t sum = current + next;
        current = next;
        next = sum;
    }
    return current;
}

/// Calls that the recursion makes, each counted as a task whether it is spawned or awaited inline.
constexpr std::uint64_t tasks(unsigned n) { return static_cast<std::uint64_t>(2 * expected(n + 1) - 1); }

static_assert(expected(10) == 55);
static_assert(tasks(37) == 78'176'337);

}  // namespace bench::fib
