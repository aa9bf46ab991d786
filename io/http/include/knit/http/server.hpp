/// serve(): a server of HTTP/1.1 and HTTP/2 on every loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/access_log.hpp"
#include "knit/http/detail/handshake.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/serve_stream.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server_options.hpp"
#include "knit/io/server.hpp"

namespace knit::http {

/// A server. Move-only; the destructor closes it and lets the requests go on. Every member may be called from any loop;
/// RuntimeError where there is no server, as after a move.
class [[nodiscard]] Server {
public:
    Server() noexcept = default;
    /// knit's own use.
    Server(io::Server server, std::shared_ptr<detail::ServerCore> core);
    Server(Server&&) noexcept = default;
    Server& operator=(Server&& other) noexcept;
    ~Server();

    /// Accepts no more; connections without a request end at once, the others with the answer that they are at.
    void close();
    /// Waits until it has been closed and its connections have ended; shutdown_timeout after that their handlers are
    /// cancelled. Cancelled: CancelledError, the server stays as it is.
    Coro<> wait_closed();
    /// Serves until it is cancelled, by its task's cancel() or by close(): then closes, waits as wait_closed() does and
    /// throws CancelledError; it never returns.
    Coro<> serve_forever();
    io::Endpoint local_endpoint() const;
    std::size_t connection_count() const;

private:
    io::Server& server() const;

    std::shared_ptr<io::Server> server_;
    std::shared_ptr<detail::ServerCore> core_;
};

/// Answers requests by the router's handlers, on every loop of the runtime. `wrap` makes of a TcpStream the stream that
/// is spoken on, any ByteStream: `wrap(TcpStream) -> Coro<S>`, TLS for example; what it throws ends the connection, a
/// std::system_error without a word. The router takes no further routes from here on. Throws std::system_error when it
/// cannot listen, ValueError for bad options.
///
///     http::Server server = co_await http::serve("127.0.0.1:8080", router);
///     co_await server.serve_forever();
Coro<Server> serve(io::Endpoint endpoint, Router router, ServerOptions options = {});

template <class Wrap>
requires std::is_invocable_v<Wrap&, io::TcpStream>
Coro<Server> serve(io::Endpoint endpoint, Router router, ServerOptions options, Wrap wrap) {
    auto core = detail::make_server_core(router, options);
    const io::ServeOptions serving = detail::serve_options(options);
    auto handler = [core, wrap](io::TcpStream stream) { return detail::serve_wrapped(std::move(stream), wrap, core); };
    Coro<io::Server> starting = io::serve(std::move(endpoint), std::move(handler), serving);
    io::Server server = co_await std::move(starting);
    co_return Server(std::move(server), std::move(core));
}

}  // namespace knit::http
