#include "fake_driver.hpp"

#include "simulation.hpp"

namespace knit::testing {

void set_seed(std::uint64_t seed) noexcept { detail::world().seed = seed; }
std::uint64_t seed() noexcept { return detail::world().seed; }
std::uint64_t poll_count() noexcept { return detail::world().polls; }
std::uint64_t jump_count() noexcept { return detail::world().jumps; }

}  // namespace knit::testing
