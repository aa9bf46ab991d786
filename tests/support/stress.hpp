/// What the stress tests of the synchronisation primitives share. KNIT_STRESS_MS: how long each test runs;
/// KNIT_STRESS_SEED: a seed that was printed.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace knit::stress {

using Clock = std::chrono::steady_clock;

inline Clock::time_point end_of_test() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return Clock::now() + std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

inline std::uint64_t test_seed() {
    const char* const text = std::getenv("KNIT_STRESS_SEED");
    const std::uint64_t seed = text != nullptr ? std::stoull(text)
                                               : static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    std::cout << "seed " << seed << '\n';
    return seed;
}

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15U | 1U) {}
    unsigned below(unsigned limit) noexcept { return static_cast<unsigned>((next() >> 20) % limit); }
    std::uint64_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    std::uint64_t state_;
};

inline Coro<> turns(unsigned count) {
    for (; count > 0; --count) {
        co_await yield();
    }
}

inline TaskOptions on_loop(std::size_t index) {
    Runtime& runtime = get_runtime();
    return {.name = {}, .loop = &runtime.loop(index % runtime.size())};
}

/// Cancels the tasks at random moments until they are done.
template <class T>
Coro<> storm(std::vector<Task<T>>& tasks, std::uint64_t seed, Clock::time_point end) {
    Random random(seed);
    while (Clock::now() < end) {
        tasks[random.below(static_cast<unsigned>(tasks.size()))].cancel();
        co_await turns(random.below(3));
    }
}

/// Runs on two loops, and on more than there are processors.
class SyncStress : public testing::TestWithParam<unsigned> {
protected:
    template <class F>
    static void run(F body) {
        RunOptions options;
        options.loops = GetParam();
        knit::run(std::move(body), options);
    }
};

}  // namespace knit::stress
