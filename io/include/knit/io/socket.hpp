/// What every stream socket can do: read, write, half-close, options. TcpStream and UnixStream add how one is made.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/io/buffers.hpp"
#include "knit/io/detail/address.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/receive.hpp"
#include "knit/time.hpp"

namespace knit::detail {

constexpr std::uint32_t kNoZeroCopy = std::numeric_limits<std::uint32_t>::max();

/// Whole seconds for the kernel, rounded up. Throws ValueError when it is negative or too long; `what` is the option.
int seconds_up(Duration time, const char* what);

/// A connected or listening socket: its descriptor, its peer, and what a cancelled read_exactly() had read already.
class SocketDescriptor : public Descriptor {
public:
    explicit SocketDescriptor(Fd fd, const SocketAddress& whom = {}) : Descriptor(std::move(fd)), peer(whom) {}
    std::string describe() const override;

    /// Takes the first `count` bytes off unread, which there are.
    void take_unread(std::size_t count) noexcept;
    /// Moves what fits of unread into the buffer; gives how much.
    std::size_t read_unread(std::span<std::byte> buffer) noexcept;

    SocketAddress peer;  ///< of a listener and of a Unix socket: empty
    std::uint32_t zero_copy_threshold = kNoZeroCopy;
    std::unique_ptr<std::string> unread;  ///< comes before what the kernel has; null, or not empty
};

/// Reads once, or until the buffer is full.
class ReadOp : public Op {
protected:
    ReadOp(const DescriptorOwner& socket, std::span<std::byte> buffer, bool to_the_end) noexcept
        : Op(socket), buffer_(buffer), to_the_end_(to_the_end) {}

    bool is_ready() noexcept;
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;
    bool absorb_exactly(int result) noexcept;

    std::span<std::byte> buffer_;
    std::size_t done_ = 0;
    bool to_the_end_;
};

}  // namespace knit::detail

namespace knit::io {

/// Awaits what read_some() promises.
class [[nodiscard]] ReadSome final : public knit::detail::ReadOp {
public:
    ReadSome(const knit::detail::DescriptorOwner& socket, std::span<std::byte> buffer) noexcept
        : ReadOp(socket, buffer, false) {}
    bool await_ready() noexcept { return is_ready(); }
    std::size_t await_resume() {
        take_result("read");
        return done_;
    }
};

/// Awaits what read_exactly() promises.
class [[nodiscard]] ReadExactly final : public knit::detail::ReadOp {
public:
    ReadExactly(const knit::detail::DescriptorOwner& socket, std::span<std::byte> buffer) noexcept
        : ReadOp(socket, buffer, true) {}
    bool await_ready() noexcept { return is_ready(); }
    std::size_t await_resume() {
        take_result("read");
        if (done_ != buffer_.size()) {
            throw_incomplete();
        }
        return done_;
    }

private:
    [[noreturn]] void throw_incomplete() const;
};

/// Awaits what write() and write_some() promise.
class [[nodiscard]] Write final : public knit::detail::Op {
public:
    Write(const knit::detail::DescriptorOwner& socket, std::span<const std::byte> bytes, bool to_the_end) noexcept
        : Op(socket), bytes_(bytes), to_the_end_(to_the_end) {}
    bool await_ready() noexcept;
    std::size_t await_resume() {
        take_result("write");
        return done_;
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;

    std::span<const std::byte> bytes_;
    std::size_t done_ = 0;
    bool to_the_end_;
    bool is_zero_copy_ = false;  ///< the request in flight
    bool must_copy_ = false;     ///< zero copy has been refused
};

/// Which direction of a connection ends.
enum class Shutdown { read, write, both };

/// A socket: what streams and listeners share. Move-only. Awaiters hold a reference to the object until they are
/// awaited, so it has to be there then; once an operation is in flight the socket may be moved, closed or destroyed. It
/// may be used on any loop, on one at a time.
class Socket {
public:
    /// No socket.
    Socket() noexcept = default;

    bool is_open() const noexcept { return owner_.get() != nullptr; }
    explicit operator bool() const noexcept { return is_open(); }
    /// The descriptor, which stays the socket's; -1 when closed. Not to be made non-blocking.
    int native_handle() const noexcept;
    /// Of a Unix socket: an empty one.
    Endpoint local_endpoint() const;

    /// Ends whatever is in flight, which throws std::system_error with ECANCELED to its awaiter, and gives back the
    /// descriptor when that has ended. Any thread, though not at the same time as another use. May be called again.
    void close() noexcept { owner_.close(); }

    /// SO_SNDBUF, SO_RCVBUF, in bytes; the kernel keeps the double of it for its own needs.
    void send_buffer_size(int bytes);
    int send_buffer_size() const;
    void receive_buffer_size(int bytes);
    int receive_buffer_size() const;
    /// Any option, as in setsockopt(2) and getsockopt(2); they and all other options throw std::system_error with the
    /// option's name.
    void set_option(int level, int name, int value);
    void set_option(int level, int name, const void* value, std::size_t size);
    int option(int level, int name) const;

protected:
    explicit Socket(knit::detail::SocketDescriptor* descriptor) noexcept : owner_(descriptor) {}
    /// Throws std::system_error with EBADF, saying that `what` needs an open socket.
    knit::detail::SocketDescriptor& descriptor(const char* what) const;
    // `what` names the option in messages.
    void set(int level, int name, int value, const char* what);
    void set(int level, int name, const void* value, std::size_t size, const char* what);
    int get(int level, int name, const char* what) const;

    knit::detail::DescriptorOwner owner_;
};

/// A connected stream socket. Each call that is awaited throws std::system_error, whose what() names operation and
/// peers, or CancelledError. Buffers belong to the caller and have to stay until the await is over. One reader and one
/// writer at a time; several are served in no promised order.
class Stream : public Socket {
public:
    Stream() noexcept = default;

    /// As many bytes as there are, at least one unless the peer has ended the stream: 0 says that. An empty buffer
    /// gives 0 at once. Cancelled: either CancelledError and nothing was read, or the bytes.
    ReadSome read_some(std::span<std::byte> buffer) noexcept { return {owner_, buffer}; }
    ReadSome read_some(std::span<char> buffer) noexcept { return {owner_, std::as_writable_bytes(buffer)}; }
    ReadSome read_some(std::span<unsigned char> buffer) noexcept { return {owner_, std::as_writable_bytes(buffer)}; }

    /// As read_some(), into a buffer that the loop lends once there is something to read, of at most 4 KiB: empty at
    /// the end of the stream. For many connections that mostly wait. Cancelled: as read_some().
    Receive receive() noexcept { return Receive(owner_); }

    /// Fills the buffer; gives its size. Throws IncompleteReadError, with what came, when the stream ends before.
    /// Cancelled: CancelledError, and the next read begins with what had been read.
    ReadExactly read_exactly(std::span<std::byte> buffer) noexcept { return {owner_, buffer}; }
    ReadExactly read_exactly(std::span<char> buffer) noexcept { return {owner_, std::as_writable_bytes(buffer)}; }
    ReadExactly read_exactly(std::span<unsigned char> buffer) noexcept {
        return {owner_, std::as_writable_bytes(buffer)};
    }

    /// All the bytes; gives how many. Cancelled: CancelledError, and an unknown part has been sent.
    Write write(std::span<const std::byte> bytes) noexcept { return {owner_, bytes, true}; }
    Write write(std::string_view text) noexcept { return {owner_, std::as_bytes(std::span(text)), true}; }
    template <knit::detail::ByteRange R>
    Write write(const R& bytes) noexcept {
        return {owner_, knit::detail::bytes_of(bytes), true};
    }
    template <std::size_t N>
    Write write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

    /// At least one byte, and as many as the socket takes at once. Gives how many. Cancelled: as read_some().
    Write write_some(std::span<const std::byte> bytes) noexcept { return {owner_, bytes, false}; }
    Write write_some(std::string_view text) noexcept { return {owner_, std::as_bytes(std::span(text)), false}; }
    template <knit::detail::ByteRange R>
    Write write_some(const R& bytes) noexcept {
        return {owner_, knit::detail::bytes_of(bytes), false};
    }
    template <std::size_t N>
    Write write_some(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

    /// The same for several buffers, as if they were one after the other in one; empty ones are passed over. The list
    /// of buffers has to stay as long as the bytes, unless it is written on the spot, which is copied:
    ///     co_await stream.write({header, body});
    /// GCC 12 wants the list outside of the await: `auto writing = stream.write({header, body}); co_await writing;`.
    ReadBuffers read_some(std::span<const MutableBuffer> buffers) { return {owner_, buffers}; }
    WriteBuffers write(std::span<const ConstBuffer> buffers) { return {owner_, buffers, true}; }
    WriteBuffers write_some(std::span<const ConstBuffer> buffers) { return {owner_, buffers, false}; }
    WriteListed write(std::initializer_list<ConstBuffer> buffers) { return {owner_, buffers, true}; }
    WriteListed write_some(std::initializer_list<ConstBuffer> buffers) { return {owner_, buffers, false}; }

    /// Sends `count` bytes of the file from `offset` on, or all to its end; gives how many, fewer than `count`
    /// when the file ends before. `file` is a descriptor, or anything with native_handle(); it stays open and keeps its
    /// position; it and this object have to stay where they are until the await is over. What the page cache has goes
    /// to the peer from there: bytes that are overwritten before it has read them may reach it as they are by then.
    /// While another loop uses the socket: RuntimeError, and nothing is sent. close() meanwhile, by any thread, ends it
    /// as it ends any operation. Cancelled: CancelledError, and an unknown part has been sent.
    Coro<std::uint64_t> send_file(int file, std::uint64_t offset = 0, std::optional<std::uint64_t> count = {});
    template <class File>
    requires requires(const File& file) {
        { file.native_handle() } -> std::same_as<int>;
    }
    Coro<std::uint64_t> send_file(const File& file, std::uint64_t offset = 0, std::optional<std::uint64_t> count = {}) {
        return send_file(file.native_handle(), offset, count);
    }

    /// knit's own use, a part of send_file(): at most `most` bytes of the file, as many as the page cache has there and
    /// the socket takes at once, without a copy; 0 when it has none, or cannot: read them and write them then. Waits
    /// while the socket takes nothing. Cancelled: as send_file().
    Coro<std::size_t> send_cached(int file, std::uint64_t offset, std::uint64_t most);

    /// Says that nothing more will be written: the peer reads the end of the stream. Reading goes on. Shutdown::read
    /// makes reads give the end of the stream once what has come is read. Done at the call; may be awaited.
    knit::detail::Ready shutdown(Shutdown direction = Shutdown::write);

    /// Writes of at least so many bytes are sent from the caller's memory without a copy (Linux 6.0), and end when the
    /// kernel is done with it, that is when the peer has acknowledged. Off unless this is called. A socket that cannot
    /// do it copies. Cancelled: what the kernel has taken is still waited for; with a peer that does not read, only
    /// close() by another task ends that, or in a handler the server's end or the run's, and the peer gets a reset.
    void zero_copy_threshold(std::size_t bytes);

    /// Of a Unix socket: an empty one.
    Endpoint peer_endpoint() const;
    /// SO_LINGER: what is unsent at close() is given up after that time, and with zero the peer gets a reset. nullopt,
    /// the default: the kernel goes on sending.
    void linger(std::optional<Duration> limit);
    std::optional<Duration> linger() const;

protected:
    explicit Stream(knit::detail::SocketDescriptor* descriptor) noexcept : Socket(descriptor) {}
};

}  // namespace knit::io
