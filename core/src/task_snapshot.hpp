/// What the tasks of a runtime are doing at some moment, and who awaits whom: what dumps and call graphs are made from.
/// Each loop describes its own tasks; other threads ask by message and wait for a bounded time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "knit/detail/task_core.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class RuntimeCore;
class Worker;

/// A task as its loop saw it.
struct SeenTask {
    enum class Status { not_started, ready, running, waiting };
    /// It awaits that task, or future where the task's number is 0, or one that waits for it in turn. `via`: see
    /// AwaitVisitor.
    struct Edge {
        std::uint64_t task;
        const FutureCore* future;
        const void* via;
    };

    std::uint64_t id = 0;
    std::string name;
    Status status = Status::waiting;
    std::string waits_for;
    Duration waiting{};
    std::vector<Frame> stack;  ///< the innermost first
    std::source_location function;
    std::source_location created;
    unsigned loop = 0;
    std::vector<Edge> awaits;
    std::vector<std::uint64_t> group_parents;  ///< tasks whose group it is in
    std::vector<const void*> waiters;          ///< the `via` of whoever stands in its list, in that order
};

struct SeenLoop {
    unsigned id = 0;
    bool is_there = false;           ///< else `trouble` says why not
    std::string trouble;
    std::vector<SeenTask> tasks;     ///< in the order of creation
    std::size_t offered_count = 0;   ///< unstarted tasks that any loop may take
    std::size_t timer_count = 0;
};

struct SeenRuntime {
    std::vector<SeenLoop> loops;
    std::size_t submitted_count = 0;  ///< unstarted tasks that no loop holds
};

/// The `via` of whoever stands in its list, in that order. Keeper's thread, or one that turns all loops by itself.
std::vector<const void*> waiters_of(FutureCore& core);

// The runtimes of the process. Any thread.

void enlist_runtime(RuntimeCore& runtime);
/// Waits until nobody looks at it.
void delist_runtime(RuntimeCore& runtime) noexcept;
/// On a loop: its own runtime; else all. Each loop gets `on_loop` or `elsewhere` to answer.
std::vector<SeenRuntime> look_at_tasks(Duration on_loop, Duration elsewhere);

/// The tasks of one loop. Its thread, or one that turns all loops by itself.
SeenLoop look_at_loop(Worker& worker);

/// A look at all loops of a runtime that is under way.
class Survey {
public:
    /// The loops that this thread may look at are looked at, the others asked.
    explicit Survey(RuntimeCore& runtime);
    Survey(const Survey&) = delete;
    Survey& operator=(const Survey&) = delete;
    ~Survey();

    /// Whether every loop has answered that will; the first time that it has the answers are in.
    bool is_complete();
    /// Waits until it is, for `limit` at most. A loop's thread answers others meanwhile.
    void wait(Duration limit);
    /// What has come; of the loops that have not answered, what can be said from outside.
    SeenRuntime take();

private:
    struct Answer;
    struct Request;
    RuntimeCore& runtime_;
    std::vector<std::shared_ptr<Answer>> answers_;  ///< one for each loop; null: not asked
    SeenRuntime seen_;
};

}  // namespace knit::detail
