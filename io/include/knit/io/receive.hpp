/// Receiving into memory that the loop lends: a connection that waits for its peer holds no buffer.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

struct LentBuffer;
class BufferPool;

}  // namespace knit::detail

namespace knit::io {

/// What receive() gives: bytes in a buffer of the loop's, which goes back when this is destroyed. Move-only. May be
/// kept and destroyed on any loop or thread, also after the runtime has ended; but a loop lends at most some 1,000
/// buffers of 4 KiB at a time and then takes further ones from the heap, so give back soon what you do not need.
class Received {
public:
    Received() noexcept = default;
    /// knit's own use.
    Received(knit::detail::LentBuffer* buffer, std::size_t size) noexcept : buffer_(buffer), size_(size) {}
    Received(Received&& other) noexcept
        : buffer_(std::exchange(other.buffer_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Received& operator=(Received&& other) noexcept {
        if (this != &other) {
            release();
            buffer_ = std::exchange(other.buffer_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    ~Received() { release(); }

    /// The peer has ended the stream.
    bool empty() const noexcept { return size_ == 0; }
    /// Whether there are bytes: `while (Received got = co_await stream.receive()) { ... }`.
    explicit operator bool() const noexcept { return size_ != 0; }
    std::size_t size() const noexcept { return size_; }
    std::byte* data() const noexcept;
    std::span<std::byte> bytes() const noexcept { return {data(), size_}; }
    /// A range of bytes, which write() takes as it is.
    std::byte* begin() const noexcept { return data(); }
    std::byte* end() const noexcept { return data() + size_; }
    // `std::span<const std::byte> bytes = co_await stream.receive();`: the buffer has gone back by the next line. The
    // other spelling, with parentheses, cannot be told from a use of what is kept.
    // NOLINTNEXTLINE(google-explicit-constructor): it is the implicit one that must not be
    operator std::span<const std::byte>() && = delete;  // keep the Received while its bytes are used
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data()), size_}; }

    /// Gives the buffer back now.
    void release() noexcept;

private:
    knit::detail::LentBuffer* buffer_ = nullptr;
    std::size_t size_ = 0;
};

/// Awaits what receive() promises.
class [[nodiscard]] Receive final : public knit::detail::Op {
public:
    explicit Receive(const knit::detail::DescriptorOwner& socket) noexcept : Op(socket) {}
    Receive(Receive&& other) noexcept : Op(std::move(other)) {}
    ~Receive() { give_back(); }

    bool await_ready();
    Received await_resume();

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;
    void give_back() noexcept;

    knit::detail::LentBuffer* buffer_ = nullptr;  ///< holds what came, or is what the kernel is to write to
    bool needs_own_buffer_ = false;               ///< the loop has none left to lend
};

}  // namespace knit::io
