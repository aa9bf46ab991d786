/// What drivers and the network of a simulation share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "driver.hpp"
#include "knit/testing/network.hpp"

namespace knit::testing::detail {

struct World {
    std::uint64_t seed = 1;
    Duration elapsed{};
    std::uint64_t polls = 0;  ///< of loop 0
    std::uint64_t jumps = 0;
    std::uint64_t steps = 0;
    std::uint64_t steps_max = 0;  ///< 0: no limit
    /// How long, in real time, a deadlock may last: a thread outside may still bring a message.
    std::chrono::seconds patience{20};
    bool keeps_trace = false;
    std::string trace;
    std::uint64_t hash = 14695981039346656037U;
    NetworkOptions network = {};
    std::mt19937_64 random{1};
    std::map<std::string, std::weak_ptr<Port>> ports = {};

    /// A line of the trace.
    void add(std::string_view line);
    std::uint64_t below(std::uint64_t limit) { return random() % limit; }
    bool happens(unsigned per_mille) { return per_mille != 0 && below(1000) < per_mille; }
};

World& world() noexcept;

}  // namespace knit::testing::detail
