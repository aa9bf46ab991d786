/// StartUpReport: what a runtime found when it started, and what it does with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knit/options.hpp"

namespace knit {

/// What a runtime waits with.
struct DriverReport {
    std::string name;                          ///< "io_uring", "epoll"
    std::string reason;                        ///< why this one
    unsigned entries = 0;                      ///< submission entries of each loop's ring; 0: there is none
    std::vector<std::string> flags_granted;    ///< of the ring, as io_uring_setup(2) calls them
    std::vector<std::string> flags_stripped;   ///< asked for and refused by this kernel
};

/// A limit of the process; kNoLimit: none.
struct LimitReport {
    static constexpr std::uint64_t kNoLimit = UINT64_MAX;
    std::uint64_t soft = kNoLimit;
    std::uint64_t hard = kNoLimit;
};

/// Printed to stderr by KNIT_REPORT=on; Runtime::start_up_report() gives it. A snapshot: nothing in it changes.
struct StartUpReport {
    DriverReport driver;
    std::string kernel;                   ///< "Linux 6.18.0 x86_64"
    unsigned loops = 0;
    std::string loops_limited_by;         ///< what the number of loops comes from, in words
    std::vector<unsigned> allowed_cpus;   ///< the affinity mask
    double cgroup_quota = 0;              ///< CPUs' worth of time that the cgroup allows; 0: no limit
    LimitReport descriptors;              ///< RLIMIT_NOFILE
    LimitReport locked_memory;            ///< RLIMIT_MEMLOCK, in bytes
    std::vector<std::string> advice;      ///< what is short, and the command that raises it
    std::vector<EffectiveSetting> settings;

    /// A few lines for people.
    std::string to_text() const;
    /// One object, with these members' names; a limit that is none is null.
    std::string to_json() const;
};

namespace detail {

/// Of the calling process, now.
StartUpReport make_start_up_report(const RunOptions& options, const DriverReport& driver);

}  // namespace detail
}  // namespace knit
