#include "knit/start_up_report.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "platform.hpp"

namespace knit {
namespace {

// Below it a server runs out of descriptors before it runs out of anything else.
constexpr std::uint64_t kDescriptorsLow = 10'000;
// What kernels before 5.12 charge for a few rings.
constexpr std::uint64_t kLockedMemoryLow = 1 << 20;

std::string figure(std::uint64_t value) {
    return value == LimitReport::kNoLimit ? "unlimited" : std::to_string(value);
}

std::string decimal(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.4g", value);
    return text.data();
}

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const std::string& word : words) {
        text.append(text.empty() ? "" : between).append(word);
    }
    return text;
}

LimitReport limit_of(__rlimit_resource which) {
    rlimit found{};
    LimitReport limit;
    if (getrlimit(which, &found) == 0) {
        limit.soft = found.rlim_cur == RLIM_INFINITY ? LimitReport::kNoLimit : found.rlim_cur;
        limit.hard = found.rlim_max == RLIM_INFINITY ? LimitReport::kNoLimit : found.rlim_max;
    }
    return limit;
}

std::string kernel_text() {
    utsname name{};
    if (uname(&name) != 0) {
        return "unknown";
    }
    return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

/// Linux `major`.`minor` or later runs here.
bool is_kernel_at_least(int major, int minor) {
    utsname name{};
    int here_major = 0;
    int here_minor = 0;
    if (uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &here_major, &here_minor) != 2) {
        return true;
    }
    return here_major > major || (here_major == major && here_minor >= minor);
}

std::string why_so_many_loops(const StartUpReport& report) {
    for (const EffectiveSetting& row : report.settings) {
        if (row.variable == "KNIT_LOOPS" && row.source != "default") {
            return row.source == "environment" ? "KNIT_LOOPS" : row.source;
        }
    }
    const auto cpus = static_cast<double>(report.allowed_cpus.size());
    if (report.cgroup_quota > 0 && report.cgroup_quota < cpus) {
        return "the cgroup's CPU quota of " + decimal(report.cgroup_quota);
    }
    return "the " + decimal(cpus) + " CPUs of the affinity mask";
}

std::vector<std::string> advice_on(const StartUpReport& report) {
    std::vector<std::string> advice;
    const LimitReport& files = report.descriptors;
    if (files.soft < kDescriptorsLow) {
        const std::uint64_t wanted = std::min(files.hard, std::uint64_t{65536});
        std::string line = "descriptors: a process may have " + figure(files.soft) + ": raise it with `ulimit -n " +
                           std::to_string(std::max(wanted, files.soft)) + "` in the shell that starts it";
        if (files.hard < kDescriptorsLow) {
            line += "; beyond that the hard limit: `prlimit --pid $$ --nofile=65536:65536` as root, or LimitNOFILE= in "
                    "its systemd unit";
        }
        advice.push_back(line);
    }
    if (report.driver.name == "io_uring" && report.locked_memory.soft < kLockedMemoryLow &&
        !is_kernel_at_least(5, 12)) {
        advice.push_back("locked memory: this kernel charges rings to it, and " + figure(report.locked_memory.soft) +
                         " bytes are little: raise it with `ulimit -l 8192`");
    }
    return advice;
}

void append_limit(std::string& text, const char* name, const LimitReport& limit) {
    text.append(name).append(figure(limit.soft)).append(" (hard limit ").append(figure(limit.hard)).append(")\n");
}

}  // namespace

std::string StartUpReport::to_text() const {
    std::string text = "knit: start-up report\n";
    text.append("driver         ").append(driver.name).append(": ").append(driver.reason).append("\n");
    if (driver.entries != 0) {
        text.append("ring           ").append(std::to_string(driver.entries)).append(" entries, flags ");
        text.append(driver.flags_granted.empty() ? "none" : joined(driver.flags_granted, "|"));
        if (!driver.flags_stripped.empty()) {
            text.append(", refused by this kernel: ").append(joined(driver.flags_stripped, "|"));
        }
        text.append("\n");
    }
    text.append("kernel         ").append(kernel).append("\n");
    text.append("loops          ").append(std::to_string(loops)).append(", from ").append(loops_limited_by);
    text.append("; affinity ").append(std::to_string(allowed_cpus.size())).append(" CPUs, cgroup quota ");
    text.append(cgroup_quota > 0 ? decimal(cgroup_quota) : "none").append("\n");
    append_limit(text, "descriptors    ", descriptors);
    append_limit(text, "locked memory  ", locked_memory);
    for (const std::string& line : advice) {
        text.append("short          ").append(line).append("\n");
    }
    return text + detail::describe(settings);
}

StartUpReport detail::make_start_up_report(const RunOptions& options, const DriverReport& driver) {
    StartUpReport report;
    report.driver = driver;
    report.kernel = kernel_text();
    report.loops = resolve(options).loops;
    report.allowed_cpus = detail::allowed_cpus();
    report.cgroup_quota = cgroup_cpu_quota();
    report.descriptors = limit_of(RLIMIT_NOFILE);
    report.locked_memory = limit_of(RLIMIT_MEMLOCK);
    report.settings = effective_settings(options);
    report.loops_limited_by = why_so_many_loops(report);
    report.advice = advice_on(report);
    return report;
}

}  // namespace knit
