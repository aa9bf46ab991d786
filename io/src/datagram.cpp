#include "knit/io/detail/datagram.hpp"

#include <cerrno>

#include "ring.hpp"

namespace knit::detail {

bool DatagramOp::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    return true;
}

void DatagramOp::prepare_send(io_uring_sqe& sqe, std::span<const std::byte> bytes, const sockaddr* address,
                              socklen_t size) noexcept {
    part_ = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    header_ = {};
    header_.msg_name = const_cast<sockaddr*>(address);
    header_.msg_namelen = size;
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    io_uring_prep_sendmsg(&sqe, descriptor().number(), &header_, MSG_NOSIGNAL);
}

// MSG_TRUNC: the result is the size that the datagram was sent with, not what had room.
void DatagramOp::prepare_receive(io_uring_sqe& sqe, std::span<std::byte> buffer, sockaddr* address,
                                 socklen_t room) noexcept {
    part_ = {buffer.data(), buffer.size()};
    header_ = {};
    header_.msg_name = address;
    header_.msg_namelen = room;
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    io_uring_prep_recvmsg(&sqe, descriptor().number(), &header_, MSG_TRUNC);
}

}  // namespace knit::detail
