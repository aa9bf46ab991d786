/// The driver of knit::testing, for tests that run on it without simulate(): virtual time, and all loops of a runtime
/// turned on one thread in an order that a seed decides. Tests link it instead of io; every run with the same seed is
/// the same.
#pragma once

#include <cstdint>

#include "driver.hpp"

namespace knit::testing {

/// The seed of the next runtimes; KNIT_TEST_SEED in the environment sets the first.
void set_seed(std::uint64_t seed) noexcept;
std::uint64_t seed() noexcept;
/// Virtual time that has passed in the process since its start.
Duration elapsed() noexcept;
/// Time passes within a step: what a step that blocks its loop does.
void pass_time(Duration time) noexcept;
/// How often the fake driver of loop 0 was polled.
std::uint64_t poll_count() noexcept;
/// How often the loops had nothing to do and the clock jumped.
std::uint64_t jump_count() noexcept;

}  // namespace knit::testing
