/// What passes descriptors over a Unix socket.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

/// A message with room for descriptors beside its bytes.
class AncillaryOp : public Op {
protected:
    /// Throws std::bad_alloc.
    AncillaryOp(const DescriptorOwner& socket, std::size_t count_max);

    std::size_t room_;
    std::unique_ptr<std::byte[]> control_;
    iovec part_{};
    msghdr header_{};
};

}  // namespace knit::detail

namespace knit::io {

/// Awaits what UnixStream::send_descriptors() promises.
class [[nodiscard]] SendDescriptors final : public knit::detail::AncillaryOp {
public:
    SendDescriptors(const knit::detail::DescriptorOwner& socket, std::span<const std::byte> bytes,
                    std::span<const int> descriptors);
    bool await_ready() noexcept { return !attach(); }
    std::size_t await_resume() {
        take_result("send descriptors over");
        return done_;
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;

    std::span<const std::byte> bytes_;
    std::size_t done_ = 0;
};

/// What came: bytes, and descriptors that were sent with them. The descriptors are closed with it unless they are taken
/// out (Fd::release()); they are CLOEXEC.
struct ReceivedDescriptors {
    ReceivedDescriptors() noexcept = default;
    ReceivedDescriptors(ReceivedDescriptors&&) noexcept = default;
    ReceivedDescriptors& operator=(ReceivedDescriptors&&) noexcept = default;
    ~ReceivedDescriptors() = default;

    std::size_t size = 0;
    std::vector<knit::detail::Fd> descriptors;
    /// More were sent than asked for, or than this process may open: those are lost.
    bool is_truncated = false;
};

/// Awaits what UnixStream::receive_descriptors() promises.
class [[nodiscard]] ReceiveDescriptors final : public knit::detail::AncillaryOp {
public:
    ReceiveDescriptors(const knit::detail::DescriptorOwner& socket, std::span<std::byte> buffer,
                       std::size_t count_max);
    ReceiveDescriptors(ReceiveDescriptors&&) noexcept = default;
    /// Descriptors that came, but that nobody took because the task was destroyed, are closed.
    ~ReceiveDescriptors() { close_descriptors(); }
    bool await_ready() noexcept;
    ReceivedDescriptors await_resume();

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    bool absorb(int result) noexcept override;
    template <class F>
    void each_descriptor(F take) noexcept;
    std::vector<knit::detail::Fd> take_descriptors();
    void close_descriptors() noexcept;

    std::span<std::byte> buffer_;
    std::size_t done_ = 0;
};

}  // namespace knit::io
