// Stream::send_file(): read into a buffer, then sent. The reads are of the page cache, mostly, and then done at the
// submission; a thread of the pool or of the kernel for each transfer would be held by each peer that reads slowly.
#include <algorithm>
#include <cerrno>
#include <memory>

#include "knit/error.hpp"
#include "knit/io/socket.hpp"
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

}  // namespace
}  // namespace knit::detail

namespace knit::io {

Coro<std::uint64_t> Stream::send_file(int file, std::uint64_t offset, std::optional<std::uint64_t> count) {
    if (file < 0) {
        throw ValueError("send_file() takes an open file, not descriptor " + std::to_string(file));
    }
    static_cast<void>(descriptor("send_file"));
    const std::uint64_t total = count.value_or(std::numeric_limits<std::uint64_t>::max());
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(total, knit::detail::kPiece));
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(room);
    std::uint64_t done = 0;
    while (done != total) {
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
