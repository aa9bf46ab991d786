/// Metrics as text. One table says how each number is called and what it means; both formats are made from it.

#include <array>
#include <charconv>
#include <string_view>

#include "knit/metrics.hpp"

namespace knit {
namespace {

/// A number of T. In JSON `name`, for Prometheus "knit_loop_" or "knit_", the name, and what its type asks for.
template <class T, class Value = std::uint64_t>
struct Row {
    std::string_view name;
    bool is_total;  ///< it only grows
    Value T::*member;
    std::string_view help;
};

using L = LoopMetrics;
using B = BlockingMetrics;
using M = Metrics;

constexpr std::array kLoopNumbers = {
    Row<L>{"turns", true, &L::turns, "Turns of the loop."},
    Row<L>{"steps", true, &L::steps, "Callbacks, messages and parts of tasks that the loop has run."},
    Row<L>{"tasks_made", true, &L::tasks_made, "Tasks made on the loop."},
    Row<L>{"tasks_ended", true, &L::tasks_ended, "Tasks that ended on the loop."},
    Row<L>{"offers", true, &L::offers, "Tasks spawned by code on the loop."},
    Row<L>{"steals", true, &L::steals, "Tasks that the loop took from other loops."},
    Row<L>{"stolen", true, &L::stolen, "Tasks that other loops took from the loop."},
    Row<L>{"shared_taken", true, &L::shared_taken, "Tasks that the loop took from the queue that all loops share."},
    Row<L>{"parks", true, &L::parks, "Times that the loop went to sleep in the kernel."},
    Row<L>{"wakes_sent", true, &L::wakes_sent, "Times that the loop woke another one."},
    Row<L>{"wakes_received", true, &L::wakes_received, "Times that the loop was woken by another thread."},
    Row<L>{"messages", true, &L::messages, "Messages that the loop has taken from other threads."},
    Row<L>{"timers_fired", true, &L::timers_fired, "Timers that fell due."},
    Row<L>{"operations_submitted", true, &L::operations_submitted, "I/O operations begun."},
    Row<L>{"operations_ended", true, &L::operations_ended, "I/O operations ended."},
    Row<L>{"enters", true, &L::enters, "System calls that submit or wait."},
    Row<L>{"overflows", true, &L::overflows, "Times that completions were more than their queue holds."},
    Row<L>{"ready", false, &L::ready, "Length of the run queue in the last turn."},
    Row<L>{"offered", false, &L::offered, "Spawned tasks that have not begun."},
    Row<L>{"timers", false, &L::timers, "Timers set."},
    Row<L>{"operations_in_flight", false, &L::operations_in_flight, "I/O operations under way."},
    Row<L>{"frame_pool_bytes", false, &L::frame_pool_bytes, "Free memory kept for coroutine frames."},
    Row<L>{"resting", false, &L::resting, "1 while the loop has nothing to do."},
};
constexpr std::array kLoopTimes = {
    Row<L, Duration>{"busy_seconds", true, &L::busy, "Time that the loop did not wait in the kernel."},
    Row<L, Duration>{"cpu_seconds", true, &L::cpu, "Processor time of the loop's thread."},
    Row<L, Duration>{"blocked_seconds", false, &L::blocked, "How long the loop has been at its present step."},
};
constexpr std::array kBlockingNumbers = {
    Row<B>{"blocking_threads", false, &B::threads, "Threads for blocking calls."},
    Row<B>{"blocking_idle", false, &B::idle, "Threads for blocking calls that have none."},
    Row<B>{"blocking_queued", false, &B::queued, "Blocking calls that wait for a thread."},
    Row<B>{"blocking_begun", true, &B::begun, "Blocking calls that a thread has begun."},
};
constexpr std::array kNumbers = {
    Row<M>{"tasks", false, &M::tasks, "Tasks made and not ended."},
    Row<M>{"shared", false, &M::shared, "Tasks in the queue that all loops share."},
};
constexpr std::array kTimes = {
    Row<M, Duration>{"uptime_seconds", false, &M::uptime, "Time since the runtime's start."},
};

std::string number_text(std::uint64_t value) { return std::to_string(value); }
std::string number_text(Duration value) {
    // Not printf(): the program may have set a locale whose decimal point is none.
    std::array<char, 64> text{};
    const double seconds = std::chrono::duration<double>(value).count();
    char* const limit = text.data() + text.size();
    const auto [end, error] = std::to_chars(text.data(), limit, seconds, std::chars_format::fixed, 9);
    return error == std::errc() ? std::string(text.data(), end) : "0";
}

template <class Table>
void append_head(std::string& text, std::string_view prefix, const Table& row, std::string& name) {
    name.assign(prefix).append(row.name).append(row.is_total ? "_total" : "");
    text.append("# HELP ").append(name).append(" ").append(row.help).append("\n");
    text.append("# TYPE ").append(name).append(row.is_total ? " counter\n" : " gauge\n");
}

template <class Table>
void append_loops(std::string& text, const Table& table, const std::vector<LoopMetrics>& loops) {
    std::string name;
    for (const auto& row : table) {
        append_head(text, "knit_loop_", row, name);
        for (const LoopMetrics& loop : loops) {
            text.append(name).append("{loop=\"").append(std::to_string(loop.loop)).append("\"} ");
            text.append(number_text(loop.*row.member)).append("\n");
        }
    }
}

template <class Table, class T>
void append_single(std::string& text, const Table& table, const T& values) {
    std::string name;
    for (const auto& row : table) {
        append_head(text, "knit_", row, name);
        text.append(name).append(" ").append(number_text(values.*row.member)).append("\n");
    }
}

template <class Table, class T>
void append_fields(std::string& text, const Table& table, const T& values) {
    for (const auto& row : table) {
        text.append(text.ends_with('{') ? "\"" : ", \"").append(row.name).append("\": ");
        text.append(number_text(values.*row.member));
    }
}

}  // namespace

std::string to_prometheus(const Metrics& metrics) {
    std::string text;
    append_single(text, kTimes, metrics);
    append_single(text, kNumbers, metrics);
    append_single(text, kBlockingNumbers, metrics.blocking);
    append_loops(text, kLoopNumbers, metrics.loops);
    append_loops(text, kLoopTimes, metrics.loops);
    return text;
}

std::string to_json(const Metrics& metrics) {
    std::string text = "{";
    text.append("\"time_seconds\": ").append(number_text(metrics.time.time_since_epoch()));
    append_fields(text, kTimes, metrics);
    append_fields(text, kNumbers, metrics);
    append_fields(text, kBlockingNumbers, metrics.blocking);
    text.append(", \"loops\": [");
    for (const LoopMetrics& loop : metrics.loops) {
        text.append(text.ends_with('[') ? "{" : ", {").append("\"loop\": ").append(std::to_string(loop.loop));
        append_fields(text, kLoopNumbers, loop);
        append_fields(text, kLoopTimes, loop);
        text.append("}");
    }
    return text.append("]}");
}

}  // namespace knit
