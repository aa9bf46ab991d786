#include "knit/io/buffers.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "knit/io/socket.hpp"
#include "ring.hpp"

namespace knit::detail {

BufferWalk::BufferWalk(std::span<const iovec> parts)
    : parts_(parts), room_(std::min<std::size_t>(parts.size(), IOV_MAX)) {
    if (room_ > kInline) {
        many_ = std::make_unique<iovec[]>(room_);
    }
}

bool BufferWalk::is_done() noexcept {
    while (index_ != parts_.size() && parts_[index_].iov_len == offset_) {
        ++index_;
        offset_ = 0;
    }
    return index_ == parts_.size();
}

void BufferWalk::advance(std::size_t count) noexcept {
    while (!is_done() && count != 0) {
        const std::size_t step = std::min(count, parts_[index_].iov_len - offset_);
        offset_ += step;
        count -= step;
    }
    KNIT_ASSERT(count == 0);
}

msghdr* BufferWalk::next() noexcept {
    iovec* const list = many_ != nullptr ? many_.get() : few_.data();
    std::size_t count = 0;
    std::size_t skipped = offset_;
    for (std::size_t i = index_; i != parts_.size() && count != room_; ++i) {
        if (parts_[i].iov_len != skipped) {
            list[count++] = {static_cast<char*>(parts_[i].iov_base) + skipped, parts_[i].iov_len - skipped};
        }
        skipped = 0;
    }
    header_.msg_iov = list;
    header_.msg_iovlen = count;
    return &header_;
}

std::size_t BufferWalk::fill(const char* bytes, std::size_t size) noexcept {
    std::size_t done = 0;
    while (done != size && !is_done()) {
        const std::size_t step = std::min(size - done, parts_[index_].iov_len - offset_);
        std::memcpy(static_cast<char*>(parts_[index_].iov_base) + offset_, bytes + done, step);
        offset_ += step;
        done += step;
    }
    return done;
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::SocketDescriptor;

bool WriteBuffers::await_ready() noexcept {
    if (!attach()) {
        return true;
    }
    if (walk_.is_done()) {
        result_ = 0;
        return true;
    }
    return false;
}

void WriteBuffers::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_sendmsg(&sqe, descriptor().number(), walk_.next(),
                          static_cast<unsigned>(MSG_NOSIGNAL | (to_the_end_ ? MSG_WAITALL : 0)));
}

bool WriteBuffers::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result < 0) {
        return true;
    }
    done_ += static_cast<std::size_t>(result);
    walk_.advance(static_cast<std::size_t>(result));
    return !to_the_end_ || walk_.is_done();
}

bool ReadBuffers::await_ready() noexcept {
    if (!attach()) {
        return true;
    }
    auto* const socket = static_cast<SocketDescriptor*>(&descriptor());
    if (walk_.is_done()) {
        result_ = 0;
        return true;
    }
    if (socket->unread != nullptr) [[unlikely]] {
        done_ = walk_.fill(socket->unread->data(), socket->unread->size());
        socket->take_unread(done_);
        result_ = 0;
        return true;
    }
    return false;
}

void ReadBuffers::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_recvmsg(&sqe, descriptor().number(), walk_.next(), 0);
}

bool ReadBuffers::absorb(int result) noexcept {
    if (result == -EINTR && !is_stopping()) {
        return false;
    }
    result_ = result;
    if (result > 0) {
        done_ = static_cast<std::size_t>(result);
    }
    return true;
}

}  // namespace knit::io
