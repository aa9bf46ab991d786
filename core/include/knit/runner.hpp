/// Runner: several run() calls on the same loops.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/context_var.hpp"
#include "knit/runtime.hpp"

namespace knit {

/// run() that keeps its loops: they are made by the first run() or get_loop(), on that thread, whose they are, and
/// closed by close(). Tasks that one run() leaves are frozen until the next one, and are cancelled by close().
class Runner {
public:
    explicit Runner(RunOptions options = {});
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    /// Closes.
    ~Runner();

    /// Runs `main` on loop 0, on this thread, until it ends; gives its value or throws what it threw. SIGINT is treated
    /// as by knit::run(). RuntimeError "Runner.run() cannot be called from a running event loop", or "Runner is
    /// closed".
    template <class T>
    T run(Coro<T> main) {
        main.expect_valid();
        try {
            detail::check_not_running("Runner.run()");
        } catch (...) {
            main.close();  // refused, not forgotten: no warning that it was never awaited
            throw;
        }
        Runtime& runtime = open();
        Task<T> task = runtime.loop(0).create_task(std::move(main), {.name = {}, .loop = nullptr, .context = *context_});
        detail::SignalScope signals(options_, task);
        try {
            return runtime.run_until_complete(std::move(task));
        } catch (const CancelledError&) {
            signals.check_interrupted();
            throw;
        }
    }
    /// The same for a callable that gives a coroutine.
    template <detail::CoroFunction F>
    auto run(F main) {
        return run(detail::keep_callable<F>(std::move(main)));
    }
    template <class A>
        requires(!detail::CoroFunction<std::remove_cvref_t<A>> &&
                 !requires { typename detail::coro_value<std::remove_cvref_t<A>>::type; })
    void run(A&&) {
        static_assert(detail::kNoCoroutine<A>,
                      "a coroutine was expected; wrap it: knit::run([&]() -> knit::Coro<> { co_await ...; }())");
    }

    /// Loop 0, on which things may be scheduled between the runs. RuntimeError "Runner is closed".
    Loop& get_loop();
    /// Cancels every task that is left, waits for them and for the blocking pool, closes the loops, which stay valid,
    /// closed, as long as the Runner. Idempotent; nothing where nothing has been made yet.
    void close();

private:
    Runtime& open();

    RunOptions options_;
    std::unique_ptr<Runtime> runtime_;
    std::optional<Context> context_;  ///< one for all runs; made with the runtime
};

}  // namespace knit
