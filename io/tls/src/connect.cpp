#include "knit/tls/connect.hpp"

#include <exception>
#include <system_error>

#include <openssl/ssl.h>

#include "context_state.hpp"
#include "knit/error.hpp"
#include "knit/io/unix.hpp"
#include "knit/log.hpp"

namespace knit::detail {
namespace {

using TcpTls = tls::TlsStream<io::TcpStream>;

/// Whom a certificate is for: "localhost" where this machine was meant.
std::string host_of(const io::Endpoint& endpoint) {
    return endpoint.host().empty() ? "localhost" : endpoint.host();
}

std::string peer_of(const io::TcpStream& stream) {
    try {
        return stream.peer_endpoint().to_string();
    } catch (const std::system_error&) {
        return "a client that is gone";
    }
}
std::string peer_of(const io::UnixStream& stream) { return "a client of unix:" + stream.local_path(); }

}  // namespace

void check_client(const tls::Context& context, std::string_view host) {
    const TlsContextState& state = *context.state();
    if (state.is_server()) {
        throw ValueError("tls::connect() takes a client's Context: tls::Context::client()");
    }
    if (host.empty() && state.checks_hostname && SSL_CTX_get_verify_mode(state.handle()) != SSL_VERIFY_NONE) {
        throw ValueError(
            "tls::connect() over a stream has to know whose certificate to expect: say "
            "tls::Options::server_name, or Context::check_hostname(false)");
    }
}

void check_server(const tls::Context& context) {
    if (!context.is_server()) {
        throw ValueError("accepting takes a server's Context: tls::Context::server(chain, key)");
    }
}

void check_serving(const tls::Context& context) {
    check_server(context);
    context.state()->check_certificate();
}

namespace {

Coro<TcpTls> connect_to(io::Endpoint endpoint, tls::Context context, TlsPeer peer, tls::Options options,
                        io::ConnectOptions connect_options) {
    Coro<io::TcpStream> connecting = io::TcpStream::connect(std::move(endpoint), std::move(connect_options));
    io::TcpStream stream = co_await std::move(connecting);
    Coro<TcpTls> beginning = begin_tls(std::move(stream), std::move(context), std::move(peer),
                                       options.handshake_timeout, options.shutdown_timeout);
    TcpTls made = co_await std::move(beginning);
    co_return made;
}

}  // namespace

Coro<TcpTls> connect_tls(io::Endpoint endpoint, tls::Context context, tls::Options options,
                         io::ConnectOptions connect_options) {
    TlsPeer peer;
    peer.host = options.server_name.empty() ? host_of(endpoint) : std::string(options.server_name);
    peer.session_key = peer.host + " " + endpoint.to_string();
    peer.alpn = options.alpn;
    peer.alpn_overrides = options.alpn_overrides;
    check_client(context, peer.host);
    options.server_name = options.alpn = {};  // does not live on
    return connect_to(std::move(endpoint), std::move(context), std::move(peer), options, std::move(connect_options));
}

template <class S>
Coro<std::optional<tls::TlsStream<S>>> accept_for_server(S stream, tls::Context context, tls::Options options) {
    std::string peer = peer_of(stream);
    std::optional<tls::TlsStream<S>> made;
    std::string failure;
    try {
        Coro<tls::TlsStream<S>> accepting = tls::accept(std::move(stream), std::move(context), options);
        made.emplace(co_await std::move(accepting));
    } catch (const std::system_error& error) {
        failure = error.what();
    } catch (const TimeoutError& error) {
        failure = error.what();
    }
    if (!made) {
        log(LogLevel::debug, "knit: " + peer + ": " + failure);
    }
    co_return made;
}

template Coro<std::optional<tls::TlsStream<io::TcpStream>>> accept_for_server(io::TcpStream stream,
                                                                              tls::Context context,
                                                                              tls::Options options);
template Coro<std::optional<tls::TlsStream<io::UnixStream>>> accept_for_server(io::UnixStream stream,
                                                                               tls::Context context,
                                                                               tls::Options options);

}  // namespace knit::detail
