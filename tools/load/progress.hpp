/// show_progress(): a line on the terminal that says how far the load is.
#pragma once

#include <knit/coro.hpp>
#include <knit/sleep.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "load/plan.hpp"

namespace load {

/// Writes over one line of stderr every half second, until it is cancelled; then takes the line away.
inline knit::Coro<> show_progress(const Plan& plan, const std::vector<std::unique_ptr<Shard>>& shards) {
    constexpr auto kEvery = std::chrono::milliseconds(500);
    std::uint64_t before = 0;
    try {
        for (double spent = 0;; spent += 0.5) {
            std::uint64_t requests = 0;
            for (const auto& shard : shards) {
                requests += shard->shown_requests.load(std::memory_order_relaxed);
            }
            if (plan.trips == 0) {
                std::fprintf(stderr, "\r\033[K%.1f of %.1f s: %llu requests/s", spent,
                             std::chrono::duration<double>(plan.time).count(),
                             static_cast<unsigned long long>(2 * (requests - before)));
            } else {
                std::fprintf(stderr, "\r\033[K%llu of %llu requests: %llu a second",
                             static_cast<unsigned long long>(requests),
                             static_cast<unsigned long long>(plan.trips * plan.pipeline),
                             static_cast<unsigned long long>(2 * (requests - before)));
            }
            before = requests;
            co_await knit::sleep(kEvery);
        }
    } catch (const knit::CancelledError&) {
        std::fputs("\r\033[K", stderr);
        throw;
    }
}

}  // namespace load
