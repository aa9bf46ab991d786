/// dump_tasks(): every task of every loop as a tree, as text.
#pragma once

#include <iosfwd>
#include <string>

#include "knit/coro.hpp"

namespace knit {

/// Every task that has been made on a loop and is not done: its name, state, for how long it has waited and for what,
/// loop, coroutine, where it was made, and the chain of its awaits, the innermost first; under it, indented, the tasks
/// that it awaits, directly or by gather(), shield(), wait(), as_completed() or a TaskGroup. Of tasks that were spawned
/// or submitted and that no loop has begun, the number. Times are exact to some 50 ms.
///
/// On a loop: the runtime of that loop; the other loops get 20 ms to answer. On any other thread: every runtime of the
/// process; each loop gets a second. A loop that does not answer is listed with what it is busy with. Each loop
/// describes its own tasks, at some 2 us each, and runs nothing else meanwhile.
std::string dump_tasks();
void dump_tasks(std::ostream& out);
/// The same for a task: the other loops of its runtime get a second to answer, and this one goes on meanwhile.
Coro<std::string> dump_tasks_async();

}  // namespace knit
