/// The parts of Future and Task that do not depend on their type.

#include "knit/task.hpp"

#include <mutex>
#include <set>

#include "fork_child.hpp"
#include "knit/detail/sync_waiter.hpp"
#include "knit/error.hpp"
#include "knit/loop.hpp"
#include "runtime_core.hpp"

namespace knit {
namespace detail {

void throw_no_loop() {
    check_not_fork_child();
    throw RuntimeError("no running event loop");
}

Worker& worker_of(Loop& loop) { return loop.worker(); }

Loop& loop_of(Worker& worker) noexcept { return worker.loop(); }

SlotBase& settled_slot(FutureCore* core, const char* pending_message) {
    if (core == nullptr) {
        throw_empty_handle();
    }
    if (!core->is_done()) {
        throw InvalidStateError(pending_message);
    }
    return core->slot();
}

std::exception_ptr exception_of(FutureCore* core) {
    const SlotBase& slot = settled_slot(core, "Exception is not set.");
    if (core->is_cancelled()) {
        std::rethrow_exception(slot.error);
    }
    core->mark_retrieved();
    return slot.error;
}

void check_same_runtime(FutureCore& core, Worker& here) {
    if (core.keeper().runtime_id() != here.runtime_id()) {
        throw RuntimeError("a task awaits a future that is attached to a different loop, one of another runtime");
    }
}

void throw_empty_handle() {
    throw InvalidStateError("this Task or Future handle is empty: it was default-constructed or moved from");
}
void throw_already_set() { throw InvalidStateError("invalid state: the future is done already"); }
void throw_task_set(const char* what) { throw RuntimeError(what); }
void throw_taken() {
    throw InvalidStateError("the result has been taken by another awaiter, and its type cannot be copied");
}
void throw_awaits_itself(const TaskCore& task) { throw RuntimeError("Task cannot await on itself: " + task.name()); }

void classify_current_exception(TaskCore& task) noexcept {
    task.mark_failed();
    try {
        throw;
    } catch (const CancelledError&) {
        task.mark_cancelled();
    } catch (const BaseException&) {
        task.mark_fatal();
    } catch (...) {
        // An ordinary error: it stays in the task.
    }
}

void wake_from_anywhere(TaskCore& task) noexcept {
    Worker& home = *task.home();
    if (Worker::current() == &home) {
        task.wake();
    } else {
        // False: the loop has closed without the task, which the end of the run abandoned; it is not run on.
        static_cast<void>(home.post(task.work()));
    }
}

std::coroutine_handle<> make_wake_proxy(TaskCore& task) {
    struct Proxy {
        struct promise_type {
            Proxy get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
            std::suspend_always initial_suspend() const noexcept { return {}; }
            std::suspend_never final_suspend() const noexcept { return {}; }
            void return_void() const noexcept {}
            void unhandled_exception() const noexcept {}
        };
        std::coroutine_handle<promise_type> handle;
    };
    const auto body = [](TaskCore* waiting) -> Proxy {
        wake_from_anywhere(*waiting);
        co_return;
    };
    return body(&task).handle;
}

Worker& target_worker(const TaskOptions& options) {
    if (options.loop == nullptr) {
        return running_worker();
    }
    if (options.loop->is_closed()) {
        throw RuntimeError("Event loop is closed");
    }
    return options.loop->worker();
}

std::uint64_t new_task_id(Worker& target) noexcept {
    Worker* const here = Worker::current();
    if (here != nullptr && here->runtime_id() == target.runtime_id()) {
        return here->next_task_id();
    }
    target.life().count_made();
    return take_task_id();
}

void lose_task(TaskCore& task, Worker& target) noexcept {
    target.life().count_lost();
    task.drop_ref();  // the runtime's; the caller's handle, destroyed by the throw, is the other one
}

namespace {

void apply_options(TaskCore& task, Worker& target, const TaskOptions& options) {
    if (options.context) {
        options.context.state()->add_ref();
        task.set_context(options.context.state());
    }
    if (options.name.empty()) {
        return;
    }
    try {
        task.set_name(options.name);
    } catch (...) {
        lose_task(task, target);
        throw;
    }
}

}  // namespace

void start_on(TaskCore& task, Worker& worker, TaskOptions& options) {
    apply_options(task, worker, options);
    if (worker.is_owned_here()) {
        task.settle_down(worker);
        if (Worker::current() == &worker && options.eager_start.value_or(worker.starts_eagerly()) &&
            !worker.is_discarding()) {
            worker.start_eagerly(task);
        } else {
            worker.make_ready(task.work());
        }
        return;
    }
    // From a thread that is no loop of the runtime: counted, but perhaps after the end of the run has counted for the
    // last time.
    const Worker* const here = Worker::current();
    const bool is_late =
        (here == nullptr || here->runtime_id() != worker.runtime_id()) && worker.life().is_closing();
    task.travel_to(worker);
    if (is_late || !worker.post(task.work())) {
        lose_task(task, worker);
        throw RuntimeError("Event loop is closed");
    }
}

void start_anywhere(TaskCore& task, Worker& here, TaskOptions& options) {
    apply_options(task, here, options);
    offer_new(task, here);
}

}  // namespace detail

TaskName::TaskName(std::string_view text) : size_(text.size()) {
    if (size_ <= kShort) {
        text.copy(short_, size_);
        return;
    }
    static std::mutex* const mutex = new std::mutex;
    static std::set<std::string, std::less<>>* const texts = new std::set<std::string, std::less<>>;
    const std::lock_guard lock(*mutex);
    long_ = texts->emplace(text).first->data();
}

std::optional<TaskRef> current_task() { return current_task(detail::running_worker().loop()); }

std::optional<TaskRef> current_task(Loop& loop) {
    detail::TaskCore* const task = loop.worker().current_task();
    if (task == nullptr) {
        return std::nullopt;
    }
    task->add_ref();
    return TaskRef(detail::CoreRef(task));
}

std::vector<TaskRef> all_tasks() { return detail::tasks_of(detail::running_worker()); }
std::vector<TaskRef> all_tasks(Loop& loop) { return detail::tasks_of(loop.worker()); }

}  // namespace knit
