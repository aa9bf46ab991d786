/// Which task waits for what. The home loop of the task alone may ask.
#pragma once

#include <coroutine>
#include <vector>

namespace knit {
struct Frame;
}

namespace knit::detail {

class FutureCore;
class TaskCore;
struct Wait;

/// The task or future that the task is suspended in an await of; null where it is none.
FutureCore* awaited_by(const TaskCore& task) noexcept;
/// How the task's wait is undone, and what it is called; null while it runs, or where that cannot be undone.
Wait* wait_of(const TaskCore& task) noexcept;
/// A task's coroutines from `leaf` outwards, each at its last await.
std::vector<Frame> frames_from(std::coroutine_handle<> leaf);

}  // namespace knit::detail
