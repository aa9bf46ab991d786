/// FutureWait: a task is suspended until a task or future is settled. What FutureAwaiter does whatever the type.
///
/// A task that awaits a task must not, through whatever others, await itself: it would wait for ever. What lies on the
/// own loop is looked at before the task suspends; where the chain leads to another loop, a CycleProbe follows it.
#pragma once

#include <coroutine>
#include <utility>

#include "knit/detail/core_ref.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {

struct CycleMark;
class CycleProbe;

void check_same_runtime(FutureCore& core, Worker& here);
[[noreturn]] void throw_empty_handle();
[[noreturn]] void throw_awaits_itself(const TaskCore& task);
/// `task`, of loop `here`, is about to await `target`, and that is marked. Throws RuntimeError when the chain of awaits
/// that starts there leads back to the task; gives whether it has to be followed by messages.
bool check_cycle_slow(TaskCore& task, TaskCore& target, Worker& here);

class FutureWait : Wait, Waiter {
public:
    explicit FutureWait(CoreRef core) noexcept
        : Wait(&FutureWait::cancel_wait, "await"), Waiter(&FutureWait::settled), core_(std::move(core)) {}
    FutureWait(const FutureWait&) = delete;
    FutureWait& operator=(const FutureWait&) = delete;
    ~FutureWait() {
        if (mark_ != nullptr) [[unlikely]] {
            drop_mark();
        }
    }

    /// Shows what a wait is for; false when it is none of these. The task's home loop.
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor) {
        if (wait.cancel != &FutureWait::cancel_wait) {
            return false;
        }
        const auto& self = static_cast<const FutureWait&>(wait);
        visitor.visit(*self.core_, static_cast<const Waiter*>(&self));
        return true;
    }

    bool await_ready() const {
        if (!core_) {
            throw_empty_handle();
        }
        return core_->is_done();
    }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        TaskCore& task = handle.promise().task();
        Worker& here = *task.home();
        check_same_runtime(*core_, here);
        const bool leads_on = core_->is_task() && check_cycle(task, static_cast<TaskCore&>(*core_), here);
        core_->subscribe(*this, here);
        task.set_awaited(*core_);
        task_ = &task;
        if (leads_on) [[unlikely]] {
            probe_for_cycle(here);
        }
        task.suspend(handle, this);
    }

protected:
    /// The first thing of await_resume.
    void resume() {
        if (task_ == nullptr) {
            return;
        }
        if (mark_ != nullptr) [[unlikely]] {
            drop_mark();
        }
        task_->resumed();
        if (is_refused_) [[unlikely]] {
            throw_refused();
        }
    }
    FutureCore& core() const noexcept { return *core_; }
    bool is_sole_reference() const noexcept { return core_->is_sole_reference(); }

private:
    friend class CycleProbe;

    static bool check_cycle(TaskCore& task, TaskCore& target, Worker& here) {
        target.mark_awaited();
        if (target.home() == &here && !task.is_awaited() && &task.keeper() == &here) [[likely]] {
            return false;  // nobody awaits the task, so that no chain leads to it
        }
        return check_cycle_slow(task, target, here);
    }
    static bool cancel_wait(Wait& wait) noexcept;
    static void settled(Waiter& waiter, FutureCore&) noexcept {
        auto& self = static_cast<FutureWait&>(waiter);
        self.is_over_ = true;
        self.task_->wake();
    }
    void probe_for_cycle(Worker& here) noexcept;
    void refuse() noexcept;
    [[noreturn]] void throw_refused();
    void drop_mark() noexcept;

    CoreRef core_;
    TaskCore* task_ = nullptr;
    CycleMark* mark_ = nullptr;  ///< made when a probe comes by
    bool is_over_ = false;       ///< the task has been woken
    bool is_refused_ = false;    ///< ... because it would wait for itself
    bool is_cancel_taken_ = false;
};

}  // namespace knit::detail
