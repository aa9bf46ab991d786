/// Loop: the asyncio face of one loop. Handle: something that it will call.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "knit/detail/blocking_job.hpp"
#include "knit/detail/callback.hpp"
#include "knit/future.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit {

class Runtime;

/// What went wrong where nobody could take the exception.
struct ExceptionContext {
    std::string message;
    std::exception_ptr exception;
    std::optional<TaskRef> task;
    Loop* loop = nullptr;
    std::string source = {};  ///< where the task was made; debug mode
};

/// A callback that has been scheduled. Copies share it; dropping them cancels nothing.
class Handle {
public:
    Handle() noexcept = default;
    /// Takes over one reference; knit's own use.
    explicit Handle(detail::Callback* callback) noexcept : callback_(callback) {}
    Handle(const Handle& other) noexcept : callback_(other.callback_) {
        if (callback_ != nullptr) {
            callback_->add_ref();
        }
    }
    Handle(Handle&& other) noexcept : callback_(std::exchange(other.callback_, nullptr)) {}
    Handle& operator=(Handle other) noexcept {
        std::swap(callback_, other.callback_);
        return *this;
    }
    ~Handle() {
        if (callback_ != nullptr) {
            callback_->drop_ref();
        }
    }

    /// It will not be called any more; harmless afterwards. A timer's: the loop's thread only.
    void cancel() {
        if (callback_ != nullptr) {
            callback_->cancel();
        }
    }
    bool cancelled() const noexcept { return callback_ != nullptr && callback_->is_cancelled(); }
    /// When a timer is due, on the loop's clock.
    TimePoint when() const noexcept { return callback_ != nullptr ? callback_->when() : TimePoint(); }

private:
    detail::Callback* callback_ = nullptr;
};

/// One thread, one run queue, one ring. Made by a Runtime; stays valid, closed, for a while after it.
class Loop {
public:
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// 0 .. Runtime::size() - 1; loop 0 is main's.
    unsigned id() const noexcept;
    /// The loop's clock. Any thread.
    TimePoint time() const noexcept;

    /// Calls `function(args...)` at the next turn, in the order of the calls; arguments are moved or copied in, and
    /// given as rvalues where the function takes them so. The loop's thread only: RuntimeError "Non-thread-safe
    /// operation ..." elsewhere. What it throws goes to the exception handler. RuntimeError "Event loop is closed"
    /// after the end; so for all that follow.
    template <class F, class... A>
        requires detail::CallableOnce<F, A...>
    Handle call_soon(F&& function, A&&... args) {
        check_thread();
        return schedule(detail::make_callback(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// The same from any thread; wakes the loop.
    template <class F, class... A>
        requires detail::CallableOnce<F, A...>
    Handle call_soon_threadsafe(F&& function, A&&... args) {
        return send(detail::make_callback(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// Calls it once `delay` has passed; a negative one sorts before zero. The loop's thread only.
    template <class Rep, class Period, class F, class... A>
        requires detail::CallableOnce<F, A...>
    Handle call_later(std::chrono::duration<Rep, Period> delay, F&& function, A&&... args) {
        check_thread();
        return schedule_at(detail::after(time(), detail::saturate(delay)),
                           detail::make_callback(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// Calls it once the loop's clock has reached `when`. The loop's thread only.
    template <class F, class... A>
        requires detail::CallableOnce<F, A...>
    Handle call_at(TimePoint when, F&& function, A&&... args) {
        check_thread();
        return schedule_at(when, detail::make_callback(std::forward<F>(function), std::forward<A>(args)...));
    }

    // A coroutine object is no callback: a message instead of "no matching function".
    template <class T>
    void call_soon(Coro<T>) {
        detail::refuse_coroutine<T>();
    }
    template <class T>
    void call_soon_threadsafe(Coro<T>) {
        detail::refuse_coroutine<T>();
    }
    template <class Rep, class Period, class T>
    void call_later(std::chrono::duration<Rep, Period>, Coro<T>) {
        detail::refuse_coroutine<T>();
    }
    template <class T>
    void call_at(TimePoint, Coro<T>) {
        detail::refuse_coroutine<T>();
    }

    /// As knit::create_task() with this loop; from any thread.
    template <class T>
    Task<T> create_task(Coro<T> coro, TaskOptions options = {},
                        std::source_location where = std::source_location::current()) {
        options.loop = this;
        return knit::create_task(std::move(coro), std::move(options), where);
    }
    template <detail::CoroFunction F>
    auto create_task(F function, TaskOptions options = {},
                     std::source_location where = std::source_location::current()) {
        options.loop = this;
        return knit::create_task(std::move(function), std::move(options), where);
    }
    template <class A>
        requires detail::TaskArgument<std::remove_cvref_t<A>>
    auto create_task(A&& awaitable, TaskOptions options = {},
                     std::source_location where = std::source_location::current()) {
        return create_task(as_coro(std::forward<A>(awaitable)), options, where);
    }
    template <class T = void>
    Future<T> create_future() {
        check_open();
        return Future<T>(worker_);
    }

    /// Calls `function(args...)` on a thread of `executor`, or for nullptr of the pool that to_thread() uses; submitted
    /// before this returns. Any thread. The future is this loop's. Cancelled, it is so at once; a function that runs
    /// already, or has a thread, goes on to its end and its result is dropped; one that queues never runs. RuntimeError
    /// "Executor shutdown has been called", or the executor's own text, after its end.
    template <class F, class... A>
        requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
    auto run_in_executor(ThreadPoolExecutor* executor, F&& function, A&&... args) {
        using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
        static_assert(!std::is_reference_v<R>, "run_in_executor() gives values: return a pointer or std::ref");
        static_assert(
            !requires { typename detail::coro_value<std::remove_cv_t<R>>::type; },
            "coroutines cannot be used with run_in_executor(): wrap it with create_task()");
        check_open();
        return detail::start_blocking<R>(worker_, executor,
                                         detail::bind_once(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// Calls `function(args...)` as a callback of this loop each time that the process gets `signal`; never inside the
    /// code that the signal interrupts. In the context of this call. One for each signal and loop, a second replaces
    /// the first; each loop that has one for a signal calls its own. Ends with the loop, or by
    /// remove_signal_handler(); with the last one the signal does what it did before. The loop's thread only.
    /// ValueError for a number that is no signal, RuntimeError "sig 9 cannot be caught".
    template <class F, class... A>
        requires std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>&...>
    void add_signal_handler(int signal, F&& function, A&&... args) {
        check_thread();
        add_signal_function(signal, detail::repeatable(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// False when there was none. The loop's thread only. ValueError.
    bool remove_signal_handler(int signal);

    /// Calls `function(args...)` as a callback of this loop, once a turn, as long as `fd` is readable, its end or an
    /// error included; in the context of this call. One for each descriptor, a second replaces the first. It ends by
    /// remove_reader(), which has to come before fd is closed, or with the run. The loop's thread only. ValueError for
    /// a negative number, std::system_error with EBADF for one that is not open.
    template <class F, class... A>
        requires std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>&...>
    void add_reader(int fd, F&& function, A&&... args) {
        check_thread();
        watch_descriptor(fd, false, detail::repeatable(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// The same as long as `fd` is writable.
    template <class F, class... A>
        requires std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>&...>
    void add_writer(int fd, F&& function, A&&... args) {
        check_thread();
        watch_descriptor(fd, true, detail::repeatable(std::forward<F>(function), std::forward<A>(args)...));
    }
    /// False when there was none. A call that is due already does not come. The loop's thread only.
    bool remove_reader(int fd);
    bool remove_writer(int fd);

    /// The pool of to_thread() takes no more jobs, on no loop of the runtime; waits until those that it has are done.
    /// Lazy. With a timeout it gives up then, with a warning; the end of run() still waits for them. Cancelled: only
    /// the waiting ends.
    Coro<> shutdown_default_executor(std::optional<Duration> timeout = {});

    /// The runtime that the loop belongs to. RuntimeError "Event loop is closed" after its end.
    Runtime& runtime() const;

    bool is_running() const noexcept;
    bool is_closed() const noexcept;
    /// Ends run_forever() or run_until_complete() of the loop's runtime after the present turn. Any thread.
    void stop();

    /// Called on this loop for failures that nobody took; an empty one restores the default, which logs one block.
    void set_exception_handler(std::function<void(const ExceptionContext&)> handler);
    /// The same from any thread; takes effect at the loop's next turn.
    void set_exception_handler_threadsafe(std::function<void(const ExceptionContext&)> handler);
    std::function<void(const ExceptionContext&)> get_exception_handler() const;
    void default_exception_handler(const ExceptionContext& context);
    void call_exception_handler(const ExceptionContext& context) noexcept;

    void set_debug(bool on) noexcept { worker_.set_watched(on); }
    bool get_debug() const noexcept { return worker_.is_watched(); }
    /// Whether create_task() on this loop runs a task's first step at once. The loop's thread only.
    void set_eager_start(bool on);
    bool get_eager_start() const noexcept { return worker_.starts_eagerly(); }
    /// In debug mode a step that takes longer is logged.
    Duration slow_callback_duration = std::chrono::milliseconds(100);

    /// Timers that have not fired and were not cancelled.
    std::size_t timer_count() const noexcept;
    /// knit's own use.
    detail::Worker& worker() noexcept { return worker_; }
    explicit Loop(detail::Worker& worker) noexcept : worker_(worker) {}

private:
    friend class detail::RuntimeCore;

    void check_thread() const;
    void check_open() const;
    Handle schedule(detail::Callback* callback);
    Handle schedule_at(TimePoint when, detail::Callback* callback);
    Handle send(detail::Callback* callback);
    void add_signal_function(int signal, std::function<void()> function);
    // These, like remove_reader(), stand in io/src/watch_fd.cpp: core leaves the symbols open.
    void watch_descriptor(int fd, bool is_writer, std::function<void()> function);
    bool unwatch_descriptor(int fd, bool is_writer);

    detail::Worker& worker_;
    std::function<void(const ExceptionContext&)> exception_handler_;
    std::shared_ptr<void> watches_;           ///< of add_reader() and add_writer()
    detail::Atomic<bool> is_closed_{false};  ///< close() sets it, any thread reads it [loop.closed]
};

/// The calling thread's loop. RuntimeError "no running event loop" where none runs.
Loop& get_running_loop();

namespace detail {

/// Moves the task to another loop, or offers it to all.
class MoveAwaiter {
public:
    using knit_awaiter = void;

    explicit MoveAwaiter(Worker* target) noexcept : target_(target) {}

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        task_ = &handle.promise().task();
        Worker& here = *task_->home();
        return target_ != nullptr ? go(here, handle) : offer(here, handle);
    }
    void await_resume() { task_->resumed(); }

private:
    bool go(Worker& here, std::coroutine_handle<> handle);
    bool offer(Worker& here, std::coroutine_handle<> handle);

    Worker* target_;
    TaskCore* task_ = nullptr;
};

}  // namespace detail

/// The current task moves to `loop`, of this runtime, and goes on there; at once when it is there already. A
/// cancellation that arrives on the way is delivered there. ValueError for a loop of another runtime, RuntimeError for
/// a closed one.
[[nodiscard]] inline detail::MoveAwaiter resume_on(Loop& loop) { return detail::MoveAwaiter(&loop.worker()); }

/// The current task offers itself to whichever loop is free, and goes on there; one turn where there is one loop only.
[[nodiscard]] inline detail::MoveAwaiter reschedule() noexcept { return detail::MoveAwaiter(nullptr); }

}  // namespace knit
