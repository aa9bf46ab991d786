/// PollOp: waits until a descriptor is ready.
#pragma once

#include <cerrno>

#include "knit/io/detail/op.hpp"
#include "ring.hpp"

namespace knit::detail {

/// Gives the poll(2) events that have come, POLLERR and POLLHUP among them.
class [[nodiscard]] PollOp final : public Op {
public:
    PollOp(const DescriptorOwner& owner, unsigned events) noexcept : Op(owner), events_(events) {}
    bool await_ready() noexcept { return !attach(); }
    int await_resume() { return take_result("poll"); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_poll_add(&sqe, descriptor().number(), events_);
    }
    bool absorb(int result) noexcept override {
        if (result == -EINTR && !is_stopping()) {
            return false;
        }
        result_ = result;
        return true;
    }

    unsigned events_;
};

}  // namespace knit::detail
