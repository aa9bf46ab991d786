#include "knit/io/unix_datagram.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "knit/error.hpp"
#include "unix_descriptor.hpp"

namespace knit::io {

using knit::detail::Fd;
using knit::detail::UnixAddress;
using knit::detail::UnixDescriptor;

UnixDatagram::UnixDatagram(Fd fd, std::string whom) : Socket(new UnixDescriptor(std::move(fd), std::move(whom))) {}

void UnixDatagram::bind_here(const std::filesystem::path& path) {
    const UnixAddress address(path);
    knit::detail::bind_unix(native_handle(), address);
    if (address.is_file()) {
        file_ = knit::detail::SocketFile(path);
    }
}

UnixDatagram UnixDatagram::bind(const std::filesystem::path& path) {
    UnixDatagram socket(knit::detail::make_unix_socket(SOCK_DGRAM, path.native()), {});
    socket.bind_here(path);
    return socket;
}

UnixDatagram UnixDatagram::connect(const std::filesystem::path& path) {
    const UnixAddress address(path);
    if (address.is_unnamed()) {
        throw ValueError("UnixDatagram::connect() takes the path or the @name of a socket, and it is empty");
    }
    UnixDatagram socket(knit::detail::make_unix_socket(SOCK_DGRAM, address.path()), address.path());
    if (::connect(socket.native_handle(), address.data(), address.size()) != 0) {
        throw std::system_error(errno, std::generic_category(), "connect unix:" + address.path());
    }
    return socket;
}

UnixDatagram UnixDatagram::connect(const std::filesystem::path& path, const std::filesystem::path& local) {
    UnixDatagram socket = connect(path);
    socket.bind_here(local);
    return socket;
}

std::pair<UnixDatagram, UnixDatagram> UnixDatagram::pair() {
    auto [near, far] = knit::detail::make_unix_pair(SOCK_DGRAM);
    return {UnixDatagram(std::move(near), {}), UnixDatagram(std::move(far), {})};
}

std::string UnixDatagram::local_path() const {
    return knit::detail::unix_local_address(descriptor("local_path").number()).path();
}

}  // namespace knit::io
