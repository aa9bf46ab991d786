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

void switch_on(const Fd& fd, int level, int name, const io::Endpoint& endpoint) {
    const int on = 1;
    if (setsockopt(fd.get(), level, name, &on, sizeof on) != 0) {
        fail("set an option of", endpoint);
    }
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
        const int only = how.both_families ? 0 : 1;
        if (setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) {
            fail("set an option of", endpoint);
        }
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
