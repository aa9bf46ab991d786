/// rebalance(): a point where a connection may move to another loop.
#pragma once

#include <coroutine>

#include "knit/detail/task_core.hpp"
#include "knit/loop.hpp"

namespace knit::detail {

/// Awaits what rebalance() promises.
class [[nodiscard]] Rebalance {
public:
    using knit_awaiter = void;

    /// Nearly always true: it is not yet time to look again.
    bool await_ready() noexcept;
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        Worker* const target = choose(handle.promise().task());
        if (target == nullptr) {
            return false;
        }
        move_ = MoveAwaiter(target);
        has_moved_ = true;
        return move_.await_suspend(handle);
    }
    void await_resume() {
        if (has_moved_) {
            move_.await_resume();
        }
    }

private:
    /// The loop to go to, which from now on has the connection in its accounts; null: to stay.
    static Worker* choose(TaskCore& task) noexcept;

    MoveAwaiter move_{nullptr};
    bool has_moved_ = false;
};

}  // namespace knit::detail

namespace knit::io {

/// Between two requests: lets the connection's task move to another loop when this one is much busier than the least
/// busy of the runtime and has other connections that are busy; it goes on there. Costs a few nanoseconds when it
/// stays, which is nearly always: a loop gives away one connection at a time, at most every 20 ms, and takes one in
/// that time. A loop that has to give back what it was given waits longer each time. Not while another task uses the
/// connection, because all that use a socket at one time have to be on one loop. Any task may call it. Cancelled:
/// CancelledError when that arrives on the way to the other loop.
inline knit::detail::Rebalance rebalance() noexcept { return {}; }

}  // namespace knit::io

namespace knit {
using io::rebalance;
}  // namespace knit
