/// TaskGroup's rules, which are CPython's of 3.13 with the later fixes and cancel() of 3.15. What is told apart here
/// again and again: a cancellation that the group itself asked of its parent, and one from outside.
///
///   [group.request]  arrive: delivered  <->  take_back_cancel: revoked     one exchange decides: the parent, on its
///                    loop, finds its cancellation delivered, or it is not delivered any more

#include "knit/task_group.hpp"

#include <mutex>

#include "knit/detail/sync_waiter.hpp"
#include "knit/detail/worker.hpp"
#include "report.hpp"

namespace knit::detail {

/// A task of a group. It waits for the task on the task's keeper, itself and not by a Relay: there it lets go of the task
/// after the keeper has, so that the task's frame has gone when the group hears of its end.
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
        } else {
            keeper.make_ready(hop);  // not now: its failure must not cancel its maker inside create_task()
        }
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
};

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
        if (home == nullptr && here != nullptr) {
            here->make_ready(*this);  // on offer by reschedule(): whoever takes it will be its home in a moment
        } else if (state_.exchange(delivered, std::memory_order_acq_rel) == revoked) {  // [group.request]
            delete this;  // else its loop has closed: nobody waits for it any more, nor will the parent run on
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
                parent.cancel_task({}, nullptr);
            }
        }
    }

    TaskCore& parent_;
    Atomic<State> state_{travelling};  ///< the carrier and the end of the block; who comes second frees [group.request]
};

namespace {

enum class Kind { none, ordinary, cancelled, keyboard_interrupt };

Kind kind_of(const std::exception_ptr& error) {
    if (error == nullptr) {
        return Kind::none;
    }
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError&) {
        return Kind::cancelled;
    } catch (const KeyboardInterrupt&) {
        return Kind::keyboard_interrupt;
    } catch (...) {
        return Kind::ordinary;  // only asked for its kind
    }
}

void cancel_all(const std::vector<CoreRef>& tasks) {
    for (const CoreRef& task : tasks) {
        if (!task->is_done()) {
            task->cancel({});
        }
    }
}

}  // namespace

GroupCore::~GroupCore() { KNIT_ASSERT(count_ == 0); }

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
    }
    // Until its end is told the child stays, and with it the group. `child` itself may go from here on.
    Worker& keeper = task->keeper();
    if (Worker::current() == &keeper) {
        child.wait(keeper);
    } else if (!child.send(keeper)) {
        child_ended(child);  // its loop has closed and will not run it
        return;
    }
    if (is_late && !task->is_done()) {
        task->cancel({});
    }
}

void GroupCore::withdraw(GroupChild& child) noexcept { release(&child); }

std::size_t GroupCore::size() const noexcept {
    const std::lock_guard lock(mutex_);
    return count_;
}

/// With the mutex held: no task is admitted any more; gives those that there are.
GroupCore::Victims GroupCore::begin_abort() {
    is_aborting_ = true;
    Victims victims;
    victims.reserve(count_);
    for (const GroupChild* child = first_; child != nullptr; child = child->newer) {
        if (child->task) {
            victims.push_back(child->task);
        }
    }
    return victims;
}

/// False when that has been done already.
bool GroupCore::abort() noexcept {
    Victims victims;
    {
        const std::lock_guard lock(mutex_);
        if (is_aborting_) {
            return false;
        }
        victims = begin_abort();
    }
    cancel_all(victims);
    return true;
}

void GroupCore::cancel() noexcept {
    Victims victims;
    {
        const std::lock_guard lock(mutex_);
        if (!is_entered_) {
            is_cancelled_on_enter_ = true;
            return;
        }
        if (is_aborting_ || (is_exiting_ && count_ == 0)) {
            return;
        }
        victims = begin_abort();
        is_parent_cancelled_ = true;
        ++count_;  // the block does not end while this call works on it
    }
    cancel_all(victims);
    victims.clear();
    cancel_parent();
    release(nullptr);
}

/// Under the protection of count_.
void GroupCore::cancel_parent() noexcept {
    Worker* const here = Worker::current();
    if (here != nullptr && parent_->home() == here) {
        parent_->cancel_task({}, nullptr);
    } else {
        on_its_way_ = new ParentCancel(*parent_);
        on_its_way_->travel(here);
    }
}

/// Whether the group has cancelled its parent; a cancellation that has not come yet never will. At the end of the
/// block.
bool GroupCore::take_back_cancel() noexcept {
    ParentCancel* const message = std::exchange(on_its_way_, nullptr);
    return message != nullptr ? ParentCancel::take_back(*message) : is_parent_cancelled_;
}

/// A task has failed: the others and the body are cancelled.
void GroupCore::fail(const std::exception_ptr& error) noexcept {
    Victims victims;
    bool is_first = false;
    {
        const std::lock_guard lock(mutex_);
        errors_.push_back(error);
        if (base_error_ == nullptr && kind_of(error) == Kind::keyboard_interrupt) {
            base_error_ = error;
        }
        if (!is_aborting_) {
            victims = begin_abort();
            is_parent_cancelled_ = true;
            is_first = true;
        }
    }
    if (is_first) {
        cancel_all(victims);
        cancel_parent();
    }
}

/// On the child's loop.
void GroupCore::child_ended(GroupChild& child) noexcept {
    {
        CoreRef task;
        {
            const std::lock_guard lock(mutex_);
            task = std::move(child.task);
        }
        if (task->state() == State::error) {
            task->mark_retrieved();
            fail(task->slot().error);
        }
        // The task goes before the group: its frame may hold what the body lent it.
    }
    release(&child);
}

/// The last touch of the group on behalf of a task, or of a call that counted itself (null).
void GroupCore::release(GroupChild* child) noexcept {
    TaskCore* waiting = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (child != nullptr) {
            (child->older != nullptr ? child->older->newer : first_) = child->newer;
            (child->newer != nullptr ? child->newer->older : last_) = child->older;
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
    const Kind kind = kind_of(body_error);
    {
        const std::lock_guard lock(mutex_);
        is_exiting_ = true;
        if (base_error_ == nullptr && kind == Kind::keyboard_interrupt) {
            base_error_ = body_error;
        }
    }
    if (kind != Kind::none) {
        abort();
    }
    std::exception_ptr cancelled = kind == Kind::cancelled ? body_error : nullptr;
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
    conclude(kind == Kind::cancelled ? nullptr : body_error, std::move(cancelled), std::move(pending));
}

/// All tasks have ended. `body_error`: other than a cancellation. `cancelled`: the cancellation that ended the block;
/// `pending`: the last that came while it ended.
void GroupCore::conclude(const std::exception_ptr& body_error, std::exception_ptr cancelled,
                         std::exception_ptr pending) {
    const bool is_asked = take_back_cancel();
    if (base_error_ != nullptr) {
        throw_base_error(body_error);
    }
    if (is_asked) {
        if (parent_->uncancel() == 0) {
            cancelled = nullptr;
        } else if (cancelled == nullptr) {
            cancelled = std::move(pending);  // what is left is somebody else's
        }
    }
    std::vector<std::exception_ptr> errors = std::move(errors_);
    if (body_error != nullptr) {
        errors.push_back(body_error);
    }
    if (!errors.empty()) {
        if (parent_->cancelling() > 0) {
            // From outside: due again at the next await, and the count stays as it is.
            parent_->uncancel();
            parent_->cancel_task({}, nullptr);
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

}  // namespace knit::detail
