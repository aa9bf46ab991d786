#include "knit/io/unix.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "connect_op.hpp"
#include "knit/error.hpp"
#include "knit/io/detail/unix_address.hpp"
#include "unix_descriptor.hpp"

namespace knit::detail {

std::string UnixDescriptor::describe() const {
    std::string path = whom.empty() ? unix_local_address(number()).path() : whom;
    return path.empty() ? "an unnamed Unix socket" : "unix:" + path;
}

SocketFile::SocketFile(std::filesystem::path path) noexcept {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) {
        path_ = std::move(path);
        device_ = status.st_dev;
        number_ = status.st_ino;
    }
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::move(other.path_)), device_(other.device_), number_(other.number_) {
    other.path_.clear();
}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
    if (this != &other) {
        remove();
        path_ = std::move(other.path_);
        device_ = other.device_;
        number_ = other.number_;
        other.path_.clear();
    }
    return *this;
}

void SocketFile::remove() noexcept {
    struct stat status{};
    if (!path_.empty() && ::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
        status.st_ino == number_) {
        // Gone already, or in a directory that is ours no more: there is nobody to be told.
        static_cast<void>(::unlink(path_.c_str()));
    }
    path_.clear();
}

Fd make_unix_socket(int type, const std::string& whom) {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!fd) {
        throw std::system_error(errno, std::generic_category(), "make a socket for unix:" + whom);
    }
    return fd;
}

std::pair<Fd, Fd> make_unix_pair(int type) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw std::system_error(errno, std::generic_category(), "make a pair of Unix sockets");
    }
    return {Fd(ends[0]), Fd(ends[1])};
}

void bind_unix(int number, const UnixAddress& address) {
    struct stat status{};
    const std::string path = address.path();
    if (address.is_file() && ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        static_cast<void>(::unlink(path.c_str()));  // refused: bind() says so
    }
    if (::bind(number, address.data(), address.size()) != 0) {
        throw std::system_error(errno, std::generic_category(), "bind unix:" + path);
    }
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::DescriptorOwner;
using knit::detail::Fd;
using knit::detail::UnixAddress;
using knit::detail::UnixDescriptor;

UnixStream::UnixStream(Fd fd) : Stream(new UnixDescriptor(std::move(fd))) {}

Coro<UnixStream> UnixStream::connect(std::filesystem::path path) {
    const UnixAddress address(path);
    if (address.is_unnamed()) {
        throw ValueError("UnixStream::connect() takes the path or the @name of a socket, and it is empty");
    }
    std::string whom = address.path();
    Fd fd = knit::detail::make_unix_socket(SOCK_STREAM, whom);
    DescriptorOwner socket(new UnixDescriptor(std::move(fd), std::move(whom)));
    co_await knit::detail::ConnectOp(socket, address.data(), address.size());
    co_return UnixStream(static_cast<UnixDescriptor*>(socket.release()));
}

std::pair<UnixStream, UnixStream> UnixStream::pair() {
    auto [near, far] = knit::detail::make_unix_pair(SOCK_STREAM);
    return {UnixStream(std::move(near)), UnixStream(std::move(far))};
}

std::string UnixStream::local_path() const {
    return knit::detail::unix_local_address(descriptor("local_path").number()).path();
}

std::string UnixStream::peer_path() const {
    return knit::detail::unix_peer_address(descriptor("peer_path").number()).path();
}

PeerCredentials UnixStream::peer_credentials() const {
    ucred found{};
    socklen_t size = sizeof found;
    if (getsockopt(descriptor("peer_credentials").number(), SOL_SOCKET, SO_PEERCRED, &found, &size) != 0) {
        throw std::system_error(errno, std::generic_category(), "peer_credentials");
    }
    return {found.pid, found.uid, found.gid};
}

void UnixAccept::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_accept(&sqe, descriptor().number(), nullptr, nullptr, SOCK_CLOEXEC);
}

UnixStream UnixAccept::await_resume() { return UnixStream(accepted()); }

UnixListener::UnixListener(Fd fd) : Socket(new UnixDescriptor(std::move(fd))) {}

UnixListener UnixListener::bind(const std::filesystem::path& path, const UnixListenOptions& options) {
    const UnixAddress address(path);
    if (address.is_unnamed()) {
        throw ValueError("UnixListener::bind() takes a path or an @name, and it is empty");
    }
    Fd fd = knit::detail::make_unix_socket(SOCK_STREAM, address.path());
    knit::detail::bind_unix(fd.get(), address);
    knit::detail::SocketFile file;
    if (options.remove_file && address.is_file()) {
        file = knit::detail::SocketFile(path);
    }
    if (::listen(fd.get(), options.backlog) != 0) {
        throw std::system_error(errno, std::generic_category(), "listen on unix:" + address.path());
    }
    UnixListener listener(std::move(fd));
    listener.file_ = std::move(file);
    return listener;
}

std::string UnixListener::local_path() const {
    return knit::detail::unix_local_address(descriptor("local_path").number()).path();
}

}  // namespace knit::io
