#include "knit/io/receive.hpp"

#include <cerrno>

#include "buffer_pool.hpp"
#include "knit/detail/worker.hpp"
#include "knit/io/socket.hpp"
#include "io_driver.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

BufferPool& pool() { return static_cast<IoDriver&>(Worker::current()->driver()).buffers(); }

/// From the heap, for what cannot be had from the loop.
LentBuffer* make_buffer() { return new LentBuffer; }

}  // namespace
}  // namespace knit::detail

namespace knit::io {

using knit::detail::BufferPool;
using knit::detail::LentBuffer;

std::byte* Received::data() const noexcept { return buffer_ == nullptr ? nullptr : buffer_->bytes; }

void Received::release() noexcept {
    if (buffer_ != nullptr) {
        BufferPool::give_back(std::exchange(buffer_, nullptr));
    }
    size_ = 0;
}

void Receive::give_back() noexcept {
    if (buffer_ != nullptr) {
        BufferPool::give_back(std::exchange(buffer_, nullptr));
    }
}

bool Receive::await_ready() {
    if (!attach()) {
        return true;
    }
    auto* const socket = static_cast<knit::detail::SocketDescriptor*>(&descriptor());
    if (socket->unread != nullptr) [[unlikely]] {  // of a read_exactly() that was cancelled
        buffer_ = knit::detail::make_buffer();
        result_ = static_cast<int>(socket->read_unread(buffer_->bytes));
        return true;
    }
    needs_own_buffer_ = !knit::detail::pool().is_usable();
    if (needs_own_buffer_) {
        buffer_ = knit::detail::make_buffer();
    }
    return false;
}

void Receive::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_recv(&sqe, descriptor().number(), needs_own_buffer_ ? buffer_->bytes : nullptr, LentBuffer::kSize, 0);
    if (!needs_own_buffer_) {
        sqe.flags |= IOSQE_BUFFER_SELECT;
        sqe.buf_group = BufferPool::kGroup;
    }
}

bool Receive::absorb(int result) noexcept {
    if ((completion_flags() & IORING_CQE_F_BUFFER) != 0) {
        buffer_ = knit::detail::pool().take(static_cast<std::uint16_t>(completion_flags() >> IORING_CQE_BUFFER_SHIFT));
    }
    result_ = result;
    if (is_stopping()) {
        if (result == -ENOBUFS) {
            result_ = -ECANCELED;  // the kernel's trouble is none of one who has given up
        }
        return true;
    }
    if (result == -ENOBUFS) {
        // All are lent, and their holders may wait for this very receive: so it goes on with more, or with its own.
        if (!knit::detail::pool().refill()) {
            buffer_ = new (std::nothrow) LentBuffer;
            needs_own_buffer_ = true;
            result_ = -ENOMEM;
        }
        return needs_own_buffer_ && buffer_ == nullptr;
    }
    return result != -EINTR;
}

Received Receive::await_resume() {
    const int count = take_result("receive");
    return count == 0 ? Received() : Received(std::exchange(buffer_, nullptr), static_cast<std::size_t>(count));
}

}  // namespace knit::io
