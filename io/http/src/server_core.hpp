/// ServerCore: what all connections of a server share.
#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/event.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/server_options.hpp"
#include "router_core.hpp"

namespace knit::http::detail {

/// The Date line of answers, written at most once a second.
class DateLine {
public:
    std::string_view text() noexcept {
        const std::time_t now = std::time(nullptr);
        if (now != second_) [[unlikely]] {
            write(now);
        }
        return {text_.data(), length_};
    }

private:
    void write(std::time_t now) noexcept;

    std::time_t second_ = -1;
    std::size_t length_ = 0;
    std::array<char, 48> text_{};
};

class Handshake;

/// What one loop has of a server. Only that loop touches it.
struct alignas(64) Shard {
    DateLine date;
    ConnectionBase* connections = nullptr;
    Handshake* handshakes = nullptr;
    std::string spare_out;  ///< of a connection that is idle now, for the next request's
    Head spare_head;        ///< likewise
};

class ServerCore : public std::enable_shared_from_this<ServerCore> {
public:
    ServerCore(std::shared_ptr<const RouterCore> router, const ServerOptions& options);

    /// Any loop: connections end as soon as they are between two requests.
    void close();
    bool is_closing() const noexcept { return is_closing_.load(std::memory_order_relaxed); }  // relaxed: a flag alone

    const std::shared_ptr<const RouterCore> router;
    const ServerOptions options;
    const HeadLimits limits;
    std::vector<Shard> shards;  ///< by the loop's number
    Event closing;              ///< set by close()

private:
    void end_idle(std::size_t loop) noexcept;

    knit::detail::Atomic<bool> is_closing_{false};  ///< close() sets it, every loop asks; publishes nothing
};

}  // namespace knit::http::detail
