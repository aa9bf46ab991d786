/// SocketAddress: an IPv4 or IPv6 address and port as the kernel takes it, without the kernel's headers' weight: a
/// connection keeps one, an accept in flight has one written.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "knit/io/endpoint.hpp"

namespace knit::detail {

class SocketAddress {
public:
    SocketAddress() noexcept = default;
    SocketAddress(const sockaddr* address, socklen_t size) noexcept;
    /// The host has to be an address: for a name, ValueError.
    explicit SocketAddress(const io::Endpoint& endpoint);

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(storage_); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(storage_); }
    /// In: the room that there is; out: how much the kernel wrote.
    socklen_t* size_word() noexcept { return &size_; }
    socklen_t size() const noexcept { return size_; }
    void reserve_all() noexcept { size_ = sizeof storage_; }
    bool empty() const noexcept { return size_ == 0; }
    int family() const noexcept { return data()->sa_family; }

    std::uint16_t port() const noexcept;
    void set_port(std::uint16_t port) noexcept;
    /// An IPv4 address as IPv6 sockets take it; any other as it is.
    SocketAddress mapped_to_ipv6() const noexcept;
    operator io::Endpoint() const { return {host(), port()}; }  // NOLINT(google-explicit-constructor): it is one
    friend bool operator==(const SocketAddress& one, const SocketAddress& other) noexcept {
        return one.size_ == other.size_ && std::memcmp(one.storage_, other.storage_, one.size_) == 0;
    }
    /// "192.0.2.1" or "2001:db8::1", with "%2" behind it where there is a scope; empty for another family.
    std::string host() const;
    /// "192.0.2.1:80", "[2001:db8::1]:80".
    std::string to_string() const;

private:
    alignas(sockaddr_in6) unsigned char storage_[sizeof(sockaddr_in6)] = {};
    socklen_t size_ = 0;
};

}  // namespace knit::detail
