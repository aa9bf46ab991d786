#include "knit/io/endpoint.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <charconv>
#include <cstddef>

#include "knit/error.hpp"
#include "knit/io/detail/address.hpp"

namespace knit::io {
namespace {

constexpr long kPortMax = 65535;

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::uint16_t checked_port(long port, std::string_view where) {
    if (port < 0 || port > kPortMax) {
        throw ValueError("the port of " + quoted(where) + " must be from 0 to 65535, not " + std::to_string(port));
    }
    return static_cast<std::uint16_t>(port);
}

std::uint16_t parse_port(std::string_view digits, std::string_view whole) {
    if (digits.empty()) {
        throw ValueError("the port is missing in " + quoted(whole) + ": expected host:port");
    }
    for (const char digit : digits) {
        if (digit < '0' || digit > '9') {
            throw ValueError("the port in " + quoted(whole) + " must be a number from 0 to 65535, not " +
                             quoted(digits));
        }
    }
    long port = kPortMax + 1;  // stays when there are more digits than a long takes
    std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return checked_port(port, whole);
}

std::string_view without_brackets(std::string_view host, std::string_view whole) {
    const bool opens = host.starts_with('[');
    if (opens != host.ends_with(']') || (opens && host.size() == 2)) {
        throw ValueError("the brackets do not match in " + quoted(whole) + ": expected [address]:port");
    }
    if (opens) {
        host = host.substr(1, host.size() - 2);
    }
    if (host.find_first_of(std::string_view("[]\0 ", 4)) != std::string_view::npos) {
        throw ValueError("the host in " + quoted(whole) + " has a bracket, a space or a NUL in it");
    }
    return host;
}

}  // namespace

Endpoint::Endpoint(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    const std::size_t bracket = text.rfind(']');
    if (colon == std::string_view::npos || (bracket != std::string_view::npos && bracket > colon)) {
        throw ValueError("the port is missing in " + quoted(text) + ": expected host:port or [address]:port");
    }
    const std::string_view host = text.substr(0, colon);
    if (!host.starts_with('[') && host.find(':') != std::string_view::npos) {
        throw ValueError(quoted(text) + " is ambiguous: an IPv6 address with a port is written [address]:port");
    }
    host_ = without_brackets(host, text);
    port_ = parse_port(text.substr(colon + 1), text);
}

Endpoint::Endpoint(std::string_view host, long port)
    : host_(without_brackets(host, host)), port_(checked_port(port, host)) {}

std::string Endpoint::to_string() const {
    const bool needs_brackets = host_.find(':') != std::string::npos;
    return (needs_brackets ? "[" + host_ + "]:" : host_ + ":") + std::to_string(port_);
}

}  // namespace knit::io

namespace knit::detail {
namespace {

/// The number of an interface, given as a name or a number.
std::uint32_t parse_scope(const std::string& scope) {
    std::uint32_t number = if_nametoindex(scope.c_str());
    if (number == 0 && std::from_chars(scope.data(), scope.data() + scope.size(), number).ec != std::errc()) {
        throw ValueError("there is no network interface '" + scope + "'");
    }
    return number;
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t size) noexcept {
    if (size <= sizeof storage_) {
        std::memcpy(storage_, address, size);
        size_ = size;
    }
}

SocketAddress::SocketAddress(const io::Endpoint& endpoint) {
    auto* const four = reinterpret_cast<sockaddr_in*>(storage_);
    auto* const six = reinterpret_cast<sockaddr_in6*>(storage_);
    const std::size_t percent = endpoint.host().find('%');
    if (inet_pton(AF_INET, endpoint.host().c_str(), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        size_ = sizeof *four;
    } else if (inet_pton(AF_INET6, endpoint.host().substr(0, percent).c_str(), &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        size_ = sizeof *six;
        if (percent != std::string::npos) {
            six->sin6_scope_id = parse_scope(endpoint.host().substr(percent + 1));
        }
    } else {
        throw ValueError("'" + endpoint.host() + "' is no IPv4 or IPv6 address: look a name up with getaddrinfo()");
    }
    set_port(endpoint.port());
}

SocketAddress SocketAddress::mapped_to_ipv6() const noexcept {
    if (size_ < sizeof(sockaddr_in) || family() != AF_INET) {
        return *this;
    }
    SocketAddress result;
    auto* const six = reinterpret_cast<sockaddr_in6*>(result.storage_);
    six->sin6_family = AF_INET6;
    six->sin6_addr.s6_addr[10] = 0xff;
    six->sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&six->sin6_addr.s6_addr[12], &reinterpret_cast<const sockaddr_in*>(storage_)->sin_addr, 4);
    result.size_ = sizeof *six;
    result.set_port(port());
    return result;
}

// The port stands at the same place in both families.
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

std::uint16_t SocketAddress::port() const noexcept {
    const bool has_port = size_ >= sizeof(sockaddr_in) && (family() == AF_INET || family() == AF_INET6);
    return has_port ? ntohs(reinterpret_cast<const sockaddr_in*>(storage_)->sin_port) : std::uint16_t{0};
}

void SocketAddress::set_port(std::uint16_t port) noexcept {
    reinterpret_cast<sockaddr_in*>(storage_)->sin_port = htons(port);
}

std::string SocketAddress::host() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (size_ >= sizeof(sockaddr_in) && family() == AF_INET) {
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(storage_)->sin_addr, text.data(), text.size());
        return text.data();
    }
    if (size_ >= sizeof(sockaddr_in6) && family() == AF_INET6) {
        const auto* address = reinterpret_cast<const sockaddr_in6*>(storage_);
        inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
        const std::uint32_t scope = address->sin6_scope_id;
        return scope == 0 ? std::string(text.data()) : std::string(text.data()) + "%" + std::to_string(scope);
    }
    return {};
}

std::string SocketAddress::to_string() const { return io::Endpoint(host(), port()).to_string(); }

}  // namespace knit::detail
