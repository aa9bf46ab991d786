/// What both halves of TaskGroup use: how errors are told apart, and the cancellation that travels to the parent.
///
///   [group.request]  arrive: delivered  <->  take_back: revoked     one exchange decides: the end of the block finds
///                    the cancellation delivered, or it is not delivered any more
#pragma once

#include <exception>

#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {

enum class ErrorKind { none, ordinary, cancelled, keyboard_interrupt };
ErrorKind kind_of(const std::exception_ptr& error);

/// The parent of the group that waits for a task by `waiter`, one of the task's; null when it is no group's. The task's
/// keeper.
TaskCore* group_parent(const Waiter& waiter) noexcept;
/// Shows the tasks of the group at whose end a task waits; false when that is not what the wait is. Home loop.
bool show_group(const Wait& wait, AwaitVisitor& visitor);

/// A group's cancellation of its parent on the way to the parent's loop. Not TaskCore's own message, because the end of
/// the block must know whether it has come: one that comes later would hit what follows the block.
class ParentCancel : Work {
public:
    explicit ParentCancel(TaskCore& parent) noexcept : parent_(parent) {
        run = &ParentCancel::arrive;
        parent_.add_ref();
    }
    ~ParentCancel() { parent_.drop_ref(); }
    ParentCancel(const ParentCancel&) = delete;
    ParentCancel& operator=(const ParentCancel&) = delete;

    /// To wherever the parent lives. `here`: the calling thread's loop, or null.
    void travel(Worker* here) noexcept {
        Worker* const home = parent_.home();
        if (home != nullptr ? home->post(*this) : here == nullptr && parent_.keeper().post(*this)) {
            return;
        }
        if (home == nullptr && here != nullptr && !here->is_discarding()) {
            here->make_ready(*this);  // on offer by reschedule(): whoever takes it will be its home in a moment
        } else if (state_.exchange(delivered, std::memory_order_acq_rel) == revoked) {  // [group.request]
            delete this;  // else a loop has closed without it: nobody waits for it any more, nor will the parent run on
        }
    }
    /// True when it had come; false when it will not come any more. Ends the message's life, now or on its arrival.
    static bool take_back(ParentCancel& self) noexcept {
        const bool was_delivered =
            self.state_.exchange(revoked, std::memory_order_acq_rel) == delivered;  // [group.request]
        if (was_delivered) {
            delete &self;
        }
        return was_delivered;
    }

private:
    enum State : std::uint8_t { travelling, delivered, revoked };

    static void arrive(Worker& worker, Work& work) noexcept {
        auto& self = static_cast<ParentCancel&>(work);
        if (self.state_.load(std::memory_order_acquire) == revoked) {  // [group.request]
            delete &self;
        } else if (self.parent_.home() != &worker) {
            self.travel(&worker);
        } else {
            // On the parent's loop, so nothing comes between these two.
            TaskCore& parent = self.parent_;
            if (self.state_.exchange(delivered, std::memory_order_acq_rel) == revoked) {  // [group.request]
                delete &self;
            } else {
                parent.cancel_task({});
            }
        }
    }

    TaskCore& parent_;
    Atomic<State> state_{travelling};  ///< the carrier and the end of the block; who comes second frees [group.request]
};

}  // namespace knit::detail
