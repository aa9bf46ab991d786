/// How many seeds the simulated tests run: SIM_SEEDS, from SIM_FIRST on.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace knit::test {

inline std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}
inline std::uint64_t first_seed() { return number_in("SIM_FIRST", 1); }
inline std::uint64_t seed_count(std::uint64_t otherwise) { return number_in("SIM_SEEDS", otherwise); }

}  // namespace knit::test
