/// serve(): a TCP server on every loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/tcp.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class ServerState;
using ConnectionHandler = std::function<Coro<>(io::TcpStream)>;

}  // namespace knit::detail

namespace knit::io {

struct ServeOptions {
    std::size_t max_connections = 0;  ///< handlers at one time, over all loops; the others wait. 0: no limit
    Duration shutdown_timeout = std::chrono::seconds(30);  ///< how long wait_closed() lets handlers finish
    int backlog = 1024;               ///< of each loop's listener
};

/// A running server. Move-only; the destructor closes it and lets the handlers go on. Every member may be called from
/// any loop.
class Server {
public:
    Server() noexcept = default;
    /// Takes over a server that has been started; knit's own use.
    explicit Server(std::shared_ptr<knit::detail::ServerState> state) noexcept : state_(std::move(state)) {}
    Server(Server&&) noexcept = default;
    Server& operator=(Server&& other) noexcept;
    ~Server();

    /// Stops accepting; what has been accepted is served to its end. May be called again.
    void close();
    /// Whether it accepts.
    bool is_serving() const noexcept;
    /// Waits until the server has been closed and its handlers have ended. Handlers that have not ended
    /// shutdown_timeout after that call and close() are cancelled. Cancelled itself: CancelledError, the server stays
    /// as it is.
    Coro<> wait_closed();
    /// Waits until the server is closed; cancelled, closes it, waits as wait_closed() does and throws CancelledError.
    Coro<> serve_forever();
    /// Where it listens; the first of endpoints().
    Endpoint local_endpoint() const;
    /// All places: a name may have several addresses.
    std::vector<Endpoint> endpoints() const;
    /// Handlers that have not ended.
    std::size_t connection_count() const;

private:
    knit::detail::ServerState& state() const;

    std::shared_ptr<knit::detail::ServerState> state_;
};

}  // namespace knit::io

namespace knit::detail {

Coro<io::Server> serve_on_every_loop(io::Endpoint endpoint, ConnectionHandler handler, io::ServeOptions options);

}  // namespace knit::detail

namespace knit::io {

/// Listens on every loop of the runtime and calls `handler(TcpStream) -> Coro<>` for each connection, in a task of its
/// own on the loop that accepted it; so `handler` is called on several loops at the same time. It is kept until its
/// last coroutine has ended. What a handler throws goes to its loop's exception handler and the server goes on. Out of
/// descriptors the server waits a little and logs that. Throws std::system_error when it cannot listen.
///
/// With GCC 12 a lambda that owns what it captures (a string, a shared_ptr) has to be a variable of its own, moved in:
/// that compiler destroys one that is written inside a co_await expression twice (bug 107288). References are no
/// matter.
template <class F>
Coro<Server> serve(Endpoint endpoint, F handler, ServeOptions options = {}) {
    static_assert(std::is_invocable_r_v<Coro<>, F&, TcpStream>,
                  "serve() takes a function of a TcpStream that returns a knit::Coro<>");
    auto shared = std::make_shared<F>(std::move(handler));
    return knit::detail::serve_on_every_loop(
        std::move(endpoint), [shared](TcpStream stream) { return (*shared)(std::move(stream)); }, options);
}

}  // namespace knit::io

namespace knit {
using io::serve;
using io::ServeOptions;
using io::Server;
}  // namespace knit
