/// run(), Runtime: the loops, from their start to their end.
#pragma once

#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/gather.hpp"
#include "knit/loop.hpp"
#include "knit/metrics.hpp"
#include "knit/options.hpp"
#include "knit/start_up_report.hpp"
#include "knit/task.hpp"

namespace knit {

/// N loops. Loop 0 runs on the thread that made the runtime, while that is in run_until_complete() or run_forever();
/// the others have threads of their own, from the start to close().
class Runtime {
public:
    /// Throws ValueError for bad options, std::system_error with cause and cure where the kernel refuses.
    explicit Runtime(RunOptions options = {});
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    /// Closes.
    ~Runtime();

    /// Runs `main` on loop 0 until it ends; gives its value or throws what it threw. Other tasks stay, frozen on loop
    /// 0, and go on in the next call. RuntimeError from inside a running loop, or on another thread than the
    /// constructor's.
    template <class T>
    T run_until_complete(Coro<T> main, std::source_location where = std::source_location::current()) {
        main.expect_valid();
        check_can_run("This event loop is already running");
        return run_until_complete(loop(0).create_task(std::move(main), {}, where));
    }
    /// The same for a callable that gives a coroutine, and for anything else that can be awaited.
    template <detail::CoroFunction F>
    auto run_until_complete(F main) {
        return run_until_complete(detail::keep_callable<F>(std::move(main)));
    }
    template <class A>
        requires(detail::TaskArgument<std::remove_cvref_t<A>> &&
                 !requires(A&& awaitable) { []<class T>(const Future<T>&) {}(awaitable); })
    auto run_until_complete(A&& awaitable) {
        return run_until_complete(as_coro(std::forward<A>(awaitable)));
    }
    /// The same until `future` is settled. ValueError when it is of another runtime.
    template <class T>
    T run_until_complete(Future<T> future) {
        run_until(*future.ref());
        return detail::take_result<T>(*future.ref(), false);
    }
    template <class T>
    T run_until_complete(Task<T> task) {
        run_until(*task.ref());
        return detail::take_result<T>(*task.ref(), false);
    }
    /// Until stop() or Loop::stop().
    void run_forever();
    /// Any thread.
    void stop() noexcept;

    std::size_t size() const noexcept;
    /// std::out_of_range past size().
    Loop& loop(std::size_t index);

    /// A task for whichever loop is free, from any thread; with one loop it waits for the next run_*(). RuntimeError
    /// "Event loop is closed" after close().
    template <class T>
    Task<T> submit(Coro<T> coro, std::source_location where = std::source_location::current()) {
        coro.expect_valid();
        detail::Worker& keeper = submit_keeper();
        detail::ContextState* const context = detail::context_for_task();
        const auto handle = coro.release();
        const std::uint64_t id = detail::new_task_id(keeper);
        detail::TaskCore& task = handle.promise().make_task(keeper, handle, id, context, where);
        Task<T> result{detail::CoreRef(&task)};
        submit_task(task);
        return result;
    }
    template <detail::CoroFunction F>
    auto submit(F function) {
        return submit(detail::keep_callable<F>(std::move(function)));
    }
    template <class A>
        requires detail::TaskArgument<std::remove_cvref_t<A>>
    auto submit(A&& awaitable) {
        return submit(as_coro(std::forward<A>(awaitable)));
    }

    /// Cancels every task on every loop, waits for them and for the blocking pool, ends the threads. Idempotent.
    /// RuntimeError "Cannot close a running event loop" from inside.
    void close();
    bool is_closed() const noexcept;
    /// The tasks of all loops that have started and are not done: a snapshot, in the order of creation. Any thread but
    /// a loop's own. Blocks until every loop has answered.
    std::vector<TaskRef> all_tasks();
    /// What the loops have counted, without stopping any: it answers also while all are blocked. Any thread. After
    /// close() the last numbers.
    Metrics metrics();
    /// For every loop; see Loop::set_exception_handler().
    void set_exception_handler(std::function<void(const ExceptionContext&)> handler);
    /// The effective settings, a line each: name, value, where it came from.
    std::string describe() const;
    /// What it found when it started: driver and why, kernel, CPUs, limits, settings. Any thread.
    const StartUpReport& start_up_report() const noexcept { return report_; }

    /// knit's own use.
    detail::RuntimeCore& core() noexcept { return *core_; }

private:
    void check_can_run(const char* nested_message);
    void run_until(detail::FutureCore& future);
    detail::Worker& submit_keeper();
    void submit_task(detail::TaskCore& task);

    std::unique_ptr<detail::RuntimeCore> core_;
    StartUpReport report_;
};

/// The runtime of the running loop. RuntimeError where none runs.
Runtime& get_runtime();

namespace detail {

void check_not_running(const char* function);

/// SIGINT and the shutdown signals, turned into a cancellation of main for as long as this lives.
class SignalScope {
public:
    SignalScope(const RunOptions& options, TaskRef main);
    ~SignalScope();
    SignalScope(const SignalScope&) = delete;
    SignalScope& operator=(const SignalScope&) = delete;
    /// main ended by CancelledError: throws KeyboardInterrupt when that was SIGINT's doing alone.
    void check_interrupted();

private:
    struct State;
    std::unique_ptr<State> state_;
};

template <class A>
inline constexpr bool kNoCoroutine = false;

}  // namespace detail

/// Makes the runtime, runs `main` on loop 0, on this thread, until it ends, then cancels every task that is left, waits
/// for them and closes the loops. Gives what `main` gives, rethrows what it throws. RuntimeError from inside a running
/// loop.
template <class T>
T run(Coro<T> main, RunOptions options = {}, std::source_location where = std::source_location::current()) {
    main.expect_valid();
    try {
        detail::check_not_running("run()");
    } catch (...) {
        main.close();  // refused, not forgotten: no warning that it was never awaited
        throw;
    }
    Runtime runtime(options);
    Task<T> task = runtime.loop(0).create_task(std::move(main), {}, where);
    detail::SignalScope signals(options, task);
    try {
        if constexpr (std::is_void_v<T>) {
            runtime.run_until_complete(task);
            runtime.close();
        } else {
            T result = runtime.run_until_complete(std::move(task));
            runtime.close();
            return result;
        }
    } catch (const CancelledError&) {
        runtime.close();
        signals.check_interrupted();
        throw;
    } catch (...) {
        runtime.close();
        throw;
    }
}
/// The same for a callable that gives a coroutine.
template <detail::CoroFunction F>
auto run(F main, RunOptions options = {}, std::source_location where = std::source_location::current()) {
    return run(detail::keep_callable<F>(std::move(main)), std::move(options), where);
}
template <class A>
requires(!detail::CoroFunction<std::remove_cvref_t<A>> &&
         !requires { typename detail::coro_value<std::remove_cvref_t<A>>::type; }) void run(A&&, RunOptions = {}) {
    static_assert(detail::kNoCoroutine<A>,
                  "a coroutine was expected; wrap it: knit::run([&]() -> knit::Coro<> { co_await ...; }())");
}

}  // namespace knit
