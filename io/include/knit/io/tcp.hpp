/// TcpListener and TcpStream.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "knit/coro.hpp"
#include "knit/io/detail/accept.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/socket.hpp"
#include "knit/time.hpp"

namespace knit::io {

struct ConnectOptions {
    /// How long an address has to answer before the next one is tried beside it; nullopt: until it has failed.
    std::optional<Duration> happy_eyeballs_delay = std::chrono::milliseconds(250);
    std::optional<Duration> timeout = {};         ///< of all of it, the look-up included
    std::optional<Endpoint> local_endpoint = {};  ///< to connect from; port 0: any
    std::size_t interleave = 1;  ///< addresses of the first family before the families take turns; 0: in their order
    bool all_errors = false;     ///< throws an ExceptionGroup of all attempts' errors
};

/// How a peer that says nothing is asked whether it is still there.
struct KeepAlive {
    std::optional<Duration> idle = {};      ///< silence before it is asked
    std::optional<Duration> interval = {};  ///< between two questions
    std::optional<int> count = {};          ///< questions without an answer before the connection is given up
};

/// A TCP connection. TCP_NODELAY is on, as in asyncio.
class TcpStream : public Stream {
public:
    TcpStream() noexcept = default;
    /// Takes over a connected socket; knit's own use.
    explicit TcpStream(knit::detail::SocketDescriptor* descriptor) noexcept : Stream(descriptor) {}

    /// Connects. A name is looked up on the blocking pool; of several addresses the families are tried by turns, the
    /// next one when the one before has failed or has not answered in time, and the first connection that stands wins
    /// (happy eyeballs, RFC 8305). Throws std::system_error; when several addresses failed for different reasons, one
    /// with "Multiple exceptions: ..." and the code that tells most. TimeoutError after options.timeout. Cancelled:
    /// CancelledError, and no connection is left; a look-up ends on its thread.
    static Coro<TcpStream> connect(Endpoint endpoint, ConnectOptions options = {});

    /// TCP_NODELAY: whether small writes are sent at once instead of being gathered.
    void nodelay(bool on);
    bool nodelay() const;
    /// SO_KEEPALIVE: whether a peer that says nothing is asked whether it is still there.
    void keepalive(bool on);
    bool keepalive() const;
    /// Switches it on, with these times; those that are not said stay as they are.
    void keepalive(const KeepAlive& times);
    /// TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged before the connection is given up with ETIMEDOUT.
    /// Zero: as long as the system says.
    void user_timeout(Duration limit);
    Duration user_timeout() const;
    /// TCP_QUICKACK: acknowledges at once, until the kernel thinks otherwise.
    void quickack(bool on);
};

/// Awaits what accept() promises.
class [[nodiscard]] Accept final : public knit::detail::AcceptOp {
public:
    using AcceptOp::AcceptOp;
    TcpStream await_resume();

private:
    void prepare(io_uring_sqe& sqe) noexcept override;

    knit::detail::SocketAddress peer_;  ///< the kernel writes here
};

struct ListenOptions {
    int backlog = 1024;       ///< connections that wait to be accepted; the kernel cuts it at net.core.somaxconn
    bool reuse_port = false;  ///< SO_REUSEPORT: several listeners share the port and the kernel spreads connections
    /// IPV6_V6ONLY: whether a listener at an IPv6 address refuses IPv4; unsaid: only one at an empty host takes both.
    std::optional<bool> ipv6_only = {};
    std::optional<Duration> defer_accept = {};  ///< TCP_DEFER_ACCEPT: accepted with first bytes, or after that time
    int fast_open = 0;            ///< TCP_FASTOPEN: how many may bring bytes with their first packet
    int receive_buffer_size = 0;  ///< of the connections; a large window has to be known at this time. 0: the system's
};

/// A listening socket.
class TcpListener : public Socket {
public:
    TcpListener() noexcept = default;
    /// Takes over a listening socket; knit's own use.
    explicit TcpListener(knit::detail::Fd fd);

    /// Listens on the endpoint; port 0 lets the kernel pick, local_endpoint() tells. An empty host is every interface,
    /// of both families where there are both. A name is looked up at once, which may block: better give an address.
    /// Throws std::system_error. Any thread.
    static TcpListener bind(const Endpoint& endpoint, const ListenOptions& options = {});

    /// The next connection. Connections that died in the queue are passed over. Throws std::system_error, for example
    /// with EMFILE when no descriptors are left: the connection then stays in the queue, so wait a little before the
    /// next call. Cancelled: CancelledError and no connection was taken, or the connection.
    Accept accept() noexcept { return Accept(owner_); }
};

}  // namespace knit::io

namespace knit {
using io::ConnectOptions;
using io::KeepAlive;
using io::ListenOptions;
using io::TcpListener;
using io::TcpStream;
}  // namespace knit
