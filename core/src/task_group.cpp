/// TaskGroup's rules, which are CPython's of 3.13 with the later fixes and cancel() of 3.15. What is told apart here
/// again and again: a cancellation that the group itself asked of its parent, and one from outside.

#include "knit/task_group.hpp"

#include <mutex>
#include <new>

#include "knit/detail/sync_waiter.hpp"
#include "knit/detail/worker.hpp"
#include "task_group_parts.hpp"

namespace knit::detail {

/// A task of a group. It waits for the task on the task's keeper, itself and not by a Relay: there it lets go of the
/// task after the keeper has, so that the task's frame has gone when the group hears of its end.
struct GroupChild : Waiter {
    struct Hop : Work {
        GroupChild* child = nullptr;
    };

    explicit GroupChild(GroupCore& owner) noexcept : Waiter(&GroupChild::settled), group(owner) {
        hop.run = &GroupChild::run_hop;
        hop.child = this;
    }
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

    /// asyncio's done callback takes a turn. A spawned task, which asyncio has not, is counted at once where its parent
    /// cannot run on before its frame has gone.
    static void settled(Waiter& waiter, FutureCore& task) noexcept {
        auto& self = static_cast<GroupChild&>(waiter);
        if (task.is_spawned() && self.group.parent_->home() == &task.keeper()) {
            self.group.child_ended(self);
        } else {
            task.keeper().make_ready(self.hop);
        }
    }
    /// Waits for a task that another loop keeps. False when that loop has closed.
    bool send(Worker& keeper) noexcept {
        hop.run = &GroupChild::arrive;
        return keeper.post(hop);
    }
    static void arrive(Worker& keeper, Work& work) noexcept {
        GroupChild& self = *static_cast<Hop&>(work).child;
        self.hop.run = &GroupChild::run_hop;
        self.wait(keeper);
    }
    /// Thread of the task's keeper.
    void wait(Worker& keeper) noexcept {
        // A spawned task that has ended already did so on another loop, whose message about it is on its way here.
        if (task->is_spawned() || !task->is_done()) {
            task->link(*this);
        } else if (task->state() == State::value) {
            group.child_ended(*this);  // started eagerly, and over: no turn is spent on it
        } else {
            keeper.make_ready(hop);  // not now: its failure must not cancel its maker inside create_task()
        }
    }
    static TaskCore* parent_of(const Waiter& waiter) noexcept {
        return waiter.notify == &GroupChild::settled ? static_cast<const GroupChild&>(waiter).group.parent_ : nullptr;
    }
    static void run_hop(Worker&, Work& work) noexcept {
        GroupChild& self = *static_cast<Hop&>(work).child;
        self.group.child_ended(self);
    }

    GroupCore& group;
    CoreRef task;  ///< null before it is made, and again before its place is given up
    GroupChild* older = nullptr;
    GroupChild* newer = nullptr;
    Hop hop;
    bool is_asked = false;  ///< to end, because the group is
};

namespace {

void cancel_child(FutureCore& task) noexcept {
    if (!task.is_done()) {
        try {
            task.cancel({});
        } catch (const std::bad_alloc&) {
            // No memory for the message to its loop: the group waits until it ends by itself.
        }
    }
}

}  // namespace

GroupCore::~GroupCore() {
    KNIT_ASSERT(count_ == 0);
    while (GroupChild* const child = kept_) {
        kept_ = child->older;
        delete child;
    }
}

std::string GroupCore::describe() const {
    const std::lock_guard lock(mutex_);
    std::string text = "TaskGroup <TaskGroup";
    if (count_ != 0) {
        text += " tasks=" + std::to_string(count_);
    }
    if (!errors_.empty()) {
        text += " errors=" + std::to_string(errors_.size());
    }
    if (is_aborting_) {
        text += " cancelling";
    } else if (is_entered_) {
        text += " entered";
    }
    return text + ">";
}

void GroupCore::enter(TaskCore& parent) {
    bool was_entered = false;
    {
        const std::lock_guard lock(mutex_);
        was_entered = std::exchange(is_entered_, true);
        if (!was_entered) {
            parent_ = &parent;
        }
    }
    if (was_entered) {
        throw RuntimeError(describe() + " has already been entered");
    }
    if (is_cancelled_on_enter_) {
        cancel();
    }
}

GroupChild* GroupCore::admit() {
    auto* const child = new GroupChild(*this);
    {
        const std::lock_guard lock(mutex_);
        if (is_entered_ && !is_aborting_ && !(is_exiting_ && count_ == 0)) {
            child->older = last_;
            (last_ != nullptr ? last_->newer : first_) = child;
            last_ = child;
            ++count_;
            return child;
        }
    }
    delete child;
    return nullptr;
}

void GroupCore::throw_refused() const {
    std::string why = " is shutting down";
    {
        const std::lock_guard lock(mutex_);
        if (!is_entered_) {
            why = " has not been entered";
        } else if (is_exiting_ && count_ == 0) {
            why = " is finished: its block has ended, or is shutting down";
        }
    }
    throw RuntimeError(describe() + why);
}

void GroupCore::attach(GroupChild& child, const CoreRef& task) noexcept {
    bool is_late = false;
    {
        const std::lock_guard lock(mutex_);
        child.task = task;
        is_late = is_aborting_;
        child.is_asked = is_late;
    }
    // Until its end is told the child stays, and with it the group. `child` itself may go from here on.
    Worker& keeper = task->keeper();
    if (Worker::current() == &keeper) {
        child.wait(keeper);
    } else if (!child.send(keeper)) {
        child_ended(child);  // its loop has closed and will not run it
        return;
    }
    if (is_late) {
        cancel_child(*task);
    }
}

void GroupCore::withdraw(GroupChild& child) noexcept { release(&child); }

std::size_t GroupCore::size() const noexcept {
    const std::lock_guard lock(mutex_);
    return count_;
}

std::vector<CoreRef> GroupCore::tasks() const {
    std::vector<CoreRef> tasks;
    const std::lock_guard lock(mutex_);
    for (const GroupChild* child = first_; child != nullptr; child = child->newer) {
        if (child->task) {
            tasks.push_back(child->task);
        }
    }
    return tasks;
}

TaskCore* group_parent(const Waiter& waiter) noexcept { return GroupChild::parent_of(waiter); }

/// With the mutex held: no task is admitted any more; what there is, is for cancel_children().
void GroupCore::begin_abort() noexcept {
    is_aborting_ = true;
    next_asked_ = first_;
}

/// Those that there were at begin_abort(), in the order of creation. Without memory: no list is made of them.
void GroupCore::cancel_children() noexcept {
    for (;;) {
        CoreRef task;
        {
            const std::lock_guard lock(mutex_);
            GroupChild* child = next_asked_;
            while (child != nullptr && (!child->task || child->is_asked)) {
                child = child->newer;  // one whose task is still to come is asked when that has come
            }
            if (child == nullptr) {
                next_asked_ = nullptr;
                return;
            }
            child->is_asked = true;
            task = child->task;
            next_asked_ = child->newer;
        }
        cancel_child(*task);
    }
}

/// False when that has been done already.
bool GroupCore::abort() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (is_aborting_) {
            return false;
        }
        begin_abort();
    }
    cancel_children();
    return true;
}

void GroupCore::cancel() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!is_entered_) {
            is_cancelled_on_enter_ = true;
            return;
        }
        if (is_aborting_ || (is_exiting_ && count_ == 0)) {
            return;
        }
        begin_abort();
        is_parent_cancelled_ = true;
        ++count_;  // the block does not end while this call works on it
    }
    cancel_children();
    cancel_parent();
    release(nullptr);
}

/// Under the protection of count_.
void GroupCore::cancel_parent() noexcept {
    Worker* const here = Worker::current();
    if (here != nullptr && parent_->home() == here) {
        parent_->cancel_task({});
        return;
    }
    try {
        on_its_way_ = new ParentCancel(*parent_);
    } catch (const std::bad_alloc&) {
        const std::lock_guard lock(mutex_);
        is_parent_cancelled_ = false;  // the body goes on to its end, and hears of the failure there
        return;
    }
    on_its_way_->travel(here);
}

/// A task has failed: the others and the body are cancelled. False when there is no memory to keep the error.
bool GroupCore::fail(const std::exception_ptr& error) noexcept {
    bool is_first = false;
    bool is_listed = true;
    {
        const std::lock_guard lock(mutex_);
        try {
            errors_.push_back(error);
        } catch (const std::bad_alloc&) {
            is_listed = false;
        }
        if (base_error_ == nullptr && kind_of(error) == ErrorKind::keyboard_interrupt) {
            base_error_ = error;
        }
        if (!is_aborting_) {
            begin_abort();
            is_parent_cancelled_ = true;
            is_first = true;
        }
    }
    if (is_first) {
        cancel_children();
        cancel_parent();
    }
    return is_listed;
}

/// On the child's loop.
void GroupCore::child_ended(GroupChild& child) noexcept {
    bool is_kept = false;
    {
        CoreRef task;
        {
            const std::lock_guard lock(mutex_);
            task = std::move(child.task);
        }
        if (task->state() == State::error) {
            task->mark_retrieved();
            is_kept = !fail(task->slot().error);
        }
        if (is_kept) {
            const std::lock_guard lock(mutex_);
            child.task = std::move(task);  // whose frame has gone, so that nothing is left of it but the error
        }
        // The task goes before the group: its frame may hold what the body lent it.
    }
    release(&child, is_kept);
}

/// The last touch of the group on behalf of a task, or of a call that counted itself (null).
void GroupCore::release(GroupChild* child, bool is_kept) noexcept {
    TaskCore* waiting = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (child != nullptr) {
            next_asked_ = next_asked_ == child ? child->newer : next_asked_;
            (child->older != nullptr ? child->older->newer : first_) = child->newer;
            (child->newer != nullptr ? child->newer->older : last_) = child->older;
        }
        if (is_kept) {
            child->older = std::exchange(kept_, child);
            child = nullptr;
        }
        if (--count_ == 0 && phase_ == Phase::waiting) {
            phase_ = Phase::granted;
            waiting = parent_;
        }
    }
    delete child;
    if (waiting != nullptr) {
        wake_from_anywhere(*waiting);
    }
}

/// At the end of the block: the errors of those that are kept join the others.
void GroupCore::collect_errors() {
    while (GroupChild* const child = kept_) {
        errors_.push_back(child->task->slot().error);
        kept_ = child->older;
        delete child;
    }
}

}  // namespace knit::detail
