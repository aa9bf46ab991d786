#include "knit/io/udp.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "knit/error.hpp"
#include "knit/io/detail/fd.hpp"
#include "resolve.hpp"

namespace knit::io {
namespace {

using knit::detail::Fd;
using knit::detail::Purpose;
using knit::detail::SocketDescriptor;

[[noreturn]] void fail(const char* operation, const std::string& whom) {
    throw std::system_error(errno, std::generic_category(), std::string(operation) + " " + whom);
}

void set_option(const Fd& fd, int level, int name, int value, const SocketAddress& address) {
    if (setsockopt(fd.get(), level, name, &value, sizeof value) != 0) {
        fail("set an option of a UDP socket at", address.to_string());
    }
}

Fd make_socket(const SocketAddress& address, const UdpOptions& options, bool is_any) {
    Fd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        fail("make a UDP socket for", address.to_string());
    }
    if (options.reuse_address) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, address);
    }
    if (options.reuse_port) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, address);
    }
    if (options.broadcast) {
        set_option(fd, SOL_SOCKET, SO_BROADCAST, 1, address);
    }
    if (address.family() == AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only.value_or(!is_any) ? 1 : 0, address);
    }
    return fd;
}

Fd bound_socket(const SocketAddress& address, const UdpOptions& options, bool is_any) {
    Fd fd = make_socket(address, options, is_any);
    if (::bind(fd.get(), address.data(), address.size()) != 0) {
        fail("bind UDP", address.to_string());
    }
    return fd;
}

/// A socket that is connected to `peer`, which does not block, from the address of its family in `local`.
Fd connected_socket(const SocketAddress& peer, const std::vector<SocketAddress>& local, const UdpOptions& options) {
    Fd fd;
    for (const SocketAddress& mine : local) {
        if (!fd && mine.family() == peer.family()) {
            fd = bound_socket(mine, options, false);
        }
    }
    if (!fd && !local.empty()) {
        errno = EAFNOSUPPORT;
        fail("connect UDP", peer.to_string() + " from " + local.front().to_string());
    }
    if (!fd) {
        fd = make_socket(peer, options, false);
    }
    if (::connect(fd.get(), peer.data(), peer.size()) != 0) {
        fail("connect UDP", peer.to_string());
    }
    return fd;
}

unsigned interface_index(const std::string& name) {
    const unsigned index = name.empty() ? 0 : if_nametoindex(name.c_str());
    if (index == 0 && !name.empty()) {
        fail("find the interface", name);
    }
    return index;
}

}  // namespace

UdpSocket UdpSocket::bind(const Endpoint& endpoint, const UdpOptions& options) {
    const bool is_any = endpoint.host().empty();
    std::optional<std::system_error> failure;
    for (const SocketAddress& address : resolve(endpoint, Purpose::listen)) {
        try {
            Fd fd = bound_socket(address, options, is_any);
            return {new SocketDescriptor(std::move(fd)), address.family()};
        } catch (const std::system_error& error) {
            failure = error;
        }
    }
    throw std::system_error(*failure);
}

Coro<UdpSocket> UdpSocket::connect(Endpoint peer, std::optional<Endpoint> local, UdpOptions options) {
    std::vector<SocketAddress> from;
    if (local) {
        from = co_await knit::detail::resolve_off_loop(std::move(*local), Purpose::listen);
    }
    const std::vector<SocketAddress> to = co_await knit::detail::resolve_off_loop(std::move(peer), Purpose::connect);
    std::optional<std::system_error> failure;
    for (const SocketAddress& address : to) {
        try {
            Fd fd = connected_socket(address, from, options);
            co_return UdpSocket(new SocketDescriptor(std::move(fd), address), address.family());
        } catch (const std::system_error& error) {
            failure = error;
        }
    }
    throw std::system_error(*failure);
}

Endpoint UdpSocket::peer_endpoint() const {
    const SocketAddress& peer = descriptor("peer_endpoint").peer;
    if (peer.empty()) {
        throw std::system_error(ENOTCONN, std::generic_category(), "peer_endpoint: UdpSocket::connect() makes one");
    }
    return peer;
}

void UdpSocket::broadcast(bool on) { set(SOL_SOCKET, SO_BROADCAST, on ? 1 : 0, "broadcast"); }
bool UdpSocket::broadcast() const { return get(SOL_SOCKET, SO_BROADCAST, "broadcast") != 0; }

void UdpSocket::change_membership(int option, const Endpoint& group, const std::string& interface, const char* what) {
    const SocketAddress address(group);
    group_req request{};
    request.gr_interface = interface_index(interface);
    std::memcpy(&request.gr_group, address.data(), address.size());
    set(address.family() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, option, &request, sizeof request, what);
}

void UdpSocket::join(const Endpoint& group, const std::string& interface) {
    change_membership(MCAST_JOIN_GROUP, group, interface, "membership of a multicast group");
}

void UdpSocket::leave(const Endpoint& group, const std::string& interface) {
    change_membership(MCAST_LEAVE_GROUP, group, interface, "membership of a multicast group");
}

void UdpSocket::multicast_interface(const std::string& interface) {
    const auto index = static_cast<int>(interface_index(interface));
    if (is_ipv6_) {
        set(IPPROTO_IPV6, IPV6_MULTICAST_IF, index, "multicast_interface");
        return;
    }
    ip_mreqn request{};
    request.imr_ifindex = index;
    set(IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request, "multicast_interface");
}

void UdpSocket::multicast_hops(int hops) {
    set(is_ipv6_ ? IPPROTO_IPV6 : IPPROTO_IP, is_ipv6_ ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, hops,
        "multicast_hops");
}

void UdpSocket::multicast_loop(bool on) {
    set(is_ipv6_ ? IPPROTO_IPV6 : IPPROTO_IP, is_ipv6_ ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, on ? 1 : 0,
        "multicast_loop");
}

}  // namespace knit::io
