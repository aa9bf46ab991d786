#include "knit/io/tcp.hpp"

#include <netinet/tcp.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "knit/to_thread.hpp"
#include "listen.hpp"
#include "resolve.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

class [[nodiscard]] ConnectOp final : public Op {
public:
    explicit ConnectOp(const DescriptorOwner& socket) noexcept : socket_(&socket) {}
    bool await_ready() noexcept { return !attach(socket_->get()); }
    void await_resume() { take_result("connect"); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        const SocketAddress& peer = static_cast<SocketDescriptor&>(descriptor()).peer;
        io_uring_prep_connect(&sqe, descriptor().number(), peer.data(), peer.size());
    }
    bool absorb(int result) noexcept override {
        result_ = result;
        return true;
    }

    const DescriptorOwner* socket_;
};

/// Errors of accept(2) that tell of the connection that was next, not of the listener: it is gone, the next may be
/// good.
bool is_about_connection(int error) noexcept {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:  // a firewall's rule
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET:
        case ENOPROTOOPT: return true;
        default: return false;
    }
}

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
    co_await ConnectOp(socket);
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

bool Accept::absorb(int result) noexcept {
    if (result < 0 && knit::detail::is_about_connection(-result) && !is_stopping()) {
        return false;
    }
    result_ = result;
    return true;
}

TcpStream Accept::await_resume() {
    take_result("accept");
    Fd connection = take_connection();
    return TcpStream(new SocketDescriptor(std::move(connection), peer_));
}

TcpListener::TcpListener(Fd fd) : Socket(new SocketDescriptor(std::move(fd))) {}

TcpListener TcpListener::bind(const Endpoint& endpoint, const ListenOptions& options) {
    return TcpListener(knit::detail::listen_at_first(endpoint, {options.reuse_port, options.backlog, false}));
}

}  // namespace knit::io
