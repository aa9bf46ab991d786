/// signal_wait(): the next signal, for a task.
#pragma once

#include <array>
#include <concepts>
#include <coroutine>
#include <memory>
#include <span>

#include "knit/detail/task_core.hpp"

namespace knit {
namespace detail {

struct SignalTicket;
struct SignalTicketEnd {
    void operator()(SignalTicket* ticket) const noexcept;
};

class [[nodiscard]] SignalAwaiter {
public:
    using knit_awaiter = void;

    explicit SignalAwaiter(std::span<const int> signals);

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        start(handle, handle.promise().task());
    }
    int await_resume();

private:
    void start(std::coroutine_handle<> leaf, TaskCore& task);

    std::unique_ptr<SignalTicket, SignalTicketEnd> ticket_;
};

}  // namespace detail

/// Awaited: the number of the next of these signals that the process gets, from the call on. As long as the awaitable
/// is there, from the call to its result, the signals do not do what they do without it; afterwards they do again. Any
/// loop; any number of tasks may wait for one signal, and each gets it, as do the handlers of
/// Loop::add_signal_handler(). It goes before RunOptions::shutdown_signals and SIGINT's KeyboardInterrupt. Cancelled:
/// CancelledError, or the signal; one that came and that nobody took does what it does without knit. ValueError for a
/// number that is no signal, RuntimeError for SIGKILL and SIGSTOP.
template <std::same_as<int>... Signals>
    requires(sizeof...(Signals) > 0)
[[nodiscard]] detail::SignalAwaiter signal_wait(Signals... signals) {
    return detail::SignalAwaiter(std::array<int, sizeof...(Signals)>{signals...});
}

}  // namespace knit
