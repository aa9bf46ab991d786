/// UnixStream and UnixListener: stream sockets of this machine, named by a path.
///
/// A name that begins with '@' is abstract: it is no file and goes with its socket. A file of that name is "./@name".
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/detail/accept.hpp"
#include "knit/io/detail/ancillary.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/socket.hpp"

namespace knit::detail {

/// A socket's file, removed in the end, unless somebody has put another in its place. Move-only.
class SocketFile {
public:
    SocketFile() noexcept = default;
    /// The file that is there now; none when there is none.
    explicit SocketFile(std::filesystem::path path) noexcept;
    SocketFile(SocketFile&& other) noexcept;
    SocketFile& operator=(SocketFile&& other) noexcept;
    ~SocketFile() { remove(); }

    /// May be called again.
    void remove() noexcept;

private:
    std::filesystem::path path_;  ///< empty: none
    dev_t device_ = 0;
    ino_t number_ = 0;
};

}  // namespace knit::detail

namespace knit::io {

/// Who is at the other end, as it was when the connection was made.
struct PeerCredentials {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};

/// A Unix stream connection. peer_endpoint() and local_endpoint() of one are empty.
class UnixStream : public Stream {
public:
    UnixStream() noexcept = default;
    /// Takes over a connected socket. Throws std::bad_alloc.
    explicit UnixStream(knit::detail::Fd fd);

    /// Connects; waits while the listener's queue is full. Throws std::system_error, for example with ENOENT when there
    /// is no such file and ECONNREFUSED when nobody listens, and ValueError for a path that cannot be one. Cancelled:
    /// CancelledError, and no connection is left.
    static Coro<UnixStream> connect(std::filesystem::path path);

    /// Two that are connected to each other. Throws std::system_error.
    static std::pair<UnixStream, UnixStream> pair();

    /// Sends all the bytes, at least one, and with the first of them the descriptors, at most 253, which stay the
    /// caller's and must be open until the await is over. Cancelled: CancelledError, and an unknown part has been sent.
    SendDescriptors send_descriptors(std::span<const std::byte> bytes, std::span<const int> descriptors) {
        return {owner_, bytes, descriptors};
    }
    SendDescriptors send_descriptors(std::string_view text, std::span<const int> descriptors) {
        return {owner_, std::as_bytes(std::span(text)), descriptors};
    }
    template <knit::detail::ByteRange R>
    SendDescriptors send_descriptors(const R& bytes, std::span<const int> descriptors) {
        return send_descriptors(knit::detail::bytes_of(bytes), descriptors);
    }
    /// As read_some(), with the descriptors that came with the bytes, at most `count_max`; a plain read drops them.
    /// Cancelled: either CancelledError and nothing was read, or what came.
    ReceiveDescriptors receive_descriptors(std::span<std::byte> buffer, std::size_t count_max = 16) {
        return {owner_, buffer, count_max};
    }
    ReceiveDescriptors receive_descriptors(std::span<char> buffer, std::size_t count_max = 16) {
        return {owner_, std::as_writable_bytes(buffer), count_max};
    }
    ReceiveDescriptors receive_descriptors(std::span<unsigned char> buffer, std::size_t count_max = 16) {
        return {owner_, std::as_writable_bytes(buffer), count_max};
    }

    /// The names of the two ends; empty for one that has none, as the connecting end.
    std::string local_path() const;
    std::string peer_path() const;
    PeerCredentials peer_credentials() const;

private:
    explicit UnixStream(knit::detail::SocketDescriptor* descriptor) noexcept : Stream(descriptor) {}
};

/// Awaits what UnixListener::accept() promises.
class [[nodiscard]] UnixAccept final : public knit::detail::AcceptOp {
public:
    using AcceptOp::AcceptOp;
    UnixStream await_resume();

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
};

struct UnixListenOptions {
    int backlog = 1024;      ///< connections that wait to be accepted; the kernel cuts it at net.core.somaxconn
    bool remove_file = true;  ///< at close(), unless somebody has put another in its place
};

/// A listening Unix socket.
class UnixListener : public Socket {
public:
    UnixListener() noexcept = default;
    /// Takes over a listening socket, not its file. Throws std::bad_alloc.
    explicit UnixListener(knit::detail::Fd fd);

    /// Listens at the path. A socket's file that is there already is replaced, as asyncio does, even if somebody
    /// listens at it; any other file is an error: std::system_error with EADDRINUSE. ValueError for a path that cannot
    /// be one. Any thread.
    static UnixListener bind(const std::filesystem::path& path, const UnixListenOptions& options = {});

    /// The next connection. Throws and is cancelled as TcpListener::accept().
    UnixAccept accept() noexcept { return UnixAccept(owner_); }

    /// Removes the file, then as Socket::close().
    void close() noexcept {
        file_.remove();
        Socket::close();
    }
    std::string local_path() const;

private:
    knit::detail::SocketFile file_;
};

}  // namespace knit::io

namespace knit {
using io::UnixListener;
using io::UnixListenOptions;
using io::UnixStream;
}  // namespace knit
