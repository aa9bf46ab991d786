/// start_server(), start_unix_server(): asyncio's servers, which give each connection as a reader and a writer.
#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/server.hpp"
#include "knit/io/streams.hpp"
#include "knit/io/unix.hpp"

namespace knit::detail {

/// Gives the coroutine to run, or an empty one when all is done.
using StreamHandler = std::function<Coro<>(io::StreamReader, io::StreamWriter)>;

/// Makes the stream over a socket that was accepted, by a handshake for example, on the server's loop. Empty: there is
/// none, and no more to be said. It is awaited in a task of the connection's own, which counts as the connection and is
/// cancelled when that is to end; what it throws goes to the exception handler.
template <class S>
using StreamOpener = std::function<Coro<StreamCoreRef>(S socket, std::size_t limit)>;

Coro<io::Server> serve_streams(io::Endpoint endpoint, StreamHandler handler, io::ServeOptions options,
                               StreamOpener<io::TcpStream> opener = nullptr);
Coro<io::Server> serve_unix_streams(std::filesystem::path path, StreamHandler handler, io::ServeOptions options,
                                    StreamOpener<io::UnixStream> opener = nullptr);

template <class T>
Coro<> drop_result(Coro<T> body) {
    co_await std::move(body);
}

template <class F>
StreamHandler make_stream_handler(F function) {
    static_assert(std::is_invocable_v<F&, io::StreamReader, io::StreamWriter>,
                  "start_server() takes a function of a StreamReader and a StreamWriter by value: "
                  "knit::Coro<> handler(knit::StreamReader, knit::StreamWriter)");
    if constexpr (std::is_invocable_v<F&, io::StreamReader, io::StreamWriter>) {
        using Given = std::invoke_result_t<F&, io::StreamReader, io::StreamWriter>;
        auto shared = std::make_shared<F>(std::move(function));
        return [shared](io::StreamReader reader, io::StreamWriter writer) -> Coro<> {
            if constexpr (std::is_same_v<Given, Coro<>>) {
                return (*shared)(std::move(reader), std::move(writer));
            } else if constexpr (requires { typename coro_value<Given>::type; }) {
                return drop_result((*shared)(std::move(reader), std::move(writer)));
            } else {
                static_cast<void>((*shared)(std::move(reader), std::move(writer)));
                return {};
            }
        };
    } else {
        return {};
    }
}

}  // namespace knit::detail

namespace knit::io {

/// Accepts on the calling loop and calls `handler(StreamReader, StreamWriter)` there for each connection. A coroutine
/// that it returns runs as a task; the handler is kept until the last of them has ended. What it throws goes to the
/// loop's exception handler, as "Unhandled exception in client_connected_cb", and the connection is closed. Out of
/// descriptors, the exception handler hears "socket.accept() out of system resource" and the server waits for one.
/// Throws std::system_error when it cannot listen. What serve() says of GCC 12 holds here too.
template <class F>
Coro<Server> start_server(F handler, Endpoint endpoint, ServeOptions options = {}) {
    return knit::detail::serve_streams(std::move(endpoint), knit::detail::make_stream_handler(std::move(handler)),
                                       options);
}

/// The same, with host and port apart, as asyncio has them.
template <class F, std::integral Port>
Coro<Server> start_server(F handler, std::string_view host, Port port, ServeOptions options = {}) {
    return start_server(std::move(handler), Endpoint(host, static_cast<long>(port)), options);
}

/// The same at a Unix socket; as UnixListener::bind(). The socket's file is removed at close(), unless somebody has put
/// another in its place or the options say `cleanup_socket = false`.
template <class F>
Coro<Server> start_unix_server(F handler, std::filesystem::path path, ServeOptions options = {}) {
    return knit::detail::serve_unix_streams(std::move(path), knit::detail::make_stream_handler(std::move(handler)),
                                            options);
}

}  // namespace knit::io

namespace knit {
using io::start_server;
using io::start_unix_server;
}  // namespace knit
