/// Tasks that await each other, as a snapshot shows them.
#pragma once

#include <span>
#include <string>

namespace knit::detail {

struct SeenTask;

/// "await-graph contains cycles: Task-2 -> Task-3 -> Task-2", of the oldest task that is in one; empty when there is
/// none.
std::string find_await_cycle(std::span<const SeenTask* const> tasks);

}  // namespace knit::detail
