// How RunOptions and the environment become Settings. One table says everything about a setting; the parser, the
// errors, the report and docs/tuning.md are made from it. The only file that reads the environment.
#include "knit/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ratio>
#include <span>
#include <string_view>

#include <unistd.h>

#include "cpu_list.hpp"
#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {
namespace {

constexpr unsigned kLoopsMax = 1024;
constexpr std::size_t kSocketPathMax = 107;

/// One tunable: a row of docs/tuning.md.
struct Setting {
    std::string_view variable;
    std::string_view field;     ///< of RunOptions
    std::string_view accepted;  ///< "expected ..." in errors
    std::string_view fallback;  ///< the default, in words
    std::string_view meaning;
    /// The environment's text into the setting; false: it is no such value.
    bool (*parse)(std::string_view text, Settings& settings);
    /// The option's value into the setting; false: the option is not set.
    bool (*take)(const RunOptions& options, Settings& settings);
    /// Whether the setting, wherever it came from, lies within what is accepted.
    bool (*is_acceptable)(const Settings& settings);
    /// As the environment would spell it.
    std::string (*show)(const Settings& settings);
};

enum class Source { fallback, environment, option };

// Values.

bool parse_switch(std::string_view text, bool& value) {
    std::string word(text);
    std::transform(word.begin(), word.end(), word.begin(), [](char letter) {
        return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    });
    static constexpr std::array<std::string_view, 4> kOn = {"on", "1", "true", "yes"};
    static constexpr std::array<std::string_view, 4> kOff = {"off", "0", "false", "no"};
    value = std::find(kOn.begin(), kOn.end(), word) != kOn.end();
    return value || std::find(kOff.begin(), kOff.end(), word) != kOff.end();
}

bool parse_cpus(std::string_view text, Settings& settings) { return parse_cpu_list(text, settings.cpus); }

// The four columns of code in the table, each for a kind of value.

template <auto kMember>
bool parse_number(std::string_view text, Settings& settings) {
    return parse_whole(text, settings.*kMember);
}
template <auto kMember>
bool parse_on_off(std::string_view text, Settings& settings) {
    return parse_switch(text, settings.*kMember);
}
template <auto kMember, class Unit>
bool parse_time(std::string_view text, Settings& settings) {
    unsigned count = 0;
    const bool is_whole = parse_whole(text, count);
    settings.*kMember = saturate(std::chrono::duration<std::int64_t, Unit>(count));
    return is_whole;
}
template <auto kField, auto kMember>
bool take_option(const RunOptions& options, Settings& settings) {
    const bool is_set = (options.*kField).has_value();
    if (is_set) {
        settings.*kMember = *(options.*kField);
    }
    return is_set;
}
bool take_loops(const RunOptions& options, Settings& settings) {
    if (options.loops != 0) {
        settings.loops = options.loops;
    }
    return options.loops != 0;
}
template <auto kMember, auto kLeast, auto kMost>
bool is_within(const Settings& settings) {
    return settings.*kMember >= kLeast && settings.*kMember <= kMost;
}
template <auto kMember, Duration::rep kMostNs>
bool is_time_within(const Settings& settings) {
    return settings.*kMember >= Duration::zero() && settings.*kMember <= Duration(kMostNs);
}
bool is_ring_size(const Settings& settings) {
    const unsigned entries = settings.ring_entries;
    return entries >= 8 && entries <= 32768 && (entries & (entries - 1)) == 0;
}
bool are_cpus_allowed(const Settings& settings) {
    const std::vector<unsigned> allowed = allowed_cpus();
    return std::all_of(settings.cpus.begin(), settings.cpus.end(),
                       [&](unsigned cpu) { return is_allowed(cpu, allowed); });
}
bool is_anything(const Settings&) { return true; }

struct SignalName {
    std::string_view name;
    int number;
};
constexpr std::array kDumpSignals = {SignalName{"off", 0}, SignalName{"USR1", SIGUSR1}, SignalName{"USR2", SIGUSR2},
                                     SignalName{"HUP", SIGHUP}, SignalName{"QUIT", SIGQUIT}};
bool parse_signal(std::string_view text, Settings& settings) {
    text = text == "on" ? "USR1" : text.starts_with("SIG") ? text.substr(3) : text;
    const auto* const found = std::ranges::find(kDumpSignals, text, &SignalName::name);
    settings.dump_signal = found != kDumpSignals.end() ? found->number : 0;
    return found != kDumpSignals.end();
}
bool is_dump_signal(const Settings& settings) {
    return std::ranges::find(kDumpSignals, settings.dump_signal, &SignalName::number) != kDumpSignals.end();
}
std::string show_signal(const Settings& settings) {
    const auto* const found = std::ranges::find(kDumpSignals, settings.dump_signal, &SignalName::number);
    return found != kDumpSignals.end() ? std::string(found->name) : std::to_string(settings.dump_signal);
}
constexpr std::array kDrivers = {std::string_view("auto"), std::string_view("uring"), std::string_view("epoll")};
bool parse_driver(std::string_view text, Settings& settings) {
    const auto* const found = std::ranges::find(kDrivers, text);
    settings.driver = static_cast<DriverKind>(found - kDrivers.begin());
    return found != kDrivers.end();
}
bool is_driver(const Settings& settings) { return static_cast<std::size_t>(settings.driver) < kDrivers.size(); }
std::string show_driver(const Settings& settings) {
    const auto number = static_cast<std::size_t>(settings.driver);
    return number < kDrivers.size() ? std::string(kDrivers[number]) : std::to_string(number);
}
bool parse_metrics(std::string_view text, Settings& settings) {
    settings.metrics = text == "off" ? "" : text;
    return true;
}
bool is_metrics_place(const Settings& settings) {
    const std::string& place = settings.metrics;
    return place != "@" && place.size() <= kSocketPathMax && place.find('\0') == std::string::npos;
}
std::string show_metrics(const Settings& settings) { return settings.metrics.empty() ? "off" : settings.metrics; }
template <auto kMember>
std::string show_number(const Settings& settings) {
    return std::to_string(settings.*kMember);
}
template <auto kMember>
std::string show_on_off(const Settings& settings) {
    return settings.*kMember ? "on" : "off";
}
template <auto kMember, class Unit>
std::string show_time(const Settings& settings) {
    const std::chrono::duration<double, Unit> time = settings.*kMember;
    std::array<char, 64> text{};
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), time.count());
    return error == std::errc() ? std::string(text.data(), end) : "?";
}
std::string show_cpu_setting(const Settings& settings) {
    return settings.cpus.empty() ? "not pinned" : show_cpu_list(settings.cpus);
}

using O = RunOptions;
using S = Settings;
constexpr Duration::rep kSpinMaxNs = 1'000'000'000;
constexpr Duration::rep kSlowTaskMaxNs = 1'000'000'000 * Duration::rep(1'000'000);
constexpr std::string_view kOnOff = "on or off (also 1, true, yes; 0, false, no)";

constexpr std::array kSettings = {
    Setting{"KNIT_LOOPS", "loops", "a whole number from 1 to 1024", "the CPUs that the process may use",
            "How many loops there are. The default honours the affinity mask and the cgroup's CPU quota.",
            parse_number<&S::loops>, take_loops, is_within<&S::loops, 1U, kLoopsMax>, show_number<&S::loops>},
    Setting{"KNIT_CPUS", "cpus", "a list of allowed CPUs such as 0,2-3, or auto for all of them", "not pinned",
            "Loop i is pinned to the CPU at place i of the list, which starts again at its end.", parse_cpus,
            take_option<&O::cpus, &S::cpus>, are_cpus_allowed, show_cpu_setting},
    Setting{"KNIT_RING_ENTRIES", "ring_entries", "a power of two from 8 to 32768", "256",
            "Submission entries of each loop's ring: more operations in a turn cost another system call.",
            parse_number<&S::ring_entries>, take_option<&O::ring_entries, &S::ring_entries>, is_ring_size,
            show_number<&S::ring_entries>},
    Setting{"KNIT_SPIN_US", "spin", "a whole number of microseconds from 0 to 1000000", "20",
            "How long a loop without work looks for some before it sleeps: costs CPU, saves a wake.",
            parse_time<&S::spin, std::micro>, take_option<&O::spin, &S::spin>, is_time_within<&S::spin, kSpinMaxNs>,
            show_time<&S::spin, std::micro>},
    Setting{"KNIT_STEAL", "steal", kOnOff, "on", "Whether a loop without work takes unstarted tasks from busy ones.",
            parse_on_off<&S::steal>, take_option<&O::steal, &S::steal>, is_anything, show_on_off<&S::steal>},
    Setting{"KNIT_BUDGET", "budget", "a whole number from 1 to 65536", "64",
            "Tasks that a loop runs between two looks at its ring: fewer answer I/O sooner, more cost less.",
            parse_number<&S::budget>, take_option<&O::budget, &S::budget>, is_within<&S::budget, 1U, 65536U>,
            show_number<&S::budget>},
    Setting{"KNIT_BLOCKING_THREADS", "blocking_threads", "a whole number from 1 to 4096", "CPUs + 4, at most 32",
            "Most threads that to_thread() uses at once.", parse_number<&S::blocking_threads>,
            take_option<&O::blocking_threads, &S::blocking_threads>, is_within<&S::blocking_threads, 1U, 4096U>,
            show_number<&S::blocking_threads>},
    Setting{"KNIT_DEBUG", "debug", kOnOff, "off",
            "asyncio's debug mode: a callback or task step that holds its loop for long is reported.",
            parse_on_off<&S::debug>, take_option<&O::debug, &S::debug>, is_anything, show_on_off<&S::debug>},
    Setting{"KNIT_SLOW_TASK_MS", "slow_task", "a whole number of milliseconds from 0 to 1000000000, where 0 is off",
            "100", "A callback or a task's step that holds its loop longer is reported, while it does.",
            parse_time<&S::slow_task, std::milli>, take_option<&O::slow_task, &S::slow_task>,
            is_time_within<&S::slow_task, kSlowTaskMaxNs>, show_time<&S::slow_task, std::milli>},
    Setting{"KNIT_REPORT", "report", kOnOff, "off", "Prints the start-up report to stderr when a runtime starts.",
            parse_on_off<&S::report>, take_option<&O::report, &S::report>, is_anything, show_on_off<&S::report>},
    Setting{"KNIT_DUMP_SIGNAL", "dump_signal", "off, USR1, USR2, HUP or QUIT; on is USR1", "off",
            "On this signal all tasks are written to stderr; the program goes on.", parse_signal,
            take_option<&O::dump_signal, &S::dump_signal>, is_dump_signal, show_signal},
    Setting{"KNIT_DRIVER", "driver", "auto, uring or epoll", "auto",
            "What the loops wait with. auto: io_uring, or epoll, with a warning that says why, where it is denied.",
            parse_driver, take_option<&O::driver, &S::driver>, is_driver, show_driver},
    Setting{"KNIT_METRICS", "metrics", "off, a path of at most 107 bytes, or @name for an abstract socket", "off",
            "The Unix socket on which the runtime tells its metrics; the first runtime of a process takes it.",
            parse_metrics, take_option<&O::metrics, &S::metrics>, is_metrics_place, show_metrics},
};

/// Read by knit's own tests, not by the library.
constexpr std::array<std::string_view, 3> kTestVariables = {"KNIT_STRESS_MS", "KNIT_STRESS_SEED", "KNIT_TEST_SEED"};

// Where values come from.

/// Empty counts as unset.
std::string_view environment_value(std::string_view variable) {
    const char* const value = std::getenv(std::string(variable).c_str());
    return value == nullptr ? std::string_view() : std::string_view(value);
}

Settings default_settings() {
    Settings settings;
    settings.loops = std::clamp(default_loops(), 1U, kLoopsMax);
    settings.blocking_threads = static_cast<unsigned>(std::min<std::size_t>(32, allowed_cpus().size() + 4));
    return settings;
}

[[noreturn]] void refuse(const Setting& setting, const std::string& what) {
    std::string message = what + ": expected " + std::string(setting.accepted);
    if (setting.variable == "KNIT_CPUS") {
        const std::vector<unsigned> allowed = allowed_cpus();
        message += "; this process may use " + show_cpu_list(allowed);
    }
    throw ValueError(message);
}

/// Both sources are looked at even where the option wins: a mistake in the environment is always told.
Source resolve_setting(const Setting& setting, const RunOptions& options, Settings& settings) {
    Source source = Source::fallback;
    if (const std::string_view text = environment_value(setting.variable); !text.empty()) {
        if (!setting.parse(text, settings) || !setting.is_acceptable(settings)) {
            refuse(setting, std::string(setting.variable) + "=" + std::string(text));
        }
        source = Source::environment;
    }
    if (setting.take(options, settings)) {
        if (!setting.is_acceptable(settings)) {
            refuse(setting, "RunOptions::" + std::string(setting.field) + " = " + setting.show(settings));
        }
        source = Source::option;
    }
    return source;
}

bool is_known(std::string_view variable) {
    return std::any_of(kSettings.begin(), kSettings.end(),
                       [&](const Setting& setting) { return setting.variable == variable; }) ||
           std::find(kTestVariables.begin(), kTestVariables.end(), variable) != kTestVariables.end();
}

void refuse_unknown_variables() {
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view variable = text.substr(0, text.find('='));
        if (!variable.starts_with("KNIT_") || is_known(variable) || variable.size() + 1 >= text.size()) {
            continue;
        }
        std::string message = "unknown environment variable " + std::string(variable) + "; knit reads: ";
        for (const Setting& setting : kSettings) {
            message += (&setting == kSettings.data() ? "" : ", ") + std::string(setting.variable);
        }
        throw ValueError(message);
    }
}

/// Fields without a variable.
void check_signals(const RunOptions& options) {
    for (const int signal : options.shutdown_signals) {
        if (signal < 1 || signal > SIGRTMAX || signal == SIGKILL || signal == SIGSTOP) {
            throw ValueError("RunOptions::shutdown_signals has " + std::to_string(signal) +
                             ": expected signals from 1 to " + std::to_string(SIGRTMAX) + " that can be caught");
        }
    }
}

}  // namespace

Settings resolve(const RunOptions& options) {
    refuse_unknown_variables();
    check_signals(options);
    Settings settings = default_settings();
    for (const Setting& setting : kSettings) {
        resolve_setting(setting, options, settings);
    }
    return settings;
}

std::vector<EffectiveSetting> effective_settings(const RunOptions& options) {
    Settings settings = default_settings();
    std::vector<EffectiveSetting> rows;
    for (const Setting& setting : kSettings) {
        const Source source = resolve_setting(setting, options, settings);
        EffectiveSetting row;
        row.variable = setting.variable;
        row.field = setting.field;
        row.value = setting.show(settings);
        switch (source) {
            case Source::fallback: row.source = "default"; break;
            case Source::environment: row.source = "environment"; break;
            case Source::option: row.source = "RunOptions::" + row.field; break;
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string describe(const std::vector<EffectiveSetting>& settings) {
    std::string text;
    for (const EffectiveSetting& row : settings) {
        std::string line = row.variable;
        line.resize(24, ' ');
        line += row.value;
        line.resize(std::max<std::size_t>(line.size() + 2, 40), ' ');
        text += line + row.source + "\n";
    }
    return text;
}

std::string tuning_table() {
    std::string text = "| variable | field of `RunOptions` | accepted | default | meaning |\n|---|---|---|---|---|\n";
    for (const Setting& setting : kSettings) {
        text += "| `" + std::string(setting.variable) + "` | `" + std::string(setting.field) + "` ";
        for (const std::string_view cell : {setting.accepted, setting.fallback, setting.meaning}) {
            text += "| " + std::string(cell) + " ";
        }
        text += "|\n";
    }
    return text;
}

}  // namespace knit::detail
