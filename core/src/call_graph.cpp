#include "knit/call_graph.hpp"

#include <algorithm>
#include <ostream>
#include <unordered_map>
#include <utility>

#include "await_cycles.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "runtime_core.hpp"
#include "stack.hpp"
#include "task_snapshot.hpp"

namespace knit {
namespace detail {
namespace {

constexpr std::chrono::milliseconds kOnLoop{20};
constexpr std::chrono::seconds kElsewhere{1};
// A graph is as deep as this at most: it is a tree of objects, which ends by recursion.
constexpr std::size_t kDepthMax = 1000;
// How many frames knit's own reports name in a cycle.
constexpr std::size_t kCycleMax = 64;

/// Who awaits whom, from the awaited one's side.
class AwaitGraph {
public:
    explicit AwaitGraph(const std::vector<SeenRuntime>& seen) {
        for (const SeenRuntime& runtime : seen) {
            for (const SeenLoop& loop : runtime.loops) {
                for (const SeenTask& task : loop.tasks) {
                    tasks_.emplace(task.id, &task);
                }
            }
        }
        for (const auto& [id, task] : tasks_) {
            for (const SeenTask::Edge& edge : task->awaits) {
                if (edge.future != nullptr) {
                    add(awaiters_of_future_[edge.future], *task, edge.via);
                } else {
                    add(awaiters_of_task_[edge.task], *task, edge.via);
                }
            }
            for (const std::uint64_t parent : task->group_parents) {
                if (const SeenTask* const group_parent = find(parent)) {
                    add(awaiters_of_task_[id], *group_parent, nullptr);
                }
            }
        }
    }

    const SeenTask* find(std::uint64_t id) const {
        const auto found = tasks_.find(id);
        return found != tasks_.end() ? found->second : nullptr;
    }
    std::vector<const SeenTask*> awaiters(const SeenTask& task) {
        return sorted(awaiters_of_task_[task.id], task.waiters);
    }
    std::vector<const SeenTask*> awaiters(const FutureCore& future, const std::vector<const void*>& waiters) {
        return sorted(awaiters_of_future_[&future], waiters);
    }

private:
    struct Awaiter {
        const SeenTask* task;
        const void* via;
    };
    using Awaiters = std::vector<Awaiter>;

    static void add(Awaiters& awaiters, const SeenTask& task, const void* via) {
        if (std::ranges::find(awaiters, &task, &Awaiter::task) == awaiters.end()) {
            awaiters.push_back({&task, via});
        }
    }
    /// In the order of `waiters`. What does not stand there, a group or a gather that joined, came before them.
    static std::vector<const SeenTask*> sorted(Awaiters& awaiters, const std::vector<const void*>& waiters) {
        std::unordered_map<const void*, std::size_t> ranks;
        for (const void* const via : waiters) {
            ranks.emplace(via, ranks.size() + 1);
        }
        const auto key = [&](const Awaiter& awaiter) {
            const auto found = ranks.find(awaiter.via);
            return std::pair(found != ranks.end() ? found->second : 0, awaiter.task->id);
        };
        std::ranges::sort(awaiters, {}, key);
        std::vector<const SeenTask*> tasks;
        std::ranges::transform(awaiters, std::back_inserter(tasks), &Awaiter::task);
        return tasks;
    }

    std::unordered_map<std::uint64_t, const SeenTask*> tasks_;
    std::unordered_map<std::uint64_t, Awaiters> awaiters_of_task_;
    std::unordered_map<const FutureCore*, Awaiters> awaiters_of_future_;
};

std::string cycle_text(std::span<const SeenTask* const> cycle) {
    std::string text = "await-graph contains cycles: ";
    for (const SeenTask* const task : cycle.first(std::min(cycle.size(), kCycleMax))) {
        text += task->name + " -> ";
    }
    return text + (cycle.size() > kCycleMax ? "... -> " : "") + cycle.front()->name;
}

/// `path` leads from the task that was asked for to one of its awaiters, and so on.
void add_awaiters(AwaitGraph& graph, CallGraph& node, const std::vector<const SeenTask*>& awaiters,
                  std::vector<const SeenTask*>& path) {
    if (path.size() >= kDepthMax) {
        return;
    }
    for (const SeenTask* const awaiter : awaiters) {
        if (const auto found = std::ranges::find(path, awaiter); found != path.end()) {
            // As it is awaited: from the oldest of them along their awaits.
            std::vector<const SeenTask*> cycle(found, path.end());
            std::ranges::reverse(cycle);
            std::ranges::rotate(cycle, std::ranges::min_element(cycle, {}, &SeenTask::id));
            throw RuntimeError(cycle_text(cycle));
        }
        CallGraph& next = node.awaited_by.emplace_back(CallGraph{awaiter->name, awaiter->stack, {}});
        path.push_back(awaiter);
        add_awaiters(graph, next, graph.awaiters(*awaiter), path);
        path.pop_back();
    }
}

/// Whether the calling thread may look at who waits for it.
bool is_kept_here(const FutureCore& core) {
    Worker* const here = Worker::current();
    return here != nullptr && here->runtime_id() == core.keeper().runtime_id() &&
           (here == &core.keeper() || here->runtime().is_simulated_here());
}

void append_graph(std::string& text, const CallGraph& graph, std::size_t level) {
    const std::string margin(level * 4, ' ');
    const bool is_future = graph.name == "Future" && graph.stack.empty();
    text += margin + (is_future ? "* Future\n" : "* Task(name='" + graph.name + "')\n");
    if (!graph.stack.empty()) {
        text += margin + "  + Call stack:\n";
    }
    for (const Frame& frame : graph.stack) {
        text += margin + "  |   File '" + std::string(frame.file) + "', line " + std::to_string(frame.line) +
                ", in async " + std::string(short_name(frame.function)) + "()\n";
    }
    if (!graph.awaited_by.empty()) {
        text += margin + "  + Awaited by:\n";
    }
    for (const CallGraph& awaiter : graph.awaited_by) {
        append_graph(text, awaiter, level + 1);
    }
}

}  // namespace

std::string find_await_cycle(std::span<const SeenTask* const> tasks) {
    std::unordered_map<std::uint64_t, const SeenTask*> by_id;
    for (const SeenTask* const task : tasks) {
        by_id.emplace(task->id, task);
    }
    // Depth first along the awaits, without recursion; a task that has been left leads to no cycle.
    enum class Mark { unseen, on_path, left };
    std::unordered_map<std::uint64_t, Mark> marks;
    for (const SeenTask* const root : tasks) {
        std::vector<std::pair<const SeenTask*, std::size_t>> path{{root, 0}};
        while (!path.empty()) {
            auto& [task, next] = path.back();
            marks[task->id] = next == task->awaits.size() ? Mark::left : Mark::on_path;
            if (next == task->awaits.size()) {
                path.pop_back();
                continue;
            }
            const auto found = by_id.find(task->awaits[next++].task);
            if (found == by_id.end() || marks[found->first] == Mark::left) {
                continue;
            }
            if (marks[found->first] == Mark::on_path) {
                std::vector<const SeenTask*> cycle;
                for (const auto& [link, unused] : path) {
                    if (link == found->second || !cycle.empty()) {
                        cycle.push_back(link);
                    }
                }
                std::ranges::rotate(cycle, std::ranges::min_element(cycle, {}, &SeenTask::id));
                return cycle_text(cycle);
            }
            path.emplace_back(found->second, 0);
        }
    }
    return {};
}

CallGraph capture_graph(const FutureCore& core) {
    const auto* const task = core.is_task() ? static_cast<const TaskCore*>(&core) : nullptr;
    CallGraph root{task != nullptr ? task->name() : "Future", {}, {}};
    if (core.is_done()) {
        return root;
    }
    const std::vector<SeenRuntime> seen = look_at_tasks(kOnLoop, kElsewhere);
    AwaitGraph graph(seen);
    std::vector<const SeenTask*> path;
    if (task == nullptr) {
        const auto waiters =
            is_kept_here(core) ? waiters_of(const_cast<FutureCore&>(core)) : std::vector<const void*>();
        add_awaiters(graph, root, graph.awaiters(core, waiters), path);
    } else if (const SeenTask* const found = graph.find(task->id())) {
        root.stack = found->stack;
        path.push_back(found);
        add_awaiters(graph, root, graph.awaiters(*found), path);
    } else {
        root.stack = task->stack();  // its loop does not answer, or nobody has begun it
        SeenTask unseen;
        unseen.id = task->id();
        unseen.name = root.name;
        path.push_back(&unseen);
        add_awaiters(graph, root, graph.awaiters(unseen), path);
    }
    return root;
}

}  // namespace detail

CallGraph capture_call_graph(const TaskRef& task) {
    if (!task) {
        detail::throw_empty_handle();
    }
    return detail::capture_graph(*task.ref());
}

CallGraph capture_call_graph() {
    const std::optional<TaskRef> current = current_task();
    if (!current) {
        throw RuntimeError("capture_call_graph() is called outside of a running task");
    }
    return capture_call_graph(*current);
}

std::string format_call_graph(const CallGraph& graph) {
    std::string text;
    detail::append_graph(text, graph, 0);
    return text;
}
std::string format_call_graph(const TaskRef& task) { return format_call_graph(capture_call_graph(task)); }
std::string format_call_graph() { return format_call_graph(capture_call_graph()); }

void print_call_graph(std::ostream& out) { out << format_call_graph(); }

}  // namespace knit
