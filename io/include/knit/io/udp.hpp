/// UdpSocket.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/io/detail/address.hpp"
#include "knit/io/detail/byte_range.hpp"
#include "knit/io/detail/datagram.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/socket.hpp"

namespace knit::io {

/// An address as the kernel gives it: no text is made of it before it is asked for. An Endpoint in all other respects,
/// and converts to one.
using SocketAddress = knit::detail::SocketAddress;

/// A datagram that came.
struct Datagram {
    std::size_t size = 0;       ///< bytes in the buffer
    std::size_t sent_size = 0;  ///< bytes that it was sent with
    SocketAddress from;

    /// Whether the buffer was too small: the rest is lost.
    bool is_truncated() const noexcept { return size < sent_size; }
};

struct UdpOptions {
    bool reuse_address = false;  ///< SO_REUSEADDR: several sockets share a port, as multicast's receivers do
    bool reuse_port = false;     ///< SO_REUSEPORT: the kernel spreads datagrams over the sockets that share the port
    bool broadcast = false;      ///< SO_BROADCAST: may send to broadcast addresses
    /// IPV6_V6ONLY; unsaid: only a socket bound to an empty host takes IPv4 too.
    std::optional<bool> ipv6_only = {};
};

/// A UDP socket. Each call that is awaited throws std::system_error, whose what() names operation and peer, or
/// CancelledError. Cancelled: CancelledError and the datagram is still there, or not sent; or the result.
class UdpSocket : public Socket {
public:
    using Send = knit::detail::SendDatagram<SocketAddress>;
    using Receive = knit::detail::ReceiveDatagram<SocketAddress, Datagram>;

    UdpSocket() noexcept = default;

    /// Receives what is sent to the endpoint; port 0 lets the kernel pick, local_endpoint() tells. An empty host is
    /// every interface, of both families where there are both. A name is looked up at once, which may block: better
    /// give an address. Throws std::system_error. Any thread.
    static UdpSocket bind(const Endpoint& endpoint, const UdpOptions& options = {});

    /// Talks with `peer` alone: send() and recv(); only such a socket is told, by ECONNREFUSED at the next of those,
    /// that nobody listens there. A name is looked up on the blocking pool. `local` as in bind(). Cancelled:
    /// CancelledError, and no socket is left.
    static Coro<UdpSocket> connect(Endpoint peer, std::optional<Endpoint> local = {}, UdpOptions options = {});

    /// Sends one datagram, which may be empty; gives its size. Throws EMSGSIZE for one that is too large. An IPv4
    /// address is mapped where the socket is an IPv6 one. An Endpoint must have an address for its host, or it is a
    /// ValueError: look a name up before, with getaddrinfo().
    Send send_to(std::span<const std::byte> bytes, const SocketAddress& to) noexcept {
        return {owner_, bytes, mapped(to)};
    }
    Send send_to(std::string_view text, const SocketAddress& to) noexcept {
        return send_to(std::as_bytes(std::span(text)), to);
    }
    Send send_to(std::span<const std::byte> bytes, const Endpoint& to) { return send_to(bytes, SocketAddress(to)); }
    Send send_to(std::string_view text, const Endpoint& to) { return send_to(text, SocketAddress(to)); }

    template <knit::detail::ByteRange R>
    Send send_to(const R& bytes, const SocketAddress& to) noexcept {
        return send_to(knit::detail::bytes_of(bytes), to);
    }
    template <std::size_t N>
    Send send_to(char (&buffer)[N], const SocketAddress& to) = delete;  // say string_view(buffer, size)
    template <knit::detail::ByteRange R>
    Send send_to(const R& bytes, const Endpoint& to) {
        return send_to(knit::detail::bytes_of(bytes), to);
    }
    template <std::size_t N>
    Send send_to(char (&buffer)[N], const Endpoint& to) = delete;  // say string_view(buffer, size)

    /// The next datagram, which may be empty: a size of 0 is no end.
    Receive recv_from(std::span<std::byte> buffer) noexcept { return {owner_, buffer}; }
    Receive recv_from(std::span<char> buffer) noexcept { return {owner_, std::as_writable_bytes(buffer)}; }
    Receive recv_from(std::span<unsigned char> buffer) noexcept { return {owner_, std::as_writable_bytes(buffer)}; }

    /// Those of a connected socket.
    Send send(std::span<const std::byte> bytes) noexcept { return {owner_, bytes}; }
    Send send(std::string_view text) noexcept { return send(std::as_bytes(std::span(text))); }
    template <knit::detail::ByteRange R>
    Send send(const R& bytes) noexcept {
        return send(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    Send send(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    Receive recv(std::span<std::byte> buffer) noexcept { return {owner_, buffer}; }
    Receive recv(std::span<char> buffer) noexcept { return recv_from(buffer); }
    Receive recv(std::span<unsigned char> buffer) noexcept { return recv_from(buffer); }

    /// Whom it is connected to; ENOTCONN when it is not.
    Endpoint peer_endpoint() const;

    /// SO_BROADCAST.
    void broadcast(bool on);
    bool broadcast() const;
    /// Receives what is sent to the multicast group, whose port is ignored, on the interface of that name; empty: one
    /// of the kernel's choice. The socket has to be bound to the group's port.
    void join(const Endpoint& group, const std::string& interface = {});
    void leave(const Endpoint& group, const std::string& interface = {});
    /// Through which interface multicast datagrams are sent, how many routers they pass, and whether sockets of this
    /// machine get them too.
    void multicast_interface(const std::string& interface);
    void multicast_hops(int hops);
    void multicast_loop(bool on);

private:
    UdpSocket(knit::detail::SocketDescriptor* descriptor, int family) noexcept
        : Socket(descriptor), is_ipv6_(family == AF_INET6) {}
    SocketAddress mapped(const SocketAddress& to) const noexcept { return is_ipv6_ ? to.mapped_to_ipv6() : to; }
    void change_membership(int option, const Endpoint& group, const std::string& interface, const char* what);

    bool is_ipv6_ = false;
};

}  // namespace knit::io

namespace knit {
using io::Datagram;
using io::UdpOptions;
using io::UdpSocket;
}  // namespace knit
