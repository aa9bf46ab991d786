/// Endpoint: a host and a port, as text.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace knit::io {

/// Where to connect to or to listen on. The host is an IPv4 or IPv6 address or a name; an empty one means every
/// interface when listening and this machine when connecting. A plain value.
class Endpoint {
public:
    Endpoint() = default;
    /// "127.0.0.1:8080", "[::1]:8080", "example.org:80", ":8080". Throws ValueError that says what is wrong.
    Endpoint(std::string_view text);      // NOLINT(google-explicit-constructor): an endpoint is written as text
    Endpoint(const char* text) : Endpoint(std::string_view(text)) {}         // NOLINT(google-explicit-constructor)
    template <std::integral Port>
    Endpoint(Port) = delete;           // a port alone: say the host too, Endpoint("", 8080) for every interface
    Endpoint(std::nullptr_t) = delete;  // no text: Endpoint() is every interface and port 0
    Endpoint(const std::string& text) : Endpoint(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
    /// Brackets around an IPv6 address may be left out here. Throws ValueError for a port that is none.
    Endpoint(std::string_view host, long port);

    const std::string& host() const noexcept { return host_; }
    std::uint16_t port() const noexcept { return port_; }
    /// "host:port", brackets around the host where it has colons: what the constructor takes.
    std::string to_string() const;

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;

private:
    std::string host_;
    std::uint16_t port_ = 0;
};

inline Endpoint endpoint(std::string_view text) { return Endpoint(text); }
inline Endpoint endpoint(std::string_view host, long port) { return Endpoint(host, port); }

}  // namespace knit::io

namespace knit {
using io::Endpoint;
using io::endpoint;
}  // namespace knit
