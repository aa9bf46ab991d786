#include "listen.hpp"

#include <netinet/tcp.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "resolve.hpp"

namespace knit::detail {
namespace {

[[noreturn]] void fail(const char* operation, const io::Endpoint& endpoint) {
    throw std::system_error(errno, std::generic_category(), std::string(operation) + " " + endpoint.to_string());
}

void set_option(const Fd& fd, int level, int name, int value, const io::Endpoint& endpoint) {
    if (setsockopt(fd.get(), level, name, &value, sizeof value) != 0) {
        fail("set an option of", endpoint);
    }
}

void switch_on(const Fd& fd, int level, int name, const io::Endpoint& endpoint) {
    set_option(fd, level, name, 1, endpoint);
}

}  // namespace

Fd bind_at(const SocketAddress& address, const io::Endpoint& endpoint, const Listening& how) {
    Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        fail("make a socket for", endpoint);
    }
    switch_on(fd, SOL_SOCKET, SO_REUSEADDR, endpoint);
    switch_on(fd, IPPROTO_TCP, TCP_NODELAY, endpoint);  // what it accepts inherits it
    if (how.reuse_port) {
        switch_on(fd, SOL_SOCKET, SO_REUSEPORT, endpoint);
    }
    if (address.family() == AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, how.ipv6_only.value_or(!how.both_families) ? 1 : 0, endpoint);
    }
    if (how.defer_accept_seconds != 0) {
        set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, how.defer_accept_seconds, endpoint);
    }
    if (how.fast_open != 0) {
        set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, how.fast_open, endpoint);
    }
    if (how.receive_buffer_size != 0) {
        set_option(fd, SOL_SOCKET, SO_RCVBUF, how.receive_buffer_size, endpoint);
    }
    if (bind(fd.get(), address.data(), address.size()) != 0) {
        fail("bind", endpoint);
    }
    return fd;
}

Fd listen_at(const SocketAddress& address, const io::Endpoint& endpoint, const Listening& how) {
    Fd fd = bind_at(address, endpoint, how);
    if (listen(fd.get(), how.backlog) != 0) {
        fail("listen on", endpoint);
    }
    return fd;
}

Fd listen_at_first(const io::Endpoint& endpoint, Listening how) {
    how.both_families = endpoint.host().empty();
    std::optional<std::system_error> failure;
    for (const SocketAddress& address : resolve(endpoint, Purpose::listen)) {
        try {
            return listen_at(address, endpoint, how);
        } catch (const std::system_error& error) {
            failure = error;
        }
    }
    throw std::system_error(*failure);
}

SocketAddress bound_address(const Fd& fd) {
    SocketAddress address;
    address.reserve_all();
    if (getsockname(fd.get(), address.data(), address.size_word()) != 0) {
        throw std::system_error(errno, std::generic_category(), "getsockname");
    }
    return address;
}

}  // namespace knit::detail
