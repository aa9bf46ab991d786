// Stream::send_file(): what the page cache has is handed to the socket without a copy, by sendfile(2) on the loop's own
// thread. What it has not, which would block, is read into a buffer by a request and then sent; the system reads ahead
// meanwhile. A thread of the pool or of the kernel for each transfer would be held by each peer that reads slowly.
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "epoll_ops.hpp"
#include "knit/error.hpp"
#include "knit/io/socket.hpp"
#include "knit/sleep.hpp"
#include "poll_op.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

constexpr std::size_t kPiece = 256 * 1024;

/// Reads a file once. In flight on the socket, whose close() ends it.
class [[nodiscard]] ReadForSend final : public Op {
public:
    ReadForSend(const DescriptorOwner& socket, int file, std::span<std::byte> buffer, std::uint64_t offset) noexcept
        : Op(socket), file_(file), buffer_(buffer), offset_(offset) {}
    bool await_ready() noexcept { return !attach(); }
    std::size_t await_resume() { return static_cast<std::size_t>(take_result("read the file to be sent to")); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_read(&sqe, file_, buffer_.data(), static_cast<unsigned>(buffer_.size()), offset_);
    }
    bool absorb(int result) noexcept override {
        if (result == -EINTR && !is_stopping()) {
            return false;
        }
        result_ = result;
        return true;
    }

    int file_;
    std::span<std::byte> buffer_;
    std::uint64_t offset_;
};

/// Whether the page cache has the bytes. Asked of the first and the last: the system reads ahead in the order of the
/// file, so that the rest is there if these are, as a rule.
bool is_cached(int file, std::uint64_t offset, std::size_t count) noexcept {
    for (const std::uint64_t at : {offset + count - 1, offset}) {
        char byte = 0;
        const iovec one{&byte, 1};
        if (::preadv2(file, &one, 1, static_cast<off_t>(at), RWF_NOWAIT) != 1) {
            return false;
        }
    }
    return true;
}

/// sendfile(2) that does not wait for the peer: O_NONBLOCK is set for the call alone, since requests of the ring on a
/// socket that has it fail instead of waiting. What the call gave, or minus the errno.
int send_at_once(int socket, int file, std::uint64_t offset, std::size_t count) noexcept {
    const int flags = ::fcntl(socket, F_GETFL);
    const bool waits = flags >= 0 && (flags & O_NONBLOCK) == 0;
    if (flags < 0 || (waits && ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0)) {
        return -errno;
    }
    int result = 0;
    {
        NoSigpipe no_signal;
        off_t at = static_cast<off_t>(offset);
        result = no_signal.take(::sendfile(socket, file, &at, count));
    }
    if (waits) {
        static_cast<void>(::fcntl(socket, F_SETFL, flags));
    }
    return result;
}

}  // namespace
}  // namespace knit::detail

namespace knit::io {

Coro<std::size_t> Stream::send_cached(int file, std::uint64_t offset, std::uint64_t most) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(most, knit::detail::kPiece));
    while (count != 0 && knit::detail::is_cached(file, offset, count)) {
        knit::detail::SocketDescriptor& socket = descriptor("send_file");
        const int result = knit::detail::send_at_once(socket.number(), file, offset, count);
        if (result > 0) {
            co_await yield();  // a peer that reads as fast as this sends must not keep the loop
            co_return static_cast<std::size_t>(result);
        }
        if (result != -EAGAIN && result != -EINTR) {
            break;  // whatever it is, the request that follows will say so
        }
        if (result == -EAGAIN) {
            knit::detail::PollOp writable(owner_, POLLOUT);
            co_await writable;
        }
    }
    co_return 0;
}

Coro<std::uint64_t> Stream::send_file(int file, std::uint64_t offset, std::optional<std::uint64_t> count) {
    if (file < 0) {
        throw ValueError("send_file() takes an open file, not descriptor " + std::to_string(file));
    }
    static_cast<void>(descriptor("send_file"));
    const std::uint64_t total = count.value_or(std::numeric_limits<std::uint64_t>::max());
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(total, knit::detail::kPiece));
    std::unique_ptr<std::byte[]> buffer;
    std::uint64_t done = 0;
    while (done != total) {
        Coro<std::size_t> sending = send_cached(file, offset + done, total - done);
        if (const std::size_t sent = co_await std::move(sending); sent != 0) {
            done += sent;
            continue;
        }
        if (buffer == nullptr) {
            buffer = std::make_unique_for_overwrite<std::byte[]>(room);
        }
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(total - done, room));
        const std::span<std::byte> piece(buffer.get(), most);
        const std::size_t got = co_await knit::detail::ReadForSend(owner_, file, piece, offset + done);
        if (got == 0) {
            break;
        }
        co_await write(std::span<const std::byte>(buffer.get(), got));
        done += got;
    }
    co_return done;
}

}  // namespace knit::io
