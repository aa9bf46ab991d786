#include "knit/dump.hpp"

#include <algorithm>
#include <ostream>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "await_cycles.hpp"
#include "knit/future.hpp"
#include "knit/sleep.hpp"
#include "runtime_core.hpp"
#include "stack.hpp"
#include "task_snapshot.hpp"

namespace knit {
namespace detail {
namespace {

// How long loops get to answer: a thread can wait, a loop has others to serve.
constexpr std::chrono::milliseconds kOnLoop{20};
constexpr std::chrono::seconds kElsewhere{1};
constexpr std::chrono::milliseconds kLookAgain{1};

std::string count_text(std::size_t count, std::string_view what) {
    return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string status_text(const SeenTask& task) {
    switch (task.status) {
        case SeenTask::Status::not_started: return "not started";
        case SeenTask::Status::ready: return "ready";
        case SeenTask::Status::running: return "running";
        case SeenTask::Status::waiting: break;
    }
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(task.waiting).count();
    return "waiting for " + task.waits_for + " since " + std::to_string(milliseconds) + " ms";
}

/// The tasks of one runtime, written as a tree.
class TaskTree {
public:
    explicit TaskTree(const SeenRuntime& seen) : seen_(seen) {
        for (const SeenLoop& loop : seen.loops) {
            for (const SeenTask& task : loop.tasks) {
                tasks_.emplace(task.id, &task);
                order_.push_back(&task);
            }
        }
        std::ranges::sort(order_, {}, &SeenTask::id);
        for (const SeenTask* const task : order_) {
            for (const SeenTask::Edge& edge : task->awaits) {
                put_under(task->id, edge.task);
            }
            for (const std::uint64_t parent : task->group_parents) {
                put_under(parent, task->id);
            }
        }
    }

    std::string text() {
        write_loops();
        for (const SeenTask* const task : order_) {
            if (!awaited_.contains(task->id)) {
                write_from(*task);
            }
        }
        // What is left hangs from a cycle.
        if (written_.size() != order_.size()) {
            text_ += find_await_cycle(order_) + "\n";
        }
        for (const SeenTask* const task : order_) {
            write_from(*task);
        }
        return std::move(text_);
    }

private:
    void put_under(std::uint64_t awaiter, std::uint64_t awaited) {
        if (awaiter == awaited || !tasks_.contains(awaiter) || !tasks_.contains(awaited)) {
            return;
        }
        std::vector<const SeenTask*>& children = children_[awaiter];
        const SeenTask* const child = tasks_.at(awaited);
        if (std::ranges::find(children, child) == children.end()) {
            children.push_back(child);
            awaited_.insert(awaited);
        }
    }

    void write_loops() {
        std::size_t unstarted = seen_.submitted_count;
        for (const SeenLoop& loop : seen_.loops) {
            unstarted += loop.offered_count;
        }
        text_ += count_text(order_.size(), "task") + " on " + count_text(seen_.loops.size(), "loop");
        if (unstarted != 0) {
            text_ += ", and " + std::to_string(unstarted) + " for whichever loop is free";
        }
        text_ += "\n";
        for (const SeenLoop& loop : seen_.loops) {
            text_ += "loop " + std::to_string(loop.id) + ": ";
            if (loop.is_there) {
                text_ += count_text(loop.tasks.size(), "task") + ", " + count_text(loop.timer_count, "timer");
            } else {
                text_ += loop.trouble;
            }
            text_ += "\n";
        }
    }

    /// The task and what it awaits, those before their siblings. Without recursion: a chain may be as long as memory.
    void write_from(const SeenTask& root) {
        std::vector<std::pair<const SeenTask*, std::size_t>> open{{&root, 0}};
        while (!open.empty()) {
            const auto [task, depth] = open.back();
            open.pop_back();
            if (!written_.insert(task->id).second) {
                if (depth != 0) {
                    text_ += indent(depth) + task->name + ": see above\n";
                }
                continue;
            }
            write_task(*task, depth);
            if (const auto found = children_.find(task->id); found != children_.end()) {
                for (auto child = found->second.rbegin(); child != found->second.rend(); ++child) {
                    open.emplace_back(*child, depth + 1);
                }
            }
        }
    }

    void write_task(const SeenTask& task, std::size_t depth) {
        const std::string margin = indent(depth);
        text_ += margin + task.name + ": " + status_text(task) + ", loop " + std::to_string(task.loop) + ", coro=<" +
                 std::string(short_name(task.function.function_name())) + "()>, created at " +
                 place_text(task.created) + "\n";
        for (const Frame& frame : task.stack) {
            text_ += margin + "    at " + std::string(short_name(frame.function)) + "() " + std::string(frame.file) +
                     ":" + std::to_string(frame.line) + "\n";
        }
    }

    static std::string indent(std::size_t depth) { return std::string(std::min<std::size_t>(depth, 40) * 2, ' '); }

    const SeenRuntime& seen_;
    std::vector<const SeenTask*> order_;
    std::unordered_map<std::uint64_t, const SeenTask*> tasks_;
    std::unordered_map<std::uint64_t, std::vector<const SeenTask*>> children_;
    std::unordered_set<std::uint64_t> awaited_;
    std::unordered_set<std::uint64_t> written_;
    std::string text_;
};

}  // namespace
}  // namespace detail

std::string dump_tasks() {
    std::string text;
    for (const detail::SeenRuntime& seen : detail::look_at_tasks(detail::kOnLoop, detail::kElsewhere)) {
        text += detail::TaskTree(seen).text();
    }
    return text.empty() ? "no runtime\n" : text;
}

void dump_tasks(std::ostream& out) { out << dump_tasks(); }

Coro<std::string> dump_tasks_async() {
    detail::Survey survey(detail::running_worker().runtime());
    const TimePoint end = detail::after(std::chrono::steady_clock::now(), detail::kElsewhere);
    while (!survey.is_complete() && std::chrono::steady_clock::now() < end) {
        co_await sleep(detail::kLookAgain);
    }
    const detail::SeenRuntime seen = survey.take();
    co_return detail::TaskTree(seen).text();
}

}  // namespace knit
