/// come_home(): a user's function may go on to another loop, and what follows it touches a connection of this one.
#pragma once

#include <coroutine>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/loop.hpp"

namespace knit::http::detail {

/// No coroutine of its own: no memory may fail where the connection must not be touched yet.
class ComeHome {
public:
    using knit_awaiter = void;

    explicit ComeHome(Loop& loop) noexcept : loop_(loop), move_(&loop.worker()) {}

    bool await_ready() const noexcept { return false; }
    template <knit::detail::KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        knit::detail::TaskCore& task = handle.promise().task();
        if (task.home() == &loop_.worker()) {
            return false;
        }
        task_ = &task;
        return move_.await_suspend(handle);
    }
    void await_resume() noexcept {
        if (task_ != nullptr) {
            task_->resumed_keep_cancel();
        }
    }

private:
    Loop& loop_;
    knit::detail::MoveAwaiter move_;
    knit::detail::TaskCore* task_ = nullptr;
};

/// Brings the current task back to `loop`, cancelled or not: a cancellation stays for the next await.
[[nodiscard]] inline ComeHome come_home(Loop& loop) noexcept { return ComeHome(loop); }

}  // namespace knit::http::detail
