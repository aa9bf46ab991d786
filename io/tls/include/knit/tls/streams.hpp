/// open_connection(), start_server() and kin with TLS: asyncio's `ssl=` argument.
#pragma once

#include <concepts>
#include <filesystem>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/server.hpp"
#include "knit/io/stream_server.hpp"
#include "knit/io/streams.hpp"
#include "knit/tls/connect.hpp"
#include "knit/tls/context.hpp"

namespace knit::detail {

Coro<io::Server> serve_tls_streams(io::Endpoint endpoint, StreamHandler handler, tls::Context context,
                                   io::ServeOptions serve_options, tls::Options options);
Coro<io::Server> serve_tls_unix_streams(std::filesystem::path path, StreamHandler handler, tls::Context context,
                                        io::ServeOptions serve_options, tls::Options options);

}  // namespace knit::detail

namespace knit::tls {

/// Connects as tls::connect() does, and gives a reader and a writer. The writer has no write_eof(), as in asyncio;
/// close() says close-notify, abort() does not. Cancelled: CancelledError, and no connection is left.
Coro<io::Connection> open_connection(io::Endpoint endpoint, Context context, io::StreamOptions stream_options = {},
                                     Options options = {});
/// The same, with host and port apart, as asyncio has them.
template <std::integral Port>
Coro<io::Connection> open_connection(std::string_view host, Port port, Context context,
                                     io::StreamOptions stream_options = {}, Options options = {}) {
    return open_connection(io::Endpoint(host, static_cast<long>(port)), std::move(context), stream_options, options);
}
/// The same to a Unix socket; `options.server_name` has to say who is there, as for tls::connect() over a stream.
Coro<io::Connection> open_unix_connection(std::filesystem::path path, Context context,
                                          io::StreamOptions stream_options = {}, Options options = {});

/// io::start_server() with TLS: calls `handler(StreamReader, StreamWriter)` for each connection whose handshake has
/// succeeded. That is made in a task of the connection's own, so a client that is slow at it holds up nobody, and is a
/// connection from its beginning: it counts, and ends with a server that ends its connections. A client that fails, or
/// takes longer than `options.handshake_timeout`, is closed, and logged at LogLevel::debug; what else goes wrong in a
/// handshake goes to the loop's exception handler, as "Error on transport creation for incoming connection". The writer
/// is as open_connection()'s. RuntimeError at once for a Context without a certificate, ValueError for a client's;
/// throws std::system_error when it cannot listen. What serve() says of GCC 12 holds here too.
template <class F>
Coro<io::Server> start_server(F handler, io::Endpoint endpoint, Context context, io::ServeOptions serve_options = {},
                              Options options = {}) {
    return knit::detail::serve_tls_streams(std::move(endpoint), knit::detail::make_stream_handler(std::move(handler)),
                                           std::move(context), serve_options, options);
}
/// The same, with host and port apart, as asyncio has them.
template <class F, std::integral Port>
Coro<io::Server> start_server(F handler, std::string_view host, Port port, Context context,
                              io::ServeOptions serve_options = {}, Options options = {}) {
    return knit::tls::start_server(std::move(handler), io::Endpoint(host, static_cast<long>(port)), std::move(context),
                                   serve_options, options);
}
/// The same at a Unix socket, as io::start_unix_server().
template <class F>
Coro<io::Server> start_unix_server(F handler, std::filesystem::path path, Context context,
                                   io::ServeOptions serve_options = {}, Options options = {}) {
    return knit::detail::serve_tls_unix_streams(std::move(path), knit::detail::make_stream_handler(std::move(handler)),
                                                std::move(context), serve_options, options);
}

}  // namespace knit::tls

namespace knit {
using tls::open_connection;
using tls::open_unix_connection;
using tls::start_server;
using tls::start_unix_server;
}  // namespace knit
