/// TcpListener and TcpStream.
#pragma once

#include "knit/coro.hpp"
#include "knit/io/detail/accept.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/socket.hpp"

namespace knit::io {

/// A TCP connection. TCP_NODELAY is on, as in asyncio.
class TcpStream : public Stream {
public:
    TcpStream() noexcept = default;
    /// Takes over a connected socket; knit's own use.
    explicit TcpStream(knit::detail::SocketDescriptor* descriptor) noexcept : Stream(descriptor) {}

    /// Connects; a name is looked up on the blocking pool and its addresses are tried in turn. Throws the last one's
    /// std::system_error. Cancelled: CancelledError, and no connection is left.
    static Coro<TcpStream> connect(Endpoint endpoint);

    /// TCP_NODELAY: whether small writes are sent at once instead of being gathered.
    void nodelay(bool on);
    bool nodelay() const;
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
using io::ListenOptions;
using io::TcpListener;
using io::TcpStream;
}  // namespace knit
