/// TaskGroup: tasks that end together, or are cancelled together.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/detail/core_ref.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/exception_group.hpp"
#include "knit/result.hpp"
#include "knit/task.hpp"

namespace knit {

class TaskGroup;

namespace detail {

struct GroupChild;
class ParentCancel;

/// A group without the types. Its tasks may live on any loops and may be made on any: what they share is guarded by a
/// mutex, and each task's end is told on the loop that keeps it, a turn of that loop after the end, as asyncio does.
///
///   count_     tasks, and calls in progress; the parent leaves at 0 and nobody touches the group after that
///   invariant  whoever lowers count_ to 0 while the parent waits, grants the wait; that, and no other, wakes it
class GroupCore {
public:
    GroupCore() = default;
    GroupCore(const GroupCore&) = delete;
    GroupCore& operator=(const GroupCore&) = delete;
    ~GroupCore();

    /// The running task becomes the group's parent. RuntimeError the second time.
    void enter(TaskCore& parent);
    /// A place for a task to be made; null when the group takes no more.
    [[nodiscard]] GroupChild* admit();
    [[noreturn]] void throw_refused() const;
    /// The task has been made.
    void attach(GroupChild& child, const CoreRef& task) noexcept;
    /// The task could not be made.
    void withdraw(GroupChild& child) noexcept;
    void cancel() noexcept;
    std::size_t size() const noexcept;
    std::vector<CoreRef> tasks() const;
    /// The end of the block: waits for every task; throws what is to come out of it.
    Coro<> leave(std::exception_ptr body_error);

    // GroupWait's side; the parent's loop.
    bool begin_wait() noexcept;
    bool cancel_wait() noexcept;
    bool end_wait() noexcept;

private:
    friend struct GroupChild;

    enum class Phase : std::uint8_t { idle, waiting, granted, cancelled };

    std::string describe() const;
    void begin_abort() noexcept;
    void cancel_children() noexcept;
    bool abort() noexcept;
    void cancel_parent() noexcept;
    bool take_back_cancel() noexcept;
    bool fail(const std::exception_ptr& error) noexcept;
    void child_ended(GroupChild& child) noexcept;
    void release(GroupChild* child, bool is_kept = false) noexcept;
    void collect_errors();
    void conclude(const std::exception_ptr& body_error, std::exception_ptr cancelled, std::exception_ptr pending);
    [[noreturn]] void throw_base_error(const std::exception_ptr& body_error) const;

    mutable Mutex mutex_;  // guards all of it
    std::size_t count_ = 0;
    GroupChild* first_ = nullptr;  ///< in the order of creation
    GroupChild* last_ = nullptr;
    GroupChild* next_asked_ = nullptr;  ///< the next that cancel_children() comes to
    GroupChild* kept_ = nullptr;        ///< those that have failed when there was no memory to keep their errors
    TaskCore* parent_ = nullptr;
    Phase phase_ = Phase::idle;  ///< of the parent's wait at the end of the block
    bool is_entered_ = false;
    bool is_exiting_ = false;
    bool is_aborting_ = false;
    bool is_cancelled_on_enter_ = false;
    bool is_parent_cancelled_ = false;  ///< by the group: the end takes it back
    std::vector<std::exception_ptr> errors_;
    std::exception_ptr base_error_;       ///< a KeyboardInterrupt, which comes out bare
    ParentCancel* on_its_way_ = nullptr;  ///< the cancellation of a parent that lives on another loop
};

/// Makes a place in a group, and takes it back unless a task fills it.
class GroupPlace {
public:
    explicit GroupPlace(GroupCore& group) : group_(group), child_(group.admit()) {}
    GroupPlace(const GroupPlace&) = delete;
    GroupPlace& operator=(const GroupPlace&) = delete;
    ~GroupPlace() {
        if (child_ != nullptr) {
            group_.withdraw(*child_);
        }
    }
    explicit operator bool() const noexcept { return child_ != nullptr; }
    void fill(const CoreRef& task) noexcept { group_.attach(*std::exchange(child_, nullptr), task); }

private:
    GroupCore& group_;
    GroupChild* child_;
};

/// Tells a group which task it runs in; never suspends.
class GroupEntry {
public:
    using knit_awaiter = void;

    explicit GroupEntry(GroupCore& group) noexcept : group_(group) {}
    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        group_.enter(handle.promise().task());
        return false;
    }
    void await_resume() const noexcept {}

private:
    GroupCore& group_;
};

template <class F>
concept GroupBody = requires(F& body, TaskGroup& group) {
    typename coro_value<std::remove_cvref_t<decltype(body(group))>>::type;
};
template <GroupBody F>
using group_value_t = typename coro_value<std::remove_cvref_t<std::invoke_result_t<F&, TaskGroup&>>>::type;

}  // namespace detail

/// asyncio's TaskGroup. `co_await TaskGroup::run([&](TaskGroup& group) -> Coro<T> {...})` runs the body in the current
/// task, then waits for every task of the group, and gives what the body returned. When one of them fails, or the body,
/// the others and the body are cancelled, the tasks in the order of creation, and the errors come out as one
/// ExceptionGroup (BaseExceptionGroup when one is no std::exception), the tasks' in the order in which they failed, the
/// body's last. A KeyboardInterrupt comes out bare.
///
/// Threads: create_task(), spawn() and cancel() from the body, from any task of the group on whatever loop, and from
/// other tasks as long as the block has not ended. The tasks may add tasks to the group.
class TaskGroup {
public:
    /// A group to be entered by scope(); run() makes its own.
    TaskGroup() = default;
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// The block. The callable is kept until the last task has ended. A group without tasks does not suspend. The
    /// awaiter goes on where its task lives, two turns after the last task has ended.
    /// Cancelled: the body and the tasks are cancelled and waited for, then CancelledError comes out; errors of theirs
    /// come out instead, and the cancellation is then due again at the next await.
    template <detail::GroupBody F>
    static Coro<detail::group_value_t<F>> run(F body) {
        return run_body<detail::group_value_t<F>, true>(nullptr, std::move(body));
    }
    /// The same for this group, which must outlive the block. Once: RuntimeError "... has already been entered".
    template <detail::GroupBody F>
    Coro<detail::group_value_t<F>> scope(F body) {
        return run_body<detail::group_value_t<F>, false>(this, std::move(body));
    }

    /// A task of the group on the calling task's loop; see knit::create_task(). RuntimeError when the group "has not
    /// been entered", "is shutting down" (a task has failed, or the group was cancelled) or "is finished"; the
    /// coroutine is dropped then.
    template <class T>
    Task<T> create_task(Coro<T> coro, TaskOptions options = {}) {
        detail::GroupPlace place(core_);
        refuse_unless(place, coro);
        Task<T> task = knit::create_task(std::move(coro), options);
        place.fill(task.ref());
        return task;
    }
    template <detail::CoroFunction F>
    auto create_task(F function, TaskOptions options = {}) {
        return create_task(detail::keep_callable<F>(std::move(function)), options);
    }
    template <class A>
    requires detail::TaskArgument<std::remove_cvref_t<A>>
    auto create_task(A&& awaitable, TaskOptions options = {}) {
        return create_task(as_coro(std::forward<A>(awaitable)), options);
    }

    /// A task of the group for whichever loop is free; see knit::spawn(). Errors as create_task().
    template <class T>
    Task<T> spawn(Coro<T> coro, TaskOptions options = {}) {
        detail::GroupPlace place(core_);
        refuse_unless(place, coro);
        Task<T> task = knit::spawn(std::move(coro), options);
        place.fill(task.ref());
        return task;
    }
    template <detail::CoroFunction F>
    auto spawn(F function, TaskOptions options = {}) {
        return spawn(detail::keep_callable<F>(std::move(function)), options);
    }
    template <class A>
    requires detail::TaskArgument<std::remove_cvref_t<A>>
    auto spawn(A&& awaitable, TaskOptions options = {}) { return spawn(as_coro(std::forward<A>(awaitable)), options); }

    /// Ends the block early and without an error: cancels the tasks and the body, once. Before the block: it is
    /// cancelled at its first suspension. After it: nothing. A body that has no value to give then gives T() where that
    /// exists; else CancelledError comes out.
    void cancel() noexcept { core_.cancel(); }
    /// How many tasks have not ended.
    std::size_t size() const noexcept { return core_.size(); }

private:
    template <class T>
    void refuse_unless(const detail::GroupPlace& place, Coro<T>& coro) {
        if (!place) [[unlikely]] {
            coro.close();
            core_.throw_refused();
        }
    }

    template <class T, bool kOwn, class F>
    static Coro<T> run_body(TaskGroup* given, F body) {
        using Referred = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;
        [[maybe_unused]] std::conditional_t<kOwn, TaskGroup, Unit> own;
        TaskGroup* group = given;
        if constexpr (kOwn) {
            group = &own;
        }
        std::exception_ptr error;
        std::optional<std::conditional_t<std::is_void_v<T>, Unit, Referred>> value;
        co_await detail::GroupEntry(group->core_);
        try {
            if constexpr (std::is_void_v<T>) {
                co_await body(*group);
            } else if constexpr (std::is_reference_v<T>) {
                value.emplace(std::addressof(co_await body(*group)));
            } else {
                value.emplace(co_await body(*group));
            }
        } catch (...) {
            error = std::current_exception();
        }
        co_await group->core_.leave(error);
        if constexpr (!std::is_void_v<T>) {
            if (!value) {
                if constexpr (std::is_default_constructible_v<T>) {
                    co_return T();
                } else {
                    std::rethrow_exception(error);
                }
            }
            if constexpr (std::is_reference_v<T>) {
                co_return static_cast<T>(**value);
            } else {
                co_return std::move(*value);
            }
        }
    }

    detail::GroupCore core_;
};

}  // namespace knit
