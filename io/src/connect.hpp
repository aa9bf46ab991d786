/// Connecting to one of several addresses: happy eyeballs (RFC 8305).
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/detail/address.hpp"
#include "knit/io/tcp.hpp"

namespace knit::detail {

/// The families by turns, the first one's first `first_count` addresses before that; 0 leaves the order.
std::vector<SocketAddress> interleave(const std::vector<SocketAddress>& addresses, std::size_t first_count);

/// The first connection that stands; the other attempts are cancelled and closed. `addresses` must not be empty; the
/// options' timeout and local_endpoint are the caller's matter: `local` are the addresses to bind to, by family, none
/// for any. Throws as throw_connect_errors().
Coro<io::TcpStream> connect_to_any(std::vector<SocketAddress> addresses, std::vector<SocketAddress> local,
                                   io::ConnectOptions options);

/// One error for those of all attempts: the one, if they say the same, or "Multiple exceptions: ..." of asyncio's.
[[noreturn]] void throw_connect_errors(const std::vector<std::exception_ptr>& errors, bool all_errors);

}  // namespace knit::detail
