/// Signals on their way to tasks and loops. A handler may do next to nothing: it adds the signal to those that have
/// arrived and posts one message to one loop, the dispatcher, which hands them on to all that want them.
///
///   [signals.posted]  handler: the arrival, then is_posted, then the message
///                     ->  dispatcher: is_posted, then the arrivals; one that comes late finds is_posted cleared and
///                     posts again
///   [signals.target]  choose_dispatcher: the loop  ->  handler: posts there; a Worker stays valid when it has closed
#pragma once

#include <functional>

namespace knit::detail {

class Worker;

/// `function` is called by loop `worker`, as a callback, for each `signal`; one function for a loop and a signal. Owner
/// thread. Throws ValueError, RuntimeError.
void set_signal_function(Worker& worker, int signal, std::function<void()> function);
/// False when there was none.
bool remove_signal_function(Worker& worker, int signal);
/// The loop is about to close: it dispatches no more, and its functions go.
void leave_signals(Worker& worker) noexcept;

}  // namespace knit::detail
