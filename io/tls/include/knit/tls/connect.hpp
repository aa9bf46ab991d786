/// connect(), accept(), serve(): TLS connections, and TLS over streams that are there.
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/server.hpp"
#include "knit/io/tcp.hpp"
#include "knit/time.hpp"
#include "knit/tls/context.hpp"
#include "knit/tls/stream.hpp"

namespace knit::tls {

struct Options {
    /// Of a client: whom the certificate is to be for, and what the server is told (SNI). Empty: the host connected to.
    /// Copied by the call that it is given to.
    std::string_view server_name = {};
    /// Of a client: what it offers by ALPN, "h2,http/1.1", where the Context has no alpn() of its own. Copied likewise.
    std::string_view alpn = {};
    bool alpn_overrides = false;  ///< `alpn` is offered also where the Context has an alpn() of its own
    Duration handshake_timeout = std::chrono::seconds(60);  ///< zero: no limit
    Duration shutdown_timeout = std::chrono::seconds(30);   ///< for close() to send the rest; zero: no limit
};

// GCC 12 destroys an aggregate that is made inside a co_await expression twice.
static_assert(std::is_trivially_destructible_v<Options>);

}  // namespace knit::tls

namespace knit::detail {

/// Whom a client talks to; empty for a server.
struct TlsPeer {
    std::string host;
    std::string session_key;
    std::string alpn = {};  ///< as in Options
    bool alpn_overrides = false;
};

/// ValueError for a server's Context, or a client's that checks names and has none.
void check_client(const tls::Context& context, std::string_view host);
/// ValueError for a client's Context.
void check_server(const tls::Context& context);
/// The same, and RuntimeError for one without a certificate.
void check_serving(const tls::Context& context);

template <class S>
Coro<tls::TlsStream<S>> begin_tls(S stream, tls::Context context, TlsPeer peer, Duration handshake_timeout,
                                  Duration shutdown_timeout) {
    auto core = std::make_shared<TlsCoreOf<S>>(std::move(stream), context.state(), std::move(peer.host),
                                               std::move(peer.session_key), shutdown_timeout);
    core->offer(peer.alpn, peer.alpn_overrides);
    Coro<> shaking = TlsCore::handshake(core, handshake_timeout);
    co_await std::move(shaking);
    tls::TlsStream<S> made(std::move(core));
    co_return made;
}

Coro<tls::TlsStream<io::TcpStream>> connect_tls(io::Endpoint endpoint, tls::Context context, tls::Options options,
                                                io::ConnectOptions connect_options);

/// Shakes hands in the connection's own task, over a TcpStream or a UnixStream; who fails to is not handed on.
template <class S>
Coro<std::optional<tls::TlsStream<S>>> accept_for_server(S stream, tls::Context context, tls::Options options);

template <class F>
Coro<> serve_tls(std::shared_ptr<F> handler, io::TcpStream stream, tls::Context context, tls::Options options) {
    auto accepting = accept_for_server(std::move(stream), std::move(context), options);
    std::optional<tls::TlsStream<io::TcpStream>> accepted = co_await std::move(accepting);
    if (accepted) {
        Coro<> body = (*handler)(std::move(*accepted));
        co_await std::move(body);
    }
}

}  // namespace knit::detail

namespace knit::tls {

/// TLS over a stream that is connected, as its client. `options.server_name` says with whom. Throws CertificateError
/// with which certificate is refused and why, TlsError, TimeoutError, what the stream throws. Failed or cancelled: the
/// stream is closed; where this side refuses the peer, in the background, 5 seconds at most, so that it hears why.
template <io::ByteStream S>
Coro<TlsStream<S>> connect(S stream, Context context, Options options) {
    knit::detail::check_client(context, options.server_name);
    const std::string name(options.server_name);
    knit::detail::TlsPeer peer{name, name, std::string(options.alpn), options.alpn_overrides};
    return knit::detail::begin_tls(std::move(stream), std::move(context), std::move(peer), options.handshake_timeout,
                                   options.shutdown_timeout);
}
/// The same over TCP, which is connected first, as TcpStream::connect() does.
inline Coro<TlsStream<io::TcpStream>> connect(io::Endpoint endpoint, Context context, Options options = {},
                                              io::ConnectOptions connect_options = {}) {
    return knit::detail::connect_tls(std::move(endpoint), std::move(context), options, std::move(connect_options));
}
template <std::integral Port>
Coro<TlsStream<io::TcpStream>> connect(std::string_view host, Port port, Context context, Options options = {}) {
    return connect(io::Endpoint(host, static_cast<long>(port)), std::move(context), options);
}

/// TLS over a stream that was accepted, as its server. Throws and is cancelled as connect() is; but where it refuses
/// the client it waits itself until that has heard why and gone, a second at most, before it throws.
template <io::ByteStream S>
Coro<TlsStream<S>> accept(S stream, Context context, Options options = {}) {
    knit::detail::check_server(context);
    return knit::detail::begin_tls(std::move(stream), std::move(context), knit::detail::TlsPeer(),
                                   options.handshake_timeout, options.shutdown_timeout);
}

/// knit::serve() with TLS: calls `handler(TlsStream<TcpStream>) -> Coro<>` for each connection whose handshake has
/// succeeded. That is made in the connection's own task, so a client that is slow at it holds up nobody; one that fails
/// is closed, and logged at LogLevel::debug. RuntimeError at once for a Context without a certificate.
template <class F>
Coro<io::Server> serve(io::Endpoint endpoint, Context context, F handler, io::ServeOptions serve_options = {},
                       Options options = {}) {
    static_assert(std::is_invocable_r_v<Coro<>, F&, TlsStream<io::TcpStream>>,
                  "tls::serve() takes a function of a TlsStream by value: "
                  "knit::Coro<> handler(knit::TlsStream<knit::TcpStream>)");
    knit::detail::check_serving(context);
    auto shared = std::make_shared<F>(std::move(handler));
    auto shaking = [shared, context, options](io::TcpStream stream) {
        return knit::detail::serve_tls(shared, std::move(stream), context, options);
    };
    return io::serve(std::move(endpoint), std::move(shaking), serve_options);
}

}  // namespace knit::tls
