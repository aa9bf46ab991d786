/// Task<T>, TaskRef; create_task (here, or on a named loop) and spawn (on whichever loop is free).
#pragma once

#include <compare>
#include <concepts>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/context_var.hpp"
#include "knit/future.hpp"
#include "knit/time.hpp"

namespace knit {

class Runtime;

/// The name of a task in TaskOptions: made from any string. Trivially copyable, because GCC 12 destroys an aggregate
/// temporary twice inside a co_await expression (bug 107288), and `co_await create_task(f(), {.name = "x"})` is one.
class TaskName {
public:
    TaskName() noexcept = default;
    TaskName(std::string_view text);
    TaskName(const std::string& text) : TaskName(std::string_view(text)) {}
    TaskName(const char* text) : TaskName(std::string_view(text)) {}

    bool empty() const noexcept { return size_ == 0; }
    std::string_view view() const noexcept { return {long_ != nullptr ? long_ : short_, size_}; }
    operator std::string() const { return std::string(view()); }
    friend bool operator==(const TaskName& left, std::string_view right) noexcept { return left.view() == right; }

private:
    static constexpr std::size_t kShort = 64;

    std::size_t size_ = 0;
    const char* long_ = nullptr;  ///< what does not fit below: kept once for each text, to the end of the process
    char short_[kShort];
};

/// The context in TaskOptions: made from any Context, which it borrows, so that the Context has to live until the call.
/// Trivially copyable for the reason that TaskName is.
class TaskContext {
public:
    TaskContext() noexcept = default;
    TaskContext(std::nullopt_t) noexcept {}
    TaskContext(const Context& context) noexcept : state_(&context.state()) {}
    TaskContext(const std::optional<Context>& context) noexcept : state_(context ? &context->state() : nullptr) {}

    explicit operator bool() const noexcept { return state_ != nullptr; }
    /// knit's own use.
    detail::ContextState* state() const noexcept { return state_; }

private:
    detail::ContextState* state_ = nullptr;
};

struct TaskOptions {
    /// Default: "Task-<n>".
    TaskName name = {};
    /// The loop that the task lives on; any loop of any runtime, from any thread. Default: create_task() the current
    /// one, spawn() whichever takes it.
    Loop* loop = nullptr;
    /// The context that the task runs in, itself and not a copy. Default: a copy of the current one.
    TaskContext context = {};
    /// Whether the task runs its first step inside create_task(), up to its first suspension. Default: as
    /// Loop::set_eager_start() says. Without effect on another loop, on one that does not run, and for spawn().
    std::optional<bool> eager_start = {};
};

static_assert(std::is_trivially_copyable_v<TaskOptions> && std::is_trivially_destructible_v<TaskOptions>);

/// A handle to a task: a future whose result is what the coroutine returns or throws. Cheap to copy; dropping handles
/// never stops the task. Handles may outlive the loop and the runtime.
template <class T = void>
class Task : public Future<T> {
public:
    /// Empty: only to be assigned to.
    Task() noexcept : Future<T>(detail::CoreRef()) {}
    explicit Task(detail::CoreRef core) noexcept : Future<T>(std::move(core)) {}

    // cancel(message) of Future: asks the task to end. CancelledError is thrown in it at the await where it is
    // suspended, or at its next one; before it has started, it never runs. True unless it is done already. Any thread.

    /// How many cancellations have been asked for, less uncancel().
    int cancelling() const { return task().cancelling(); }
    /// Takes one request back; the one of them that was not delivered yet is dropped with the last. The task's loop.
    int uncancel() { return task().uncancel(); }
    std::string name() const { return task().name(); }
    /// The task's loop, or before it has started.
    void set_name(std::string name) { task().set_name(std::move(name)); }
    /// Unique in the process.
    std::uint64_t id() const { return task().id(); }
    /// The coroutines that the task is in, the innermost first, each at the last await that it has come to. On another
    /// thread than its loop's: the outermost alone. Empty when it has ended.
    std::vector<Frame> get_stack() const { return task().stack(); }

    /// Calls `function(task)` or `function()`; see Future::add_done_callback().
    template <class F>
    std::uint64_t add_done_callback(F function) {
        static_assert(std::is_invocable_v<F&, Task<T>> || std::is_invocable_v<F&>,
                      "add_done_callback() takes a function of the task, or of nothing");
        return this->template add_callback<Task<T>>(std::move(function));
    }

    /// Blocks a thread that is no loop until the task is done; the result or the exception. From a loop: RuntimeError.
    T wait();
    /// The same for at most `limit`; whether the task is done.
    bool wait_for(Duration limit);

private:
    detail::TaskCore& task() const { return static_cast<detail::TaskCore&>(this->core()); }
};

/// A handle to a task without its type.
class TaskRef {
public:
    TaskRef() noexcept = default;
    template <class T>
    TaskRef(const Task<T>& task) : core_(task.ref()) {}
    explicit TaskRef(detail::CoreRef core) noexcept : core_(std::move(core)) {}

    std::string name() const { return task().name(); }
    void set_name(std::string name) { task().set_name(std::move(name)); }
    bool done() const { return task().is_done(); }
    bool cancelled() const { return task().is_cancelled(); }
    bool cancel(std::string message = {}) { return static_cast<detail::FutureCore&>(task()).cancel(message); }
    int cancelling() const { return task().cancelling(); }
    int uncancel() { return task().uncancel(); }
    std::exception_ptr exception() const { return detail::exception_of(core_.get()); }
    Loop& get_loop() const { return detail::loop_of(task().loop_worker()); }
    std::uint64_t id() const { return task().id(); }
    std::vector<Frame> get_stack() const { return task().stack(); }
    explicit operator bool() const noexcept { return static_cast<bool>(core_); }
    /// Calls `function(task_ref)` or `function()`; see Future::add_done_callback().
    template <class F>
    std::uint64_t add_done_callback(F function) {
        task();
        return detail::add_done_callback<TaskRef>(*core_, std::move(function));
    }
    std::size_t remove_done_callback(std::uint64_t id) { return detail::DoneCallback::remove(task(), id); }
    /// The handle with its type. TypeError when the task's result is no T.
    template <class T>
    Task<T> as() const {
        if (task().slot().kind != &detail::slot_kind<T>()) {
            throw TypeError("TaskRef::as<T>(): the result of task " + name() + " is of another type");
        }
        return Task<T>(core_);
    }
    /// Awaits the task: Unit, or what it threw.
    detail::RefAwaiter operator co_await() const { return detail::RefAwaiter(core_); }

    friend bool operator==(const TaskRef& left, const TaskRef& right) noexcept {
        return left.core_.get() == right.core_.get();
    }
    template <class T>
    friend bool operator==(const TaskRef& left, const Future<T>& right) noexcept {
        return left.core_.get() == right.ref().get();
    }

    const detail::CoreRef& ref() const noexcept { return core_; }

private:
    detail::TaskCore& task() const {
        if (!core_) {
            detail::throw_empty_handle();
        }
        return static_cast<detail::TaskCore&>(*core_);
    }

    detail::CoreRef core_;
};

namespace detail {

// The parts of making a task that do not depend on its type.

/// The loop that a new task is to live on: the named one, or the current one. Throws RuntimeError where there is none
/// or it is closed.
Worker& target_worker(const TaskOptions& options);
/// Counts a task as made for the end of the run of `target`'s runtime, and gives its number.
std::uint64_t new_task_id(Worker& target) noexcept;
/// Puts the new task on `worker`: the run queue when that is the calling thread's loop, else a message.
void start_on(TaskCore& task, Worker& worker, TaskOptions& options);
/// Offers the new task to every loop.
void start_anywhere(TaskCore& task, Worker& here, TaskOptions& options);
/// Offers a new task to every loop; when that fails the task is as if it had never been made.
KNIT_INLINE void offer_new(TaskCore& task, Worker& here);
/// A new task could not be started: gives up the runtime's part in it.
void lose_task(TaskCore& task, Worker& target) noexcept;
/// Throws RuntimeError when the calling thread is a loop.
void wait_in_thread(FutureCore& core);
bool wait_in_thread(FutureCore& core, Duration limit);

KNIT_INLINE void offer_new(TaskCore& task, Worker& here) {
    task.mark_spawned();
    try {
        here.offer(task.work());
    } catch (...) {  // no memory for the deque to grow
        lose_task(task, here);
        throw;
    }
}

template <class T>
Task<T> make_task_on(Worker& worker, Coro<T>& coro, TaskOptions& options, std::source_location where) {
    ContextState* const context = context_for_task();
    const auto handle = coro.release();
    TaskCore& task = handle.promise().make_task(worker, handle, new_task_id(worker), context, where);
    Task<T> result{CoreRef(&task)};
    start_on(task, worker, options);
    return result;
}

template <class A>
concept TaskArgument = Awaitable<A> && !CoroFunction<A> && !requires {
    typename coro_value<A>::type;
};

}  // namespace detail

/// A task on the current loop: starts at the loop's next turn, in the order of creation, and never runs at the same
/// time as its creator. With `options.loop`: on that loop. RuntimeError "no running event loop" where none is named or
/// runs, ValueError for an empty Coro.
template <class T>
Task<T> create_task(Coro<T> coro, TaskOptions options, std::source_location where = std::source_location::current()) {
    coro.expect_valid();
    return detail::make_task_on<T>(detail::target_worker(options), coro, options, where);
}
template <class T>
Task<T> create_task(Coro<T> coro, std::source_location where = std::source_location::current()) {
    coro.expect_valid();
    detail::Worker& here = detail::running_worker();
    detail::ContextState* const context = detail::context_for_task();
    const auto handle = coro.take();
    detail::TaskCore& task = handle.promise().make_task(here, handle, here.next_task_id(), context, where);
    Task<T> result{detail::CoreRef(&task)};
    task.settle_down(here);
    if (here.starts_eagerly()) [[unlikely]] {
        here.start_eagerly(task);
    } else {
        here.make_ready(task.work());
    }
    return result;
}
/// The same for a callable that gives a coroutine; it is kept until the task has ended, and with it a lambda's
/// captures.
template <detail::CoroFunction F>
auto create_task(F function, TaskOptions options = {}, std::source_location where = std::source_location::current()) {
    return create_task(detail::keep_callable<F>(std::move(function)), std::move(options), where);
}
/// The same for anything else that can be awaited.
template <class A>
requires detail::TaskArgument<std::remove_cvref_t<A>>
auto create_task(A&& awaitable, TaskOptions options = {},
                 std::source_location where = std::source_location::current()) {
    return create_task(as_coro(std::forward<A>(awaitable)), std::move(options), where);
}

/// A task for whichever loop is free. The loop that starts it is its home for good, and that of all that it creates by
/// create_task(). With `options.loop` that loop is the only taker. Errors as create_task().
template <class T>
KNIT_INLINE Task<T> spawn(Coro<T> coro, std::source_location where = std::source_location::current()) {
    coro.expect_valid();
    detail::Worker& here = detail::running_worker();
    detail::ContextState* const context = detail::context_for_task();
    const auto handle = coro.take();
    detail::TaskCore& task = handle.promise().make_task(here, handle, here.next_task_id(), context, where);
    Task<T> result{detail::CoreRef(&task)};
    detail::offer_new(task, here);
    return result;
}
template <class T>
Task<T> spawn(Coro<T> coro, TaskOptions options, std::source_location where = std::source_location::current()) {
    if (options.loop != nullptr) {
        return create_task(std::move(coro), std::move(options), where);
    }
    coro.expect_valid();
    detail::Worker& here = detail::running_worker();
    detail::ContextState* const context = detail::context_for_task();
    const auto handle = coro.take();
    detail::TaskCore& task = handle.promise().make_task(here, handle, here.next_task_id(), context, where);
    Task<T> result{detail::CoreRef(&task)};
    detail::start_anywhere(task, here, options);
    return result;
}
template <detail::CoroFunction F>
auto spawn(F function, TaskOptions options = {}, std::source_location where = std::source_location::current()) {
    return spawn(detail::keep_callable<F>(std::move(function)), std::move(options), where);
}
template <class A>
requires detail::TaskArgument<std::remove_cvref_t<A>>
auto spawn(A&& awaitable, TaskOptions options = {}, std::source_location where = std::source_location::current()) {
    return spawn(as_coro(std::forward<A>(awaitable)), std::move(options), where);
}

/// asyncio's name for a task on `loop` from another thread.
template <class T>
Task<T> run_coroutine_threadsafe(Coro<T> coro, Loop& loop) {
    return create_task(std::move(coro), TaskOptions{.name = {}, .loop = &loop});
}

template <class A>
    requires detail::TaskArgument<std::remove_cvref_t<A>>
auto run_coroutine_threadsafe(A&& awaitable, Loop& loop) {
    return run_coroutine_threadsafe(as_coro(std::forward<A>(awaitable)), loop);
}

/// The task that runs now; none in a callback. RuntimeError "no running event loop".
std::optional<TaskRef> current_task();
/// The task that runs now on `loop`. That loop's thread only.
std::optional<TaskRef> current_task(Loop& loop);
/// The tasks of the calling loop that are not done, in the order of creation. RuntimeError "no running event loop".
std::vector<TaskRef> all_tasks();
/// Those of another loop: that loop's thread only.
std::vector<TaskRef> all_tasks(Loop& loop);

template <class T>
T Task<T>::wait() {
    detail::wait_in_thread(this->core());
    return detail::take_result<T>(this->core(), false);
}

template <class T>
bool Task<T>::wait_for(Duration limit) {
    return detail::wait_in_thread(this->core(), limit);
}

}  // namespace knit

template <class T>
struct std::hash<knit::Task<T>> {
    std::size_t operator()(const knit::Task<T>& task) const noexcept { return std::hash<void*>()(task.ref().get()); }
};
template <>
struct std::hash<knit::TaskRef> {
    std::size_t operator()(const knit::TaskRef& task) const noexcept { return std::hash<void*>()(task.ref().get()); }
};
