/// Names to addresses.
#pragma once

#include <system_error>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/detail/address.hpp"
#include "knit/io/endpoint.hpp"

struct addrinfo;

namespace knit::detail {

enum class Purpose { listen, connect };

/// Whether resolve() answers at once: an address, or an empty host.
bool is_literal(const io::Endpoint& endpoint) noexcept;

/// The addresses to try, in the order to try them; never empty. Names are looked up by getaddrinfo(3), which blocks.
/// Any thread. Throws std::system_error of resolve_category().
std::vector<SocketAddress> resolve(const io::Endpoint& endpoint, Purpose purpose);

/// resolve(), a name on the blocking pool. Cancelled: CancelledError; the look-up ends on its thread.
Coro<std::vector<SocketAddress>> resolve_off_loop(io::Endpoint endpoint, Purpose purpose);

/// Puts those addresses of the resolver's list behind `found` that are not in it yet.
void add_endpoints(const addrinfo* list, std::vector<io::Endpoint>& found);

/// The codes of getaddrinfo (EAI_...).
const std::error_category& resolve_category() noexcept;

}  // namespace knit::detail
