/// RunOptions: one field for each tunable. A field that is set wins over its environment variable.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "knit/time.hpp"

namespace knit {

struct ExceptionContext;

/// What the loops wait with.
enum class DriverKind : unsigned char {
    automatic,  ///< io_uring, or epoll where that is denied
    uring,
    epoll,
};

/// How a runtime is set up. The table in docs/tuning.md is made from options.cpp, which also reads the environment.
struct RunOptions {
    /// KNIT_LOOPS: number of loops; 0 means unset. Default: one for each CPU that the process may use (affinity,
    /// cgroup quota).
    unsigned loops = 0;
    /// KNIT_DEBUG: asyncio's debug mode.
    std::optional<bool> debug = {};
    /// KNIT_CPUS: loop i is pinned to cpus[i % size]; empty: not pinned. "0,2-3" in the environment.
    std::optional<std::vector<unsigned>> cpus = {};
    /// KNIT_RING_ENTRIES: submission entries of each loop's ring, a power of two.
    std::optional<unsigned> ring_entries = {};
    /// KNIT_SPIN_US: how long a loop without work looks for some before it sleeps.
    std::optional<Duration> spin = {};
    /// KNIT_STEAL: whether idle loops take unstarted tasks from busy ones.
    std::optional<bool> steal = {};
    /// KNIT_BUDGET: tasks run between two looks at the ring.
    std::optional<unsigned> budget = {};
    /// KNIT_BLOCKING_THREADS: most threads that to_thread() may use at once.
    std::optional<unsigned> blocking_threads = {};
    /// KNIT_SLOW_TASK_MS: a callback or task step that holds its loop longer is reported, while it does; zero: none is.
    /// In debug mode also at its end, as asyncio does.
    std::optional<Duration> slow_task = {};
    /// KNIT_REPORT: whether the settings in force are printed to stderr when the runtime starts.
    std::optional<bool> report = {};
    /// KNIT_DUMP_SIGNAL: the signal on which all tasks are written to stderr; 0: none.
    std::optional<int> dump_signal = {};
    /// Called for every failure that nobody took, on the loop where it happened. Default: one block on stderr.
    std::function<void(const ExceptionContext&)> exception_handler = {};
    /// Whether run() turns the first SIGINT into a cancellation of main. Default: yes, in the process's main thread.
    std::optional<bool> handle_sigint = {};
    /// Signals that cancel main (`{SIGINT, SIGTERM}` for a server): run() then throws CancelledError, unless main takes
    /// it. The second one does what it does without knit.
    std::vector<int> shutdown_signals = {};
    /// How long the end of run() waits for cancelled tasks before it abandons them with a report. Default: for ever.
    std::optional<Duration> grace = {};
    /// KNIT_DRIVER: what the loops wait with. Default: io_uring, or epoll, with a warning, where io_uring is denied.
    std::optional<DriverKind> driver = {};
    /// KNIT_METRICS: the Unix socket on which the runtime tells its metrics, "@name" for an abstract one; empty: none.
    std::optional<std::string> metrics = {};
};

/// One setting in force.
struct EffectiveSetting {
    std::string variable;
    std::string field;   ///< of RunOptions
    std::string value;   ///< as the environment would spell it
    std::string source;  ///< "default", "environment" or "RunOptions::..."
};

namespace detail {

/// RunOptions and the environment, resolved: every value is present.
struct Settings {
    unsigned loops = 1;
    bool debug = false;
    std::vector<unsigned> cpus = {};
    unsigned ring_entries = 256;
    Duration spin = std::chrono::microseconds(20);
    bool steal = true;
    unsigned budget = 64;
    unsigned blocking_threads = 8;
    Duration slow_task = std::chrono::milliseconds(100);
    bool report = false;
    int dump_signal = 0;
    DriverKind driver = DriverKind::automatic;
    std::string metrics = {};
};

/// Throws ValueError that names the variable or field, its value and what is accepted, or the unknown KNIT_ name and
/// the known ones. An empty variable is unset; a wrong one is an error even where a field wins over it.
Settings resolve(const RunOptions& options);

/// Every setting, in the order of the table.
std::vector<EffectiveSetting> effective_settings(const RunOptions& options);

/// One line for each setting: name, value, where it came from (option, environment, default).
std::string describe(const std::vector<EffectiveSetting>& settings);

/// The table of docs/tuning.md, in Markdown.
std::string tuning_table();

}  // namespace detail
}  // namespace knit
