/// mixed: an echo server that burns 1 ms of CPU for a message which begins with kHeavy. What counts is how long the
/// other messages wait meanwhile.
#pragma once

#include <chrono>
#include <string_view>

namespace bench::mixed {

inline constexpr char kHeavy = 'B';
inline constexpr std::chrono::microseconds kBurn(1000);

inline bool is_heavy(std::string_view message) { return message.starts_with(kHeavy); }

/// Keeps the CPU for kBurn.
inline void burn() {
    const auto end = std::chrono::steady_clock::now() + kBurn;
    while (std::chrono::steady_clock::now() < end) {
    }
}

}  // namespace bench::mixed
