/// What sends and receives datagrams, for every kind of socket that has them.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <utility>

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

/// One datagram, with the name of its other end where one is given.
class DatagramOp : public Op {
public:
    bool await_ready() noexcept { return !attach(); }

protected:
    explicit DatagramOp(const DescriptorOwner& socket) noexcept : Op(socket) {}
    bool absorb(int result) noexcept override;
    /// Says it to the kernel; what is said has to stay where it is.
    void prepare_send(io_uring_sqe& sqe, std::span<const std::byte> bytes, const sockaddr* address,
                      socklen_t size) noexcept;
    void prepare_receive(io_uring_sqe& sqe, std::span<std::byte> buffer, sockaddr* address, socklen_t room) noexcept;
    socklen_t received_name_size() const noexcept { return header_.msg_namelen; }

private:
    iovec part_{};
    msghdr header_{};
};

/// Awaits what send_to() and send() promise; an empty address is that of a connected socket.
template <class Address>
class [[nodiscard]] SendDatagram final : public DatagramOp {
public:
    SendDatagram(const DescriptorOwner& socket, std::span<const std::byte> bytes, const Address& to) noexcept
        : DatagramOp(socket), bytes_(bytes), to_(to) {}
    SendDatagram(const DescriptorOwner& socket, std::span<const std::byte> bytes) noexcept
        : DatagramOp(socket), bytes_(bytes) {}
    std::size_t await_resume() { return static_cast<std::size_t>(take_result("send")); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        const bool has_name = to_.size() > sizeof(sa_family_t);
        prepare_send(sqe, bytes_, has_name ? to_.data() : nullptr, has_name ? to_.size() : 0);
    }

    std::span<const std::byte> bytes_;
    Address to_;
};

/// Awaits what recv_from() promises. `Received` is made of the size, the size that it was sent with, and the address.
template <class Address, class Received>
class [[nodiscard]] ReceiveDatagram final : public DatagramOp {
public:
    ReceiveDatagram(const DescriptorOwner& socket, std::span<std::byte> buffer) noexcept
        : DatagramOp(socket), buffer_(buffer) {}
    Received await_resume() {
        const auto sent = static_cast<std::size_t>(take_result("receive"));
        *from_.size_word() = received_name_size();
        return Received{sent < buffer_.size() ? sent : buffer_.size(), sent, from_};
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        from_.reserve_all();
        prepare_receive(sqe, buffer_, from_.data(), from_.size());
    }

    std::span<std::byte> buffer_;
    Address from_;
};

}  // namespace knit::detail
