/// Hold: work on a descriptor that is more than one operation, and is none while it calls the system itself.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "knit/io/detail/op.hpp"

namespace knit::detail {

/// From here to its end the descriptor is as busy as with an operation in flight: other loops are refused, close() lets
/// it be until this has gone. The kernel has nothing to give up, so whoever holds asks is_stopping() after each wait.
class Hold final : public Op {
public:
    /// Throws std::system_error with EBADF when it is closed, RuntimeError when operations of another loop are in
    /// flight.
    Hold(const DescriptorOwner& owner, Worker& here, const char* operation) : Op(owner), operation_(operation) {
        if (!attach()) {
            throw std::system_error(EBADF, std::generic_category(), std::string(operation) + ": it is closed");
        }
        hold(here);
        held_ = DescriptorOwner(&descriptor());
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { static_cast<void>(held_.release()); }

    /// For operations in between: there also when the socket has been moved or closed.
    const DescriptorOwner& owner() const noexcept { return held_; }
    using Op::descriptor;

    /// Throws std::system_error with ECANCELED once the socket has been closed.
    void check() const {
        if (is_stopping()) {
            const std::string text = std::string(operation_) + " " + descriptor().describe();
            throw std::system_error(ECANCELED, std::generic_category(), text + ": closed by another task");
        }
    }

private:
    void prepare(io_uring_sqe&) noexcept override { KNIT_ASSERT(false && "a hold is never submitted"); }
    bool absorb(int) noexcept override { return true; }

    const char* operation_;
    DescriptorOwner held_;  ///< not its own
};

}  // namespace knit::detail
