/// Server; serve(): a TCP server on every loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/rebalance.hpp"
#include "knit/io/tcp.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class ServerState;
using ConnectionHandler = std::function<Coro<>(io::TcpStream)>;

}  // namespace knit::detail

namespace knit::io {

struct ServeOptions {
    std::size_t max_connections = 0;  ///< at one time, over all loops; the others wait. 0: no limit
    Duration shutdown_timeout = std::chrono::seconds(30);  ///< how long wait_closed() lets them end by themselves
    int backlog = 1024;          ///< connections that wait to be accepted; the kernel cuts it at net.core.somaxconn
    bool start_serving = true;   ///< false: the port is taken, but nobody listens before start_serving()
    // serve() has no readers: ValueError there.
    std::size_t limit = std::size_t{64} << 10;  ///< of each reader, see StreamReader
    bool cleanup_socket = true;  ///< a Unix socket's file is removed at close(); ValueError for one that has none
    // As in ListenOptions; ValueError for a Unix socket.
    bool reuse_port = false;
    std::optional<bool> ipv6_only = {};
};

/// A server: what serve() and start_server() give. Move-only; the destructor closes it and lets the connections go on.
/// Every member may be called from any loop. A connection is: of serve(), a handler that has not ended; of
/// start_server(), a stream that has not been closed; over TLS, one that shakes hands or says close-notify too.
class [[nodiscard]] Server {
public:
    Server() noexcept = default;
    /// Takes over a server that has been made; knit's own use.
    explicit Server(std::shared_ptr<knit::detail::ServerState> state) noexcept : state_(std::move(state)) {}
    Server(Server&&) noexcept = default;
    Server& operator=(Server&& other) noexcept;
    ~Server();

    /// Begins to accept; nothing when it does already. Done at the call; may be awaited. Throws std::system_error when
    /// it cannot listen, RuntimeError "... is closed" after close().
    knit::detail::Ready start_serving();
    /// Stops accepting, at once; what has been accepted is served to its end. May be called again.
    void close();
    /// Asks every connection to end: the handlers of serve() are cancelled, the streams of start_server() closed, which
    /// sends what they have buffered; a peer that does not read keeps its connection. Connections that come later are
    /// not touched: close() first.
    void close_clients();
    /// The same without ceremony: what is buffered is dropped, and the peer gets a reset. Each connection hears of it
    /// on its own loop, so a little later.
    void abort_clients();
    /// Whether it accepts.
    bool is_serving() const noexcept;
    /// Waits until the server has been closed and its connections have ended. Those that have not ended
    /// shutdown_timeout after that call and close() are ended: the handlers of serve() are cancelled, and a second
    /// later their connections broken; the streams of start_server() are closed, and what their peers have not taken by
    /// then is dropped. Cancelled: CancelledError, the server stays as it is.
    Coro<> wait_closed();
    /// Accepts until it is cancelled, by its task's cancel() or by close(): closes the server, waits as wait_closed()
    /// does and throws CancelledError; it never returns. RuntimeError "... is closed" after close(), "... is already
    /// being awaited on serve_forever()" when another one waits.
    Coro<> serve_forever();
    /// asyncio's `async with server`: awaits `body() -> Coro<T>`, then close() and wait_closed(), however that ends;
    /// gives what it gave, throws what it threw. Cancelled: the body is, and then the server is closed all the same.
    template <class F>
    auto scope(F body);
    /// Where it listens; the first of endpoints(), and still known after close(). RuntimeError for a Unix socket.
    Endpoint local_endpoint() const;
    /// All places: a name may have several addresses. None after close(), and for a Unix socket.
    std::vector<Endpoint> endpoints() const;
    /// Those that have not ended.
    std::size_t connection_count() const;

private:
    knit::detail::ServerState& state() const;

    std::shared_ptr<knit::detail::ServerState> state_;
};

}  // namespace knit::io

namespace knit::detail {

Coro<io::Server> serve_on_every_loop(io::Endpoint endpoint, ConnectionHandler handler, io::ServeOptions options);

/// Closes the server and waits for its end.
Coro<> end_scope(std::shared_ptr<ServerState> state);

template <class T, class F>
Coro<T> run_server_scope(std::shared_ptr<ServerState> state, F body) {
    std::exception_ptr error;
    std::conditional_t<std::is_void_v<T>, char, std::optional<T>> result{};
    try {
        Coro<T> running = body();
        if constexpr (std::is_void_v<T>) {
            co_await std::move(running);
        } else {
            result.emplace(co_await std::move(running));
        }
    } catch (...) {
        error = std::current_exception();
    }
    Coro<> end = end_scope(std::move(state));
    co_await std::move(end);
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    if constexpr (!std::is_void_v<T>) {
        co_return std::move(*result);
    }
}

}  // namespace knit::detail

namespace knit::io {

template <class F>
auto Server::scope(F body) {
    static_assert(knit::detail::CoroFunction<F>, "Server::scope() takes a function that returns a knit::Coro: "
                  "server.scope([&]() -> knit::Coro<> { ... })");
    if constexpr (knit::detail::CoroFunction<F>) {
        static_cast<void>(state());
        return knit::detail::run_server_scope<typename std::invoke_result_t<F&>::value_type>(state_, std::move(body));
    } else {
        return Coro<>();
    }
}

/// Accepts on the loops of the runtime and calls `handler(TcpStream) -> Coro<>` for each connection, in a task of its
/// own on the loop that has the fewest connections; so `handler` is called on several loops at the same time. It is
/// kept until its last coroutine has ended. What a handler throws goes to its loop's exception handler and the server
/// goes on. Out of descriptors the server waits until one is free, at most 100 ms at a time, and says so in the log
/// once a second. Throws std::system_error when it cannot listen.
///
/// With GCC 12 a lambda that owns what it captures (a string, a shared_ptr) has to be a variable of its own, moved in:
/// that compiler destroys one that is written inside a co_await expression twice (bug 107288). References are no
/// matter.
template <class F>
Coro<Server> serve(Endpoint endpoint, F handler, ServeOptions options = {}) {
    constexpr bool kIsHandler = std::is_invocable_r_v<Coro<>, F&, TcpStream>;
    static_assert(kIsHandler,
                  "serve() takes a function of a TcpStream by value: knit::Coro<> handler(knit::TcpStream)");
    if constexpr (kIsHandler) {
        auto shared = std::make_shared<F>(std::move(handler));
        return knit::detail::serve_on_every_loop(
            std::move(endpoint), [shared](TcpStream stream) { return (*shared)(std::move(stream)); }, options);
    } else {
        return {};
    }
}

}  // namespace knit::io

namespace knit {
using io::serve;
using io::ServeOptions;
using io::Server;
}  // namespace knit
