#include "knit/io/detail/ancillary.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "knit/error.hpp"
#include "knit/io/socket.hpp"
#include "ring.hpp"

namespace knit::detail {

namespace {

// SCM_MAX_FD, which only the kernel's own headers have.
constexpr std::size_t kDescriptorsMax = 253;

std::size_t checked_count(std::size_t count) {
    if (count > kDescriptorsMax) {
        throw ValueError("one message takes at most " + std::to_string(kDescriptorsMax) + " descriptors, not " +
                         std::to_string(count));
    }
    return count;
}

}  // namespace

AncillaryOp::AncillaryOp(const DescriptorOwner& socket, std::size_t count_max)
    : Op(socket),
      room_(count_max == 0 ? 0 : CMSG_SPACE(checked_count(count_max) * sizeof(int))),
      control_(room_ == 0 ? nullptr : std::make_unique<std::byte[]>(room_)) {}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::Fd;
using knit::detail::SocketDescriptor;

SendDescriptors::SendDescriptors(const knit::detail::DescriptorOwner& socket, std::span<const std::byte> bytes,
                                 std::span<const int> descriptors)
    : AncillaryOp(socket, descriptors.size()), bytes_(bytes) {
    if (bytes.empty()) {
        throw ValueError("descriptors travel with bytes: send_descriptors() needs at least one byte");
    }
    if (room_ != 0) {
        auto* const head = reinterpret_cast<cmsghdr*>(control_.get());
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
    }
}

void SendDescriptors::prepare(io_uring_sqe& sqe) noexcept {
    part_ = {const_cast<std::byte*>(bytes_.data()) + done_, bytes_.size() - done_};
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    // They go with the first bytes, once.
    header_.msg_control = done_ == 0 ? control_.get() : nullptr;
    header_.msg_controllen = done_ == 0 ? room_ : 0;
    io_uring_prep_sendmsg(&sqe, descriptor().number(), &header_, MSG_NOSIGNAL);
}

bool SendDescriptors::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result < 0) {
        return true;
    }
    done_ += static_cast<std::size_t>(result);
    return done_ == bytes_.size();
}

ReceiveDescriptors::ReceiveDescriptors(const knit::detail::DescriptorOwner& socket, std::span<std::byte> buffer,
                                       std::size_t count_max)
    : AncillaryOp(socket, count_max), buffer_(buffer) {}

bool ReceiveDescriptors::await_ready() noexcept {
    if (!attach()) {
        return true;
    }
    auto* const socket = static_cast<SocketDescriptor*>(&descriptor());
    done_ = socket->read_unread(buffer_);
    if (done_ != 0 || buffer_.empty()) {
        result_ = 0;
        return true;
    }
    return false;
}

void ReceiveDescriptors::prepare(io_uring_sqe& sqe) noexcept {
    part_ = {buffer_.data(), buffer_.size()};
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    header_.msg_control = control_.get();
    header_.msg_controllen = room_;
    io_uring_prep_recvmsg(&sqe, descriptor().number(), &header_, MSG_CMSG_CLOEXEC);
}

bool ReceiveDescriptors::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result > 0) {
        done_ = static_cast<std::size_t>(result);
    } else {
        header_.msg_controllen = 0;
    }
    return true;
}

/// `take(number)` owns it; the header has none afterwards.
template <class F>
void ReceiveDescriptors::each_descriptor(F take) noexcept {
    if (header_.msg_control == nullptr || result_ < 0) {
        return;
    }
    for (cmsghdr* head = CMSG_FIRSTHDR(&header_); head != nullptr; head = CMSG_NXTHDR(&header_, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t index = 0; index < count; ++index) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(head) + index * sizeof number, sizeof number);
            take(number);
        }
    }
    header_.msg_controllen = 0;
}

std::vector<Fd> ReceiveDescriptors::take_descriptors() {
    std::vector<Fd> result;
    result.reserve(room_ / sizeof(int));  // all that may come: from here on nothing throws
    each_descriptor([&](int number) noexcept { result.emplace_back(number); });
    return result;
}

void ReceiveDescriptors::close_descriptors() noexcept {
    each_descriptor([](int number) noexcept { Fd(number).close(); });
}

ReceivedDescriptors ReceiveDescriptors::await_resume() {
    take_result("receive descriptors over");
    ReceivedDescriptors received;
    received.size = done_;
    received.is_truncated = (header_.msg_flags & MSG_CTRUNC) != 0;
    received.descriptors = take_descriptors();
    return received;
}

}  // namespace knit::io
