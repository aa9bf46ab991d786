/// ConstBuffer and MutableBuffer: the parts of a vectored write or read, and what awaits those.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "knit/io/detail/byte_range.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::io {

/// Bytes to be written; they belong to somebody else.
class ConstBuffer {
public:
    ConstBuffer() noexcept = default;
    ConstBuffer(const void* data, std::size_t size) noexcept : part_{const_cast<void*>(data), size} {}
    ConstBuffer(std::string_view text) noexcept  // NOLINT(google-explicit-constructor): text is bytes
        : ConstBuffer(text.data(), text.size()) {}
    ConstBuffer(const char* text) noexcept  // NOLINT(google-explicit-constructor)
        : ConstBuffer(std::string_view(text)) {}
    ConstBuffer(const std::string& text) noexcept  // NOLINT(google-explicit-constructor)
        : ConstBuffer(text.data(), text.size()) {}
    template <std::size_t N>
    ConstBuffer(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    template <knit::detail::ByteRange R>
    requires(!std::convertible_to<const R&, std::string_view>)
    ConstBuffer(const R& bytes) noexcept  // NOLINT(google-explicit-constructor): a range of bytes is what it says
        : ConstBuffer(std::ranges::data(bytes), std::ranges::size(bytes)) {}

    const void* data() const noexcept { return part_.iov_base; }
    std::size_t size() const noexcept { return part_.iov_len; }

private:
    iovec part_{};
};

/// Room to be read into; it belongs to somebody else.
class MutableBuffer {
public:
    MutableBuffer() noexcept = default;
    MutableBuffer(void* data, std::size_t size) noexcept : part_{data, size} {}
    template <std::ranges::contiguous_range R>
    requires(std::ranges::sized_range<R> && sizeof(std::ranges::range_value_t<R>) == 1 &&
             !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>)
    MutableBuffer(R&& bytes) noexcept  // NOLINT(google-explicit-constructor): a range of bytes is what it says
        : MutableBuffer(std::ranges::data(bytes), std::ranges::size(bytes)) {}

    void* data() const noexcept { return part_.iov_base; }
    std::size_t size() const noexcept { return part_.iov_len; }

private:
    iovec part_{};
};

}  // namespace knit::io

namespace knit::detail {

/// Walks over buffers: a copy of the next of them, as the kernel takes it, lives here until it has been used.
class BufferWalk {
public:
    /// Throws std::bad_alloc when there are many.
    explicit BufferWalk(std::span<const iovec> parts);

    /// Whether nothing is left; empty buffers count as nothing.
    bool is_done() noexcept;
    /// The same buffers' list stands elsewhere now.
    void parts_have_moved(std::span<const iovec> parts) noexcept { parts_ = parts; }
    void advance(std::size_t count) noexcept;
    /// What is left, or the part of it that one request takes.
    msghdr* next() noexcept;
    /// Of what is left: copies at most `size` bytes there and goes behind them; gives how many.
    std::size_t fill(const char* bytes, std::size_t size) noexcept;

private:
    static constexpr std::size_t kInline = 8;

    std::span<const iovec> parts_;
    std::size_t index_ = 0;
    std::size_t offset_ = 0;  ///< within parts_[index_]
    std::size_t room_;
    std::unique_ptr<iovec[]> many_;
    std::array<iovec, kInline> few_;
    msghdr header_{};
};

template <class Buffer>
std::span<const iovec> as_iovecs(std::span<const Buffer> buffers) noexcept {
    static_assert(std::is_standard_layout_v<Buffer> && sizeof(Buffer) == sizeof(iovec));
    return {reinterpret_cast<const iovec*>(buffers.data()), buffers.size()};
}

}  // namespace knit::detail

namespace knit::io {

/// Awaits what write() and write_some() of several buffers promise.
class [[nodiscard]] WriteBuffers : public knit::detail::Op {
public:
    WriteBuffers(const knit::detail::DescriptorOwner& socket, std::span<const ConstBuffer> buffers, bool to_the_end)
        : Op(socket), walk_(knit::detail::as_iovecs(buffers)), to_the_end_(to_the_end) {}
    bool await_ready() noexcept;
    std::size_t await_resume() {
        take_result("write");
        return done_;
    }

protected:
    /// Before it has started.
    void list_has_moved(std::span<const ConstBuffer> buffers) noexcept {
        walk_.parts_have_moved(knit::detail::as_iovecs(buffers));
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;

    knit::detail::BufferWalk walk_;
    std::size_t done_ = 0;
    bool to_the_end_;
};

}  // namespace knit::io

namespace knit::detail {

/// A copy of a list of buffers: some compilers end a braced list before the await that it is written in.
class ListedBuffers {
protected:
    explicit ListedBuffers(std::initializer_list<io::ConstBuffer> buffers) : size_(buffers.size()) {
        io::ConstBuffer* first = few_.data();
        if (size_ > few_.size()) {
            many_ = std::make_unique<io::ConstBuffer[]>(size_);
            first = many_.get();
        }
        std::copy(buffers.begin(), buffers.end(), first);
    }
    std::span<const io::ConstBuffer> buffers() const noexcept { return {many_ ? many_.get() : few_.data(), size_}; }

private:
    std::size_t size_;
    std::array<io::ConstBuffer, 8> few_;
    std::unique_ptr<io::ConstBuffer[]> many_;
};

}  // namespace knit::detail

namespace knit::io {

/// The same for buffers that are listed in the call. The bytes are not copied.
class [[nodiscard]] WriteListed final : knit::detail::ListedBuffers, public WriteBuffers {
public:
    WriteListed(const knit::detail::DescriptorOwner& socket, std::initializer_list<ConstBuffer> buffers,
                bool to_the_end)
        : ListedBuffers(buffers), WriteBuffers(socket, this->buffers(), to_the_end) {}
    WriteListed(WriteListed&& other) noexcept
        : ListedBuffers(static_cast<ListedBuffers&&>(other)), WriteBuffers(static_cast<WriteBuffers&&>(other)) {
        list_has_moved(this->buffers());
    }
};

/// Awaits what read_some() into several buffers promises.
class [[nodiscard]] ReadBuffers final : public knit::detail::Op {
public:
    ReadBuffers(const knit::detail::DescriptorOwner& socket, std::span<const MutableBuffer> buffers)
        : Op(socket), walk_(knit::detail::as_iovecs(buffers)) {}
    bool await_ready() noexcept;
    std::size_t await_resume() {
        take_result("read");
        return done_;
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;

    knit::detail::BufferWalk walk_;
    std::size_t done_ = 0;
};

}  // namespace knit::io

namespace knit {
using io::ConstBuffer;
using io::MutableBuffer;
}  // namespace knit
