#include "client_exchange.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace knit::http::detail {

bool is_idempotent(std::string_view method) noexcept {
    constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    return std::ranges::find(kMethods, method) != kMethods.end();
}

std::optional<TimePoint> ClientExchange::read_until(Duration limit) const {
    if (limit <= Duration::zero()) {
        return deadline_;
    }
    const TimePoint until = knit::detail::after(std::chrono::steady_clock::now(), limit);
    return deadline_ ? std::min(*deadline_, until) : until;
}

}  // namespace knit::http::detail
