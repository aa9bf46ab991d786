// Stream::send_file(): what the page cache has is handed to the socket without a copy, by sendfile(2) on the loop's own
// thread. What it has not, which would block, is read into a buffer by a request and then sent; the system reads ahead
// meanwhile. A thread of the pool or of the kernel for each transfer would be held by each peer that reads slowly.
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <system_error>

#include "epoll_ops.hpp"
#include "hold.hpp"
#include "knit/detail/worker.hpp"
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

/// Whether the page cache has the bytes, up to the file's end. Asked of some of them: the system reads ahead in the
/// order of the file, so that the rest is there if these are, as a rule; if not, the call blocks as long as the disk.
bool is_cached(int file, std::uint64_t offset, std::size_t count) noexcept {
    constexpr std::size_t kStep = 64 * 1024;
    if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - count) {
        return false;
    }
    const auto probe = [file](std::uint64_t at) {
        char byte = 0;
        const iovec one{&byte, 1};
        return ::preadv2(file, &one, 1, static_cast<off_t>(at), RWF_NOWAIT);
    };
    for (std::size_t at = kStep; at < count; at += kStep) {
        if (probe(offset + at) < 0) {
            return false;
        }
    }
    return probe(offset + count - 1) >= 0 && probe(offset) == 1;
}

/// Whether an errno of sendfile(2) is the connection's and not the file's: the kernel tells it once.
bool is_of_connection(int error) noexcept {
    switch (error) {
        case EPIPE:
        case ECONNRESET:
        case ECONNABORTED:
        case ECONNREFUSED:
        case ETIMEDOUT:
        case ENOTCONN:
        case EHOSTUNREACH:
        case EHOSTDOWN:
        case ENETUNREACH:
        case ENETDOWN:
        case ENETRESET:
        case ENONET:
        case ENOPROTOOPT: return true;
        default: return false;
    }
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

/// What Stream::send_cached() promises.
Coro<std::size_t> send_cached(const DescriptorOwner& owner, int file, std::uint64_t offset, std::uint64_t most) {
    const Hold hold(owner, *Worker::current(), "send_file");
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(most, kPiece));
    while (count != 0 && is_cached(file, offset, count)) {
        const int result = send_at_once(hold.descriptor().number(), file, offset, count);
        if (result > 0) {
            co_await yield();  // a peer that reads as fast as this sends must not keep the loop
            co_return static_cast<std::size_t>(result);
        }
        if (is_of_connection(-result)) {
            throw std::system_error(-result, std::generic_category(), "write " + hold.descriptor().describe());
        }
        if (result != -EAGAIN && result != -EINTR) {
            break;  // of the file: the request that follows will say so
        }
        if (result == -EAGAIN) {
            PollOp writable(hold.owner(), POLLOUT);
            co_await writable;
            hold.check();
        }
    }
    co_return 0;
}

}  // namespace
}  // namespace knit::detail

namespace knit::io {

Coro<std::size_t> Stream::send_cached(int file, std::uint64_t offset, std::uint64_t most) {
    return knit::detail::send_cached(owner_, file, offset, most);
}

Coro<std::uint64_t> Stream::send_file(int file, std::uint64_t offset, std::optional<std::uint64_t> count) {
    if (file < 0) {
        throw ValueError("send_file() takes an open file, not descriptor " + std::to_string(file));
    }
    // Held throughout: between two of its steps nothing else would tell other loops and close() of it.
    const knit::detail::Hold hold(owner_, *knit::detail::Worker::current(), "send_file");
    const std::uint64_t total = count.value_or(std::numeric_limits<std::uint64_t>::max());
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(total, knit::detail::kPiece));
    std::unique_ptr<std::byte[]> buffer;
    std::uint64_t done = 0;
    while (done != total) {
        hold.check();
        Coro<std::size_t> sending = knit::detail::send_cached(hold.owner(), file, offset + done, total - done);
        if (const std::size_t sent = co_await std::move(sending); sent != 0) {
            done += sent;
            continue;
        }
        hold.check();
        if (buffer == nullptr) {
            buffer = std::make_unique_for_overwrite<std::byte[]>(room);
        }
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(total - done, room));
        const std::span<std::byte> piece(buffer.get(), most);
        knit::detail::ReadForSend reading(hold.owner(), file, piece, offset + done);
        const std::size_t got = co_await reading;
        if (got == 0) {
            break;
        }
        hold.check();
        Write writing(hold.owner(), std::span<const std::byte>(buffer.get(), got), true);
        co_await writing;
        done += got;
    }
    co_return done;
}

}  // namespace knit::io
