/// ServerOptions: limits and timeouts of a server.
#pragma once

#include <chrono>
#include <cstddef>
#include <type_traits>

#include "knit/time.hpp"

namespace knit::http {

struct ServerOptions {
    // Zero: for ever.
    Duration handshake_timeout = std::chrono::seconds(10);  ///< for `wrap`, TLS's handshake: then the end
    Duration header_timeout = std::chrono::seconds(10);  ///< for a head, from its first byte on: then 408
    Duration idle_timeout = std::chrono::seconds(75);    ///< for the next request's first byte: then the end
    Duration body_timeout = std::chrono::seconds(30);    ///< for the next KiB of a body: then 408
    Duration write_timeout = std::chrono::seconds(30);   ///< for the peer to take any bytes: then the end
    Duration shutdown_timeout = std::chrono::seconds(30);  ///< see Server::wait_closed()
    std::size_t request_line_max = 8 << 10;  ///< bytes; more: 414
    std::size_t head_max = 16 << 10;         ///< bytes; more: 431
    std::size_t header_count_max = 100;      ///< more: 431
    std::size_t body_max = std::size_t{1} << 20;  ///< bytes that Request::text() takes; more: 413
    std::size_t max_connections = 0;  ///< at one time, over all loops; the others wait. 0: no limit
    int backlog = 1024;
    /// HTTP/2 for clients that say its preface on a clear-text port. Over TLS the Context's alpn() decides: whom it has
    /// given "h2" is spoken to in that.
    bool http2 = true;
    std::size_t http2_streams_max = 100;  ///< requests at one time on one of its connections
};
static_assert(std::is_trivially_destructible_v<ServerOptions>, "GCC 12 destroys others twice inside a co_await");

}  // namespace knit::http
