/// The line that a workload prints: `key=value` pairs that tools/bench reads.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "support/measure.hpp"

namespace bench {

/// What one workload did; `tasks` is the number that the case defines, whatever runs it.
struct Report {
    const char* name;
    unsigned loops;
    std::uint64_t tasks;
    std::int64_t answer;
    std::int64_t expected;
    double seconds;
};

/// Prints the line and gives the exit status: 1 when the answer is wrong.
inline int print_report(const Report& report, const std::string& more = {}) {
    const CpuTime time = CpuTime::now();
    const bool is_right = report.answer == report.expected;
    std::printf(
        "workload=%s loops=%u seconds=%.6f tasks=%llu ns_per_task=%.2f answer=%lld cpu_seconds=%.6f "
        "max_rss_kib=%llu%s%s\n",
        report.name, report.loops, report.seconds, static_cast<unsigned long long>(report.tasks),
        report.seconds * 1e9 / static_cast<double>(report.tasks), static_cast<long long>(report.answer),
        static_cast<double>(time.user_us + time.system_us) * 1e-6, static_cast<unsigned long long>(time.max_rss_kib),
        more.empty() ? "" : " ", more.c_str());
    if (!is_right) {
        std::fprintf(stderr, "error: %s: the answer is %lld, it should be %lld\n", report.name,
                     static_cast<long long>(report.answer), static_cast<long long>(report.expected));
    }
    return is_right ? 0 : 1;
}

}  // namespace bench
