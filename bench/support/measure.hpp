/// Clock, CPU time and pinning for programs that measure.
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bench {

/// Seconds of wall-clock time since it was made.
class Stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// CPU time that all threads of this process have used so far, and the most memory that it has held resident.
struct CpuTime {
    std::uint64_t user_us = 0;
    std::uint64_t system_us = 0;
    std::uint64_t max_rss_kib = 0;

    static CpuTime now() {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return {microseconds(usage.ru_utime), microseconds(usage.ru_stime), resident_most()};
    }

private:
    /// Not ru_maxrss, which begins with what the process that started this one held.
    static std::uint64_t resident_most() {
        std::ifstream status("/proc/self/status");
        for (std::string word; status >> word;) {
            std::uint64_t kib = 0;
            if (word == "VmHWM:" && status >> kib) {
                return kib;
            }
        }
        return 0;
    }

    static std::uint64_t microseconds(const timeval& time) {
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
    }
};

/// Binds the calling thread, and those that it starts later, to one CPU; a refusal ends the process.
inline void pin_to_cpu(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        std::perror("error: sched_setaffinity");
        std::exit(2);
    }
}

/// The last line of a server: what tools/bench reads.
inline void print_server_usage(std::uint64_t requests) {
    const CpuTime time = CpuTime::now();
    std::printf("user_us=%llu system_us=%llu max_rss_kib=%llu requests=%llu\n",
                static_cast<unsigned long long>(time.user_us), static_cast<unsigned long long>(time.system_us),
                static_cast<unsigned long long>(time.max_rss_kib), static_cast<unsigned long long>(requests));
    std::fflush(stdout);
}

}  // namespace bench
