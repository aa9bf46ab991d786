/// The end of a TaskGroup's block: waiting for the tasks, and what comes out.

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "knit/task_group.hpp"
#include "report.hpp"
#include "task_group_parts.hpp"

namespace knit::detail {

/// Waits until the group's tasks have ended.
class GroupWait : Wait {
public:
    using knit_awaiter = void;

    explicit GroupWait(GroupCore& group) noexcept : Wait(&GroupWait::cancel_wait, "TaskGroup"), group_(group) {}
    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        if (!group_.begin_wait()) {
            return false;
        }
        task_ = &handle.promise().task();
        task_->suspend(handle, this);
        return true;
    }
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor) {
        if (wait.cancel != &GroupWait::cancel_wait) {
            return false;
        }
        for (const CoreRef& task : static_cast<const GroupWait&>(wait).group_.tasks()) {
            visitor.visit(*task, &wait);
        }
        return true;
    }
    void await_resume() {
        if (task_ != nullptr) {
            const bool is_cancelled = group_.end_wait();
            task_->resumed();
            if (is_cancelled) {
                task_->throw_cancelled();
            }
        }
    }

private:
    static bool cancel_wait(Wait& wait) noexcept {
        auto& self = static_cast<GroupWait&>(wait);
        if (!self.group_.cancel_wait()) {
            return false;
        }
        self.task_->wake();
        return true;
    }

    GroupCore& group_;
    TaskCore* task_ = nullptr;
};

bool show_group(const Wait& wait, AwaitVisitor& visitor) { return GroupWait::show_awaited(wait, visitor); }

/// False when there is nothing to wait for.
bool GroupCore::begin_wait() noexcept {
    const std::lock_guard lock(mutex_);
    KNIT_ASSERT(phase_ == Phase::idle);
    if (count_ == 0) {
        return false;
    }
    phase_ = Phase::waiting;
    return true;
}

/// True when the wait now ends because of this.
bool GroupCore::cancel_wait() noexcept {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::waiting) {
        return false;
    }
    phase_ = Phase::cancelled;
    return true;
}

/// Whether it was cancelled.
bool GroupCore::end_wait() noexcept {
    const std::lock_guard lock(mutex_);
    KNIT_ASSERT(phase_ == Phase::granted || phase_ == Phase::cancelled);
    return std::exchange(phase_, Phase::idle) == Phase::cancelled;
}

Coro<> GroupCore::leave(std::exception_ptr body_error) {
    const ErrorKind kind = kind_of(body_error);
    {
        const std::lock_guard lock(mutex_);
        is_exiting_ = true;
        if (base_error_ == nullptr && kind == ErrorKind::keyboard_interrupt) {
            base_error_ = body_error;
        }
    }
    if (kind != ErrorKind::none) {
        abort();
    }
    std::exception_ptr cancelled = kind == ErrorKind::cancelled ? body_error : nullptr;
    std::exception_ptr pending;
    // Once for each cancellation that comes meanwhile.
    while (size() != 0) {
        try {
            co_await GroupWait(*this);
        } catch (const CancelledError&) {
            pending = std::current_exception();
            if (abort()) {
                cancelled = pending;
            }
        }
    }
    conclude(kind == ErrorKind::cancelled ? nullptr : body_error, std::move(cancelled), std::move(pending));
}

/// All tasks have ended. `body_error`: other than a cancellation. `cancelled`: the cancellation that ended the block;
/// `pending`: the last that came while it ended.
void GroupCore::conclude(const std::exception_ptr& body_error, std::exception_ptr cancelled,
                         std::exception_ptr pending) {
    const bool is_asked = take_back_cancel();
    collect_errors();
    if (base_error_ != nullptr) {
        throw_base_error(body_error);
    }
    if (is_asked && parent_->uncancel() == 0) {
        cancelled = nullptr;
    } else if (cancelled == nullptr) {
        cancelled = std::move(pending);  // what is left is somebody else's; all of it when the group's own never came
    }
    std::vector<std::exception_ptr> errors = std::move(errors_);
    if (body_error != nullptr) {
        errors.push_back(body_error);
    }
    if (!errors.empty()) {
        if (parent_->cancelling() > 0) {
            // From outside: due again at the next await, and the count stays as it is.
            parent_->uncancel();
            parent_->cancel_task({});
            parent_->request_cancel_again();
        }
        std::rethrow_exception(make_exception_group("unhandled errors in a TaskGroup", std::move(errors)));
    }
    if (cancelled != nullptr) {
        std::rethrow_exception(std::move(cancelled));
    }
}

/// A KeyboardInterrupt comes out alone; the others are told to the loop's handler, not lost.
void GroupCore::throw_base_error(const std::exception_ptr& body_error) const {
    std::vector<std::exception_ptr> others = errors_;
    if (body_error != nullptr) {
        others.push_back(body_error);
    }
    for (const std::exception_ptr& error : others) {
        if (error != base_error_) {
            report(*parent_->home(),
                   "TaskGroup task exception was not propagated because the TaskGroup body is being closed with a "
                   "BaseException",
                   error, parent_);
        }
    }
    std::rethrow_exception(base_error_);
}

/// Whether the group has cancelled its parent; a cancellation that has not come yet never will. At the end of the
/// block.
bool GroupCore::take_back_cancel() noexcept {
    ParentCancel* const message = std::exchange(on_its_way_, nullptr);
    return message != nullptr ? ParentCancel::take_back(*message) : is_parent_cancelled_;
}

ErrorKind kind_of(const std::exception_ptr& error) {
    if (error == nullptr) {
        return ErrorKind::none;
    }
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError&) {
        return ErrorKind::cancelled;
    } catch (const KeyboardInterrupt&) {
        return ErrorKind::keyboard_interrupt;
    } catch (...) {
        return ErrorKind::ordinary;  // only asked for its kind
    }
}

}  // namespace knit::detail
