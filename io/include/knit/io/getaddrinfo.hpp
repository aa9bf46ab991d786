/// getaddrinfo(): names to addresses, off the loop.
#pragma once

#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/time.hpp"

namespace knit::io {

enum class Family { any, ipv4, ipv6 };

struct AddressOptions {
    Family family = Family::any;
    /// TimeoutError after it. getaddrinfo(3) cannot be stopped: a look-up that is given up goes on on its thread of the
    /// blocking pool, and run() waits for it.
    std::optional<Duration> timeout = {};
    bool numeric_only = false;  ///< AI_NUMERICHOST: a name is an error instead of a look-up
    bool to_listen = false;     ///< AI_PASSIVE: an empty host is every interface, not this machine
};

/// The addresses of a host, a name or an address, each with the port of the service, a number or a name of
/// /etc/services; in the order in which they are to be tried, each once. An empty service is port 0. An address with a
/// number is answered at once, a name by getaddrinfo(3) on the blocking pool. Throws std::system_error of
/// address_category(). Cancelled: CancelledError; the look-up goes on on its thread and its result is dropped.
Coro<std::vector<Endpoint>> getaddrinfo(std::string host, std::string service = {}, AddressOptions options = {});
Coro<std::vector<Endpoint>> getaddrinfo(std::string host, long port, AddressOptions options = {});

/// The codes of getaddrinfo(3) (EAI_NONAME ...); its name is "getaddrinfo".
const std::error_category& address_category() noexcept;

}  // namespace knit::io

namespace knit {
using io::AddressOptions;
using io::Family;
using io::getaddrinfo;
}  // namespace knit
