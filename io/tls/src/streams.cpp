#include "knit/tls/streams.hpp"

#include <cstddef>
#include <optional>
#include <string>

#include "knit/io/tcp.hpp"
#include "knit/io/unix.hpp"
#include "knit/tls/stream.hpp"

namespace knit::detail {
namespace {

template <class S>
Coro<StreamCoreRef> open_accepted(S socket, tls::Context context, tls::Options options, std::size_t limit) {
    auto accepting = accept_for_server(std::move(socket), std::move(context), options);
    std::optional<tls::TlsStream<S>> accepted = co_await std::move(accepting);
    StreamCoreRef core;
    if (accepted) {
        core = StreamCoreRef::share(*make_stream_core(std::move(*accepted), limit, true, true));
    }
    co_return core;
}

template <class S>
StreamOpener<S> make_opener(tls::Context context, tls::Options options) {
    check_serving(context);
    options.server_name = options.alpn = {};  // a client's, and do not live on
    return [context = std::move(context), options](S socket, std::size_t limit) {
        return open_accepted(std::move(socket), context, options, limit);
    };
}

}  // namespace

Coro<io::Server> serve_tls_streams(io::Endpoint endpoint, StreamHandler handler, tls::Context context,
                                   io::ServeOptions serve_options, tls::Options options) {
    return serve_streams(std::move(endpoint), std::move(handler), serve_options,
                         make_opener<io::TcpStream>(std::move(context), options));
}

Coro<io::Server> serve_tls_unix_streams(std::filesystem::path path, StreamHandler handler, tls::Context context,
                                        io::ServeOptions serve_options, tls::Options options) {
    return serve_unix_streams(std::move(path), std::move(handler), serve_options,
                              make_opener<io::UnixStream>(std::move(context), options));
}

}  // namespace knit::detail

namespace knit::tls {

namespace {

template <class S>
Coro<io::Connection> open_over(Coro<TlsStream<S>> connecting, io::StreamOptions options) {
    TlsStream<S> stream = co_await std::move(connecting);
    co_return io::make_streams(std::move(stream), options);
}

/// `name` and `alpn` are those of `options`.
Coro<TlsStream<io::UnixStream>> connect_unix(std::filesystem::path path, Context context, std::string name,
                                             std::string alpn, Options options) {
    Coro<io::UnixStream> connecting = io::UnixStream::connect(std::move(path));
    io::UnixStream socket = co_await std::move(connecting);
    options.server_name = name;
    options.alpn = alpn;
    Coro<TlsStream<io::UnixStream>> shaking = connect(std::move(socket), std::move(context), options);
    TlsStream<io::UnixStream> stream = co_await std::move(shaking);
    co_return stream;
}

}  // namespace

Coro<io::Connection> open_connection(io::Endpoint endpoint, Context context, io::StreamOptions stream_options,
                                     Options options) {
    return open_over(connect(std::move(endpoint), std::move(context), options), stream_options);
}

Coro<io::Connection> open_unix_connection(std::filesystem::path path, Context context,
                                          io::StreamOptions stream_options, Options options) {
    knit::detail::check_client(context, options.server_name);
    return open_over(connect_unix(std::move(path), std::move(context), std::string(options.server_name),
                                  std::string(options.alpn), options),
                     stream_options);
}

}  // namespace knit::tls
