#include "knit/io/socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <system_error>

#include "knit/error.hpp"
#include "knit/log.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

SocketAddress local_address(int number) noexcept {
    SocketAddress address;
    address.reserve_all();
    if (getsockname(number, address.data(), address.size_word()) != 0) {
        return {};
    }
    return address;
}

}  // namespace

int seconds_up(Duration time, const char* what) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
    if (seconds < 0 || seconds > std::numeric_limits<int>::max()) {
        throw ValueError(std::string(what) + " must be a time from zero on, in whole seconds that an int takes");
    }
    return static_cast<int>(seconds);
}

std::string SocketDescriptor::describe() const {
    const SocketAddress local = local_address(number());
    if (peer.empty()) {
        return local.to_string();
    }
    return local.port() == 0 ? peer.to_string() : local.to_string() + " -> " + peer.to_string();
}

void SocketDescriptor::take_unread(std::size_t count) noexcept {
    unread->erase(0, count);
    if (unread->empty()) {
        unread.reset();
    }
}

std::size_t SocketDescriptor::read_unread(std::span<std::byte> buffer) noexcept {
    if (unread == nullptr) [[likely]] {
        return 0;
    }
    const std::size_t count = std::min(buffer.size(), unread->size());
    std::memcpy(buffer.data(), unread->data(), count);
    take_unread(count);
    return count;
}

bool ReadOp::is_ready() noexcept {
    if (!attach()) {
        return true;
    }
    auto* const socket = static_cast<SocketDescriptor*>(&descriptor());
    done_ = socket->read_unread(buffer_);
    if (done_ == buffer_.size() || (done_ != 0 && !to_the_end_)) {
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
            if (socket.unread == nullptr) {
                socket.unread = std::make_unique<std::string>();
            }
            socket.unread->insert(0, reinterpret_cast<const char*>(buffer_.data()), done_);
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

std::string option_name(int level, int name) {
    return "option " + std::to_string(name) + " of level " + std::to_string(level);
}

}  // namespace

void ReadExactly::throw_incomplete() const {
    throw IncompleteReadError(std::to_string(done_) + " bytes read on a total of " + std::to_string(buffer_.size()) +
                                  " expected bytes",
                              std::string(reinterpret_cast<const char*>(buffer_.data()), done_));
}

bool Write::await_ready() noexcept {
    if (!attach()) {
        return true;
    }
    if (bytes_.empty()) {
        result_ = 0;
        return true;
    }
    return false;
}

void Write::prepare(io_uring_sqe& sqe) noexcept {
    const auto& socket = static_cast<SocketDescriptor&>(descriptor());
    const std::span<const std::byte> rest = bytes_.subspan(done_);
    const std::size_t size = std::min(rest.size(), knit::detail::kTransferMax);
    const int flags = MSG_NOSIGNAL | (to_the_end_ ? MSG_WAITALL : 0);
    is_zero_copy_ = size >= socket.zero_copy_threshold && !must_copy_;
    if (is_zero_copy_) [[unlikely]] {
        io_uring_prep_send_zc(&sqe, socket.number(), rest.data(), size, flags, 0);
    } else {
        io_uring_prep_send(&sqe, socket.number(), rest.data(), size, flags);
    }
}

bool Write::absorb(int result) noexcept {
    if (is_zero_copy_ && !is_stopping()) {
        switch (result) {
            case -EINVAL:      // the kernel has not heard of it
            case -EOPNOTSUPP:  // this kind of socket cannot
                static_cast<SocketDescriptor&>(descriptor()).zero_copy_threshold = knit::detail::kNoZeroCopy;
                [[fallthrough]];
            case -ENOMEM:  // no more pages may be locked
            case -ENOBUFS: must_copy_ = true; return false;
            default: break;
        }
    }
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

void Socket::set(int level, int name, const void* value, std::size_t size, const char* what) {
    const SocketDescriptor& socket = descriptor(what);
    if (setsockopt(socket.number(), level, name, value, static_cast<socklen_t>(size)) != 0) {
        throw_option_error("set ", what, socket);
    }
}

void Socket::set(int level, int name, int value, const char* what) { set(level, name, &value, sizeof value, what); }

int Socket::get(int level, int name, const char* what) const {
    const SocketDescriptor& socket = descriptor(what);
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(socket.number(), level, name, &value, &size) != 0) {
        throw_option_error("get ", what, socket);
    }
    return value;
}

void Socket::set_option(int level, int name, int value) { set_option(level, name, &value, sizeof value); }
void Socket::set_option(int level, int name, const void* value, std::size_t size) {
    set(level, name, value, size, option_name(level, name).c_str());
}
int Socket::option(int level, int name) const { return get(level, name, option_name(level, name).c_str()); }

void Socket::send_buffer_size(int bytes) { set(SOL_SOCKET, SO_SNDBUF, bytes, "send_buffer_size"); }
int Socket::send_buffer_size() const { return get(SOL_SOCKET, SO_SNDBUF, "send_buffer_size"); }
void Socket::receive_buffer_size(int bytes) { set(SOL_SOCKET, SO_RCVBUF, bytes, "receive_buffer_size"); }
int Socket::receive_buffer_size() const { return get(SOL_SOCKET, SO_RCVBUF, "receive_buffer_size"); }

knit::detail::Ready Stream::shutdown(Shutdown direction) {
    const SocketDescriptor& socket = descriptor("shutdown");
    const int how = direction == Shutdown::read ? SHUT_RD : direction == Shutdown::write ? SHUT_WR : SHUT_RDWR;
    // ENOTCONN: the peer has reset the connection; there is nobody left to tell, and the next read or write says so.
    if (::shutdown(socket.number(), how) != 0 && errno != ENOTCONN) {
        throw std::system_error(errno, std::generic_category(), "shutdown " + socket.describe());
    }
    return {};
}

void Stream::zero_copy_threshold(std::size_t bytes) {
    descriptor("zero_copy_threshold").zero_copy_threshold =
        static_cast<std::uint32_t>(std::min<std::size_t>(bytes, knit::detail::kNoZeroCopy));
}

Endpoint Stream::peer_endpoint() const {
    const auto& peer = descriptor("peer_endpoint").peer;
    return {peer.host(), peer.port()};
}

void Stream::linger(std::optional<Duration> limit) {
    ::linger value{};
    if (limit) {
        value.l_onoff = 1;
        value.l_linger = knit::detail::seconds_up(*limit, "linger");
    }
    set(SOL_SOCKET, SO_LINGER, &value, sizeof value, "linger");
}

std::optional<Duration> Stream::linger() const {
    const SocketDescriptor& socket = descriptor("linger");
    ::linger value{};
    socklen_t size = sizeof value;
    if (getsockopt(socket.number(), SOL_SOCKET, SO_LINGER, &value, &size) != 0) {
        throw_option_error("get ", "linger", socket);
    }
    return value.l_onoff != 0 ? std::optional<Duration>(std::chrono::seconds(value.l_linger)) : std::nullopt;
}

}  // namespace knit::io
