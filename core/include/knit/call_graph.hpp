/// Call graphs: who awaits a task or future, and who awaits those.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "knit/future.hpp"
#include "knit/task.hpp"

namespace knit {

/// A task or future and its awaiters.
struct CallGraph {
    std::string name;                   ///< the task's; "Future" for a bare future
    std::vector<Frame> stack;           ///< its coroutines, the innermost first; empty for a future
    std::vector<CallGraph> awaited_by;  ///< in the order in which they began to
};

namespace detail {

CallGraph capture_graph(const FutureCore& core);

}  // namespace detail

/// The graph above `task`: gather(), shield(), wait(), as_completed() and TaskGroup do not cut it. Any thread; where a
/// loop does not answer in time (20 ms from a loop, else a second), what lives there is missing. Chains longer than
/// 1000 tasks are cut there.
/// RuntimeError "await-graph contains cycles: Task-2 -> Task-3 -> Task-2" where tasks await each other.
CallGraph capture_call_graph(const TaskRef& task);
template <class T>
CallGraph capture_call_graph(const Task<T>& task) {
    return capture_call_graph(TaskRef(task));
}
template <class T>
CallGraph capture_call_graph(const Future<T>& future) {
    if (!future) {
        detail::throw_empty_handle();
    }
    return detail::capture_graph(*future.ref());
}
/// Of the current task. RuntimeError where none runs.
CallGraph capture_call_graph();

/// The graph as text, a line for each task and each coroutine, awaiters indented.
std::string format_call_graph(const CallGraph& graph);
template <class T>
std::string format_call_graph(const Future<T>& future) {
    return format_call_graph(capture_call_graph(future));
}
std::string format_call_graph(const TaskRef& task);
std::string format_call_graph();
/// The same, written to `out`.
void print_call_graph(std::ostream& out);

}  // namespace knit
