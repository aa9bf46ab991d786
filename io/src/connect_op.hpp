/// ConnectOp: connects a socket to an address, which has to stay until it is connected.
#pragma once

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/op.hpp"
#include "ring.hpp"

namespace knit::detail {

class [[nodiscard]] ConnectOp final : public Op {
public:
    ConnectOp(const DescriptorOwner& socket, const sockaddr* address, socklen_t size) noexcept
        : Op(socket), address_(address), size_(size) {}
    bool await_ready() noexcept { return !attach(); }
    void await_resume() { take_result("connect"); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_connect(&sqe, descriptor().number(), address_, size_);
    }
    bool absorb(int result) noexcept override {
        result_ = result;
        return true;
    }

    const sockaddr* address_;
    socklen_t size_;
};

}  // namespace knit::detail
