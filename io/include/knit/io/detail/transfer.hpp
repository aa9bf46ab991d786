/// TransferOp: bytes between memory and a file or pipe, by read and write requests.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

/// Where a file is read and written. Kept here: a write that the disk cuts short does not move the kernel's position
/// when io_uring makes it.
struct FilePosition {
    std::uint64_t offset = 0;
    bool is_at_end = false;  ///< after each write: O_APPEND
};

/// What a transfer is to do, but for the bytes.
struct Transfer {
    /// The descriptor's own position, or none where there is none, as in a pipe.
    static constexpr std::uint64_t kOwnPosition = ~std::uint64_t{0};

    bool is_write = false;
    bool to_the_end = false;  ///< all the bytes, in as many requests as it takes
    std::uint64_t offset = kOwnPosition;
    int flags = 0;  ///< RWF_...
    /// Of a file: where the transfer begins, unless `offset` says, and what moves on with it.
    FilePosition* position = nullptr;
};

/// A descriptor that somebody has made non-blocking, as a terminal that is shared with another program, answers EAGAIN:
/// then it is polled, and the request made again.
class TransferOp : public Op {
protected:
    TransferOp(const DescriptorOwner& owner, std::span<std::byte> bytes, const Transfer& how) noexcept
        : Op(owner), bytes_(bytes), how_(how) {}

    bool is_ready() noexcept;
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;

    std::size_t done_ = 0;

private:
    std::uint64_t offset() const noexcept;
    void move_position(std::size_t count) noexcept;

    std::span<std::byte> bytes_;
    Transfer how_;
    std::int64_t start_ = -1;  ///< the kernel's position before a write that moves it
    bool is_polling_ = false;
};

/// Awaits a read; gives how many bytes.
class [[nodiscard]] ReadTransfer final : public TransferOp {
public:
    ReadTransfer(const DescriptorOwner& owner, std::span<std::byte> buffer,
                 std::uint64_t offset = Transfer::kOwnPosition, FilePosition* position = nullptr) noexcept
        : TransferOp(owner, buffer, {false, false, offset, 0, position}) {}
    bool await_ready() noexcept { return is_ready(); }
    std::size_t await_resume() {
        take_result("read");
        return done_;
    }
};

/// Awaits a write; gives how many bytes. Throws WriteError.
class [[nodiscard]] WriteTransfer final : public TransferOp {
public:
    WriteTransfer(const DescriptorOwner& owner, std::span<const std::byte> bytes, bool to_the_end,
                  std::uint64_t offset = Transfer::kOwnPosition, int flags = 0,
                  FilePosition* position = nullptr) noexcept
        : TransferOp(owner, {const_cast<std::byte*>(bytes.data()), bytes.size()},
                     {true, to_the_end, offset, flags, position}),
          size_(bytes.size()) {}
    bool await_ready() noexcept { return is_ready(); }
    std::size_t await_resume();

private:
    std::size_t size_;
};

}  // namespace knit::detail
