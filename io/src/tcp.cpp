#include "knit/io/tcp.hpp"

#include <netinet/tcp.h>

#include <chrono>
#include <limits>

#include "knit/error.hpp"
#include "listen.hpp"
#include "ring.hpp"

namespace knit::io {

using knit::detail::Fd;
using knit::detail::seconds_up;
using knit::detail::SocketDescriptor;

void TcpStream::nodelay(bool on) { set(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0, "nodelay"); }
bool TcpStream::nodelay() const { return get(IPPROTO_TCP, TCP_NODELAY, "nodelay") != 0; }
void TcpStream::keepalive(bool on) { set(SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0, "keepalive"); }
bool TcpStream::keepalive() const { return get(SOL_SOCKET, SO_KEEPALIVE, "keepalive") != 0; }

void TcpStream::keepalive(const KeepAlive& times) {
    if (times.idle) {
        set(IPPROTO_TCP, TCP_KEEPIDLE, seconds_up(*times.idle, "keepalive's idle"), "keepalive's idle");
    }
    if (times.interval) {
        set(IPPROTO_TCP, TCP_KEEPINTVL, seconds_up(*times.interval, "keepalive's interval"), "keepalive's interval");
    }
    if (times.count) {
        set(IPPROTO_TCP, TCP_KEEPCNT, *times.count, "keepalive's count");
    }
    keepalive(true);
}

void TcpStream::user_timeout(Duration limit) {
    const auto time = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    if (time < 0 || time > std::numeric_limits<int>::max()) {
        throw ValueError("user_timeout must be from zero to 24 days");
    }
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(time), "user_timeout");
}
Duration TcpStream::user_timeout() const {
    return std::chrono::milliseconds(get(IPPROTO_TCP, TCP_USER_TIMEOUT, "user_timeout"));
}

void TcpStream::quickack(bool on) { set(IPPROTO_TCP, TCP_QUICKACK, on ? 1 : 0, "quickack"); }

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
    knit::detail::Listening how;
    how.reuse_port = options.reuse_port;
    how.backlog = options.backlog;
    how.ipv6_only = options.ipv6_only;
    how.fast_open = options.fast_open;
    how.receive_buffer_size = options.receive_buffer_size;
    if (options.defer_accept) {
        how.defer_accept_seconds = seconds_up(*options.defer_accept, "defer_accept");
    }
    return TcpListener(knit::detail::listen_at_first(endpoint, how));
}

}  // namespace knit::io
