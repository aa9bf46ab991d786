/// AcceptOp: what accepting has in common for every kind of listener.
#pragma once

#include <cerrno>
#include <utility>

#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

class AcceptOp : public Op {
public:
    explicit AcceptOp(const DescriptorOwner& listener) noexcept : Op(listener) {}
    AcceptOp(AcceptOp&&) noexcept = default;
    /// A connection that came, but that nobody took because the task was destroyed, is closed.
    ~AcceptOp() { static_cast<void>(take_connection()); }

    bool await_ready() noexcept { return !attach(); }

protected:
    /// Connections that died in the queue are passed over.
    bool absorb(int result) noexcept override;
    /// For await_resume. Throws as Op::take_result().
    Fd accepted();

private:
    Fd take_connection() noexcept { return Fd(std::exchange(result_, -EBADF)); }

};

}  // namespace knit::detail
