#include "knit/io/detail/transfer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "knit/io/file.hpp"
#include "ring.hpp"

namespace knit::detail {
bool TransferOp::is_ready() noexcept {
    if (!attach()) {
        return true;
    }
    if (bytes_.empty()) {
        result_ = 0;
        return true;
    }
    return false;
}

void TransferOp::prepare(io_uring_sqe& sqe) noexcept {
    const int number = descriptor().number();
    if (is_polling_) {
        io_uring_prep_poll_add(&sqe, number, how_.is_write ? POLLOUT : POLLIN);
        return;
    }
    const std::span<std::byte> rest = bytes_.subspan(done_);
    if (how_.is_write && offset() == Transfer::kOwnPosition) {
        start_ = lseek(number, 0, SEEK_CUR);
    }
    io_uring_prep_rw(how_.is_write ? IORING_OP_WRITE : IORING_OP_READ, &sqe, number, rest.data(),
                     static_cast<unsigned>(std::min(rest.size(), kTransferMax)), offset());
    sqe.rw_flags = how_.flags;
}

bool TransferOp::absorb(int result) noexcept {
    const bool was_polling = is_polling_;
    is_polling_ = false;
    if (result < 0) {
        is_polling_ = result == -EAGAIN && !was_polling;
        if (is_polling_ || (result == -EINTR && !is_stopping())) {
            return false;
        }
        result_ = result;
        return true;
    }
    if (was_polling) {
        return false;
    }
    if (result == 0 && how_.is_write) {
        result_ = -EIO;  // a device that takes nothing and says no reason: it would be asked for ever
        return true;
    }
    result_ = 0;
    move_position(static_cast<std::size_t>(result));
    done_ += static_cast<std::size_t>(result);
    return !how_.to_the_end || result == 0 || done_ == bytes_.size();
}

std::uint64_t TransferOp::offset() const noexcept {
    if (how_.position != nullptr) {
        return how_.position->offset;
    }
    return how_.offset == Transfer::kOwnPosition ? how_.offset : how_.offset + done_;
}

void TransferOp::move_position(std::size_t count) noexcept {
    const int number = descriptor().number();
    if (how_.position != nullptr) {
        if (how_.is_write && how_.position->is_at_end) {
            how_.position->offset = static_cast<std::uint64_t>(lseek(number, 0, SEEK_END));
        } else if (how_.position->offset != Transfer::kOwnPosition) {
            how_.position->offset += count;
        }
    } else if (start_ >= 0 && count < bytes_.size() - done_ && lseek(number, 0, SEEK_CUR) == start_) {
        // A file that others share, as standard output is shared with the shell: the kernel's position counts.
        lseek(number, start_ + static_cast<std::int64_t>(count), SEEK_SET);
    }
}

std::size_t WriteTransfer::await_resume() {
    try {
        take_result("write");
    } catch (const std::system_error& error) {
        std::string text = error.what();
        if (done_ != 0) {
            text = "after " + std::to_string(done_) + " of " + std::to_string(size_) + " bytes: " + text;
        }
        throw io::WriteError(error.code(), std::move(text), done_);
    }
    return done_;
}

}  // namespace knit::detail
