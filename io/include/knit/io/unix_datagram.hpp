/// UnixDatagram: datagrams within this machine, named by a path.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/io/detail/byte_range.hpp"
#include "knit/io/detail/datagram.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/detail/unix_address.hpp"
#include "knit/io/socket.hpp"
#include "knit/io/unix.hpp"

namespace knit::io {

/// A datagram that came over a Unix socket.
struct UnixMessage {
    std::size_t size = 0;       ///< bytes in the buffer
    std::size_t sent_size = 0;  ///< bytes that it was sent with
    knit::detail::UnixAddress address;

    /// Whether the buffer was too small: the rest is lost.
    bool is_truncated() const noexcept { return size < sent_size; }
    /// Who sent it; empty when that socket has no name, and so cannot be answered.
    std::string from() const { return address.path(); }
};

/// A Unix datagram socket. Datagrams are not lost: a sender waits while the receiver's queue is full. Each call that is
/// awaited throws std::system_error or CancelledError. Cancelled: CancelledError and the datagram is still there, or
/// not sent; or the result. Paths and "@names" as in UnixListener, and ValueError for one that cannot be one.
class UnixDatagram : public Socket {
public:
    using Send = knit::detail::SendDatagram<knit::detail::UnixAddress>;
    using Receive = knit::detail::ReceiveDatagram<knit::detail::UnixAddress, UnixMessage>;

    UnixDatagram() noexcept = default;

    /// Receives what is sent to the path. A socket's file that is there already is replaced; the file goes at close().
    /// An empty path: an abstract name of the kernel's choice, which local_path() tells. Any thread.
    static UnixDatagram bind(const std::filesystem::path& path);
    /// Talks with the socket at `path` alone: send() and recv(). Done at the call. `local` as in bind(); without it,
    /// the other end cannot answer.
    static UnixDatagram connect(const std::filesystem::path& path);
    static UnixDatagram connect(const std::filesystem::path& path, const std::filesystem::path& local);
    /// Two that are connected to each other.
    static std::pair<UnixDatagram, UnixDatagram> pair();

    /// Sends one datagram, which may be empty; gives its size.
    Send send_to(std::span<const std::byte> bytes, const std::filesystem::path& to) {
        return {owner_, bytes, knit::detail::UnixAddress(to)};
    }
    Send send_to(std::string_view text, const std::filesystem::path& to) {
        return send_to(std::as_bytes(std::span(text)), to);
    }
    template <knit::detail::ByteRange R>
    Send send_to(const R& bytes, const std::filesystem::path& to) {
        return send_to(knit::detail::bytes_of(bytes), to);
    }
    template <std::size_t N>
    Send send_to(char (&buffer)[N],
                 const std::filesystem::path& to) = delete;  // say string_view(buffer, size)
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
    Receive recv(std::span<std::byte> buffer) noexcept { return recv_from(buffer); }
    Receive recv(std::span<char> buffer) noexcept { return recv_from(buffer); }
    Receive recv(std::span<unsigned char> buffer) noexcept { return recv_from(buffer); }

    /// Removes the file, then as Socket::close().
    void close() noexcept {
        file_.remove();
        Socket::close();
    }
    std::string local_path() const;

private:
    UnixDatagram(knit::detail::Fd fd, std::string whom);
    void bind_here(const std::filesystem::path& path);

    knit::detail::SocketFile file_;
};

}  // namespace knit::io

namespace knit {
using io::UnixDatagram;
}  // namespace knit
