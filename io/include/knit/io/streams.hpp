/// Streams with buffers, asyncio's: over any stream there is, and open_connection().
#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/future.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/detail/stream_pumps.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/stream_reader.hpp"
#include "knit/io/stream_writer.hpp"
#include "knit/io/tcp.hpp"

namespace knit::io {

struct StreamOptions {
    std::size_t limit = std::size_t{64} << 10;  ///< see StreamReader
};

/// The two ends of one connection.
struct Connection {
    StreamReader reader;
    StreamWriter writer;
};

}  // namespace knit::io

namespace knit::detail {

template <class S>
StateRef<StreamOf<S>> make_stream_core(S stream, std::size_t limit, bool reads, bool writes) {
    Worker& home = running_worker();
    StateRef<StreamOf<S>> core(new StreamOf<S>(home, std::move(stream), limit, reads, writes));
    return core;
}

/// A reader and a writer of a connection, which begins to be read.
io::Connection open_streams(StreamCore& core);

}  // namespace knit::detail

namespace knit::io {

/// A reader and a writer over `stream`, which belongs to them from now on, on the calling loop. Reading begins at once.
/// ValueError for a limit of 0.
template <ByteStream S>
Connection make_streams(S stream, StreamOptions options = {}) {
    const auto core = knit::detail::make_stream_core(std::move(stream), options.limit, true, true);
    return knit::detail::open_streams(*core);
}

/// A reader alone. The stream is closed at its end, or with the reader.
template <ReadableStream S>
StreamReader make_reader(S stream, StreamOptions options = {}) {
    const auto core = knit::detail::make_stream_core(std::move(stream), options.limit, true, false);
    core->begin();
    return StreamReader(knit::detail::ReaderRef::share(*core));
}

/// A writer alone.
template <WritableStream S>
StreamWriter make_writer(S stream) {
    const auto core = knit::detail::make_stream_core(std::move(stream), StreamOptions().limit, false, true);
    return StreamWriter(knit::detail::StreamCoreRef::share(*core));
}

/// Connects, as TcpStream::connect() does. Cancelled: CancelledError, and no connection is left.
Coro<Connection> open_connection(Endpoint endpoint, StreamOptions options = {});
Coro<Connection> open_connection(Endpoint endpoint, StreamOptions options, ConnectOptions connect_options);
/// The same, with host and port apart, as asyncio has them.
template <std::integral Port>
Coro<Connection> open_connection(std::string_view host, Port port, StreamOptions options = {}) {
    return open_connection(Endpoint(host, static_cast<long>(port)), options);
}
template <std::integral Port>
Coro<Connection> open_connection(std::string_view host, Port port, StreamOptions options,
                                 ConnectOptions connect_options) {
    return open_connection(Endpoint(host, static_cast<long>(port)), options, std::move(connect_options));
}
/// The same to a Unix socket, as UnixStream::connect() does.
Coro<Connection> open_unix_connection(std::filesystem::path path, StreamOptions options = {});

}  // namespace knit::io

namespace knit {
using io::Connection;
using io::make_reader;
using io::make_streams;
using io::make_writer;
using io::open_connection;
using io::open_unix_connection;
using io::StreamOptions;
}  // namespace knit
