#include "knit/io/tcp.hpp"

#include <netinet/tcp.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "connect_op.hpp"
#include "knit/to_thread.hpp"
#include "listen.hpp"
#include "resolve.hpp"

namespace knit::detail {
namespace {

SocketDescriptor* make_socket(const SocketAddress& peer) {
    Fd fd(socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        throw std::system_error(errno, std::generic_category(), "make a socket for " + peer.to_string());
    }
    return new SocketDescriptor(std::move(fd), peer);
}

Coro<std::vector<SocketAddress>> resolve_for_connect(io::Endpoint endpoint) {
    if (is_literal(endpoint)) {
        co_return resolve(endpoint, Purpose::connect);
    }
    auto look_up = to_thread([endpoint] { return resolve(endpoint, Purpose::connect); });
    co_return co_await std::move(look_up);
}

Coro<io::TcpStream> connect_to(SocketAddress peer) {
    DescriptorOwner socket(make_socket(peer));
    co_await ConnectOp(socket, peer.data(), peer.size());
    io::TcpStream stream(static_cast<SocketDescriptor*>(socket.release()));
    stream.nodelay(true);
    co_return stream;
}

}  // namespace
}  // namespace knit::detail

namespace knit::io {

using knit::detail::Fd;
using knit::detail::SocketDescriptor;

Coro<TcpStream> TcpStream::connect(Endpoint endpoint) {
    const auto addresses = co_await knit::detail::resolve_for_connect(std::move(endpoint));
    std::optional<std::system_error> failure;
    for (const knit::detail::SocketAddress& address : addresses) {
        try {
            co_return co_await knit::detail::connect_to(address);
        } catch (const std::system_error& error) {
            failure = error;
        }
    }
    throw std::system_error(*failure);
}

void TcpStream::nodelay(bool on) { set_option(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0, "nodelay"); }
bool TcpStream::nodelay() const { return option(IPPROTO_TCP, TCP_NODELAY, "nodelay") != 0; }

void Accept::prepare(io_uring_sqe& sqe) noexcept {
    peer_.reserve_all();
    io_uring_prep_accept(&sqe, descriptor().number(), peer_.data(), peer_.size_word(), SOCK_CLOEXEC);
}

TcpStream Accept::await_resume() {
    Fd connection = accepted();
    return TcpStream(new SocketDescriptor(std::move(connection), peer_));
}

TcpListener::TcpListener(Fd fd) : Socket(new SocketDescriptor(std::move(fd))) {}

TcpListener TcpListener::bind(const Endpoint& endpoint, const ListenOptions& options) {
    return TcpListener(knit::detail::listen_at_first(endpoint, {options.reuse_port, options.backlog, false}));
}

}  // namespace knit::io
