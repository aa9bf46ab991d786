#include "knit/io/socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "knit/error.hpp"
#include "knit/log.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

// What the kernel takes in one request; more is cut there, so it is cut here, where the count is 32 bits wide.
constexpr std::size_t kTransferMax = 0x7ffff000;

SocketAddress local_address(int number) noexcept {
    SocketAddress address;
    address.reserve_all();
    if (getsockname(number, address.data(), address.size_word()) != 0) {
        return {};
    }
    return address;
}

}  // namespace

std::string SocketDescriptor::describe() const {
    const SocketAddress local = local_address(number());
    if (peer.empty()) {
        return local.to_string();
    }
    return local.port() == 0 ? peer.to_string() : local.to_string() + " -> " + peer.to_string();
}

bool ReadOp::is_ready() noexcept {
    auto* const socket = static_cast<SocketDescriptor*>(socket_->get());
    if (!attach(socket)) {
        return true;
    }
    if (!socket->unread.empty()) [[unlikely]] {
        done_ = std::min(buffer_.size(), socket->unread.size());
        std::memcpy(buffer_.data(), socket->unread.data(), done_);
        socket->unread.erase(0, done_);
        if (done_ != 0 && (!to_the_end_ || done_ == buffer_.size())) {
            result_ = 0;
            return true;
        }
    }
    if (buffer_.empty()) {
        result_ = 0;
        return true;
    }
    return false;
}

void ReadOp::prepare(io_uring_sqe& sqe) noexcept {
    const std::span<std::byte> rest = buffer_.subspan(done_);
    io_uring_prep_recv(&sqe, descriptor().number(), rest.data(), std::min(rest.size(), kTransferMax),
                       to_the_end_ ? MSG_WAITALL : 0);
}

bool ReadOp::absorb(int result) noexcept {
    if (to_the_end_) {
        return absorb_exactly(result);
    }
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result > 0) [[likely]] {
        done_ = static_cast<std::size_t>(result);
    }
    return true;
}

bool ReadOp::absorb_exactly(int result) noexcept {
    if (result > 0) {
        done_ += static_cast<std::size_t>(result);
        result_ = 0;
        return done_ == buffer_.size();
    }
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result == -ECANCELED && done_ != 0) {
        // The bytes that came are not lost with the cancelled call.
        auto& socket = static_cast<SocketDescriptor&>(descriptor());
        try {
            socket.unread.insert(0, reinterpret_cast<const char*>(buffer_.data()), done_);
        } catch (const std::bad_alloc&) {
            log(LogLevel::error, "knit: out of memory: a cancelled read_exactly() lost what it had read");
        }
    }
    return true;
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::SocketDescriptor;

namespace {

[[noreturn]] void throw_option_error(const char* verb, const char* option, const SocketDescriptor& socket) {
    const int error = errno;
    throw std::system_error(error, std::generic_category(), std::string(verb) + option + " of " + socket.describe());
}

}  // namespace

void ReadExactly::throw_incomplete() const {
    throw IncompleteReadError(std::to_string(done_) + " bytes read on a total of " + std::to_string(buffer_.size()) +
                                  " expected bytes",
                              std::string(reinterpret_cast<const char*>(buffer_.data()), done_));
}

bool Write::await_ready() noexcept {
    if (!attach(socket_->get())) {
        return true;
    }
    if (bytes_.empty()) {
        result_ = 0;
        return true;
    }
    return false;
}

void Write::prepare(io_uring_sqe& sqe) noexcept {
    const std::span<const std::byte> rest = bytes_.subspan(done_);
    io_uring_prep_send(&sqe, descriptor().number(), rest.data(), std::min(rest.size(), knit::detail::kTransferMax),
                       MSG_NOSIGNAL | (to_the_end_ ? MSG_WAITALL : 0));
}

bool Write::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result < 0) {
        return true;
    }
    done_ += static_cast<std::size_t>(result);
    return !to_the_end_ || done_ == bytes_.size();
}

int Socket::native_handle() const noexcept { return is_open() ? owner_.get()->number() : -1; }

SocketDescriptor& Socket::descriptor(const char* what) const {
    if (!is_open()) {
        throw std::system_error(EBADF, std::generic_category(), std::string(what) + ": it is closed");
    }
    return static_cast<SocketDescriptor&>(*owner_.get());
}

Endpoint Socket::local_endpoint() const {
    const SocketDescriptor& socket = descriptor("local_endpoint");
    const auto address = knit::detail::local_address(socket.number());
    if (address.empty()) {
        throw std::system_error(errno, std::generic_category(), "local_endpoint");
    }
    return {address.host(), address.port()};
}

void Socket::set_option(int level, int name, int value, const char* what) {
    const SocketDescriptor& socket = descriptor(what);
    if (setsockopt(socket.number(), level, name, &value, sizeof value) != 0) {
        throw_option_error("set ", what, socket);
    }
}

int Socket::option(int level, int name, const char* what) const {
    const SocketDescriptor& socket = descriptor(what);
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(socket.number(), level, name, &value, &size) != 0) {
        throw_option_error("get ", what, socket);
    }
    return value;
}

knit::detail::Ready Stream::shutdown() {
    const SocketDescriptor& socket = descriptor("shutdown");
    // ENOTCONN: the peer has reset the connection; there is nobody left to tell, and the next read or write says so.
    if (::shutdown(socket.number(), SHUT_WR) != 0 && errno != ENOTCONN) {
        throw std::system_error(errno, std::generic_category(), "shutdown " + socket.describe());
    }
    return {};
}

Endpoint Stream::peer_endpoint() const {
    const auto& peer = descriptor("peer_endpoint").peer;
    return {peer.host(), peer.port()};
}

void Stream::keepalive(bool on) { set_option(SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0, "keepalive"); }
bool Stream::keepalive() const { return option(SOL_SOCKET, SO_KEEPALIVE, "keepalive") != 0; }
void Stream::send_buffer_size(int bytes) { set_option(SOL_SOCKET, SO_SNDBUF, bytes, "send_buffer_size"); }
int Stream::send_buffer_size() const { return option(SOL_SOCKET, SO_SNDBUF, "send_buffer_size"); }
void Stream::receive_buffer_size(int bytes) { set_option(SOL_SOCKET, SO_RCVBUF, bytes, "receive_buffer_size"); }
int Stream::receive_buffer_size() const { return option(SOL_SOCKET, SO_RCVBUF, "receive_buffer_size"); }

}  // namespace knit::io
