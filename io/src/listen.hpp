/// Making listening sockets: for TcpListener, and for servers.
#pragma once

#include <optional>
#include <vector>

#include "knit/io/detail/address.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::detail {

struct Listening {
    bool reuse_port = false;  ///< others that say so may listen there too
    int backlog = 1024;
    bool both_families = false;  ///< an IPv6 socket takes IPv4 connections too; ipv6_only overrules it
    std::optional<bool> ipv6_only = {};
    int defer_accept_seconds = 0;
    int fast_open = 0;
    int receive_buffer_size = 0;
};

/// A socket that is bound to `address`. Throws std::system_error with `endpoint` in what().
Fd bind_at(const SocketAddress& address, const io::Endpoint& endpoint, const Listening& how);

/// A socket that listens at `address`. Throws likewise.
Fd listen_at(const SocketAddress& address, const io::Endpoint& endpoint, const Listening& how);

/// A socket that listens at the first address of `endpoint` that can be listened at.
Fd listen_at_first(const io::Endpoint& endpoint, Listening how);

/// Where a socket is bound to.
SocketAddress bound_address(const Fd& fd);

}  // namespace knit::detail
