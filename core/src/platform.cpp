#include "platform.hpp"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>

namespace knit::detail {
namespace {

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

struct FreeCpuSet {
    void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};

/// A cgroup hierarchy as this process sees it.
struct CgroupMount {
    bool is_v2 = false;
    std::string root;   ///< which cgroup the mount point shows
    std::string point;  ///< where it is mounted
};

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (list.substr(0, comma) == word) {
            return true;
        }
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

/// The kernel writes spaces and the like as a backslash and three octal digits.
void unescape(std::string& path) {
    const auto is_digit = [](char character) { return character >= '0' && character <= '7'; };
    for (std::size_t at = path.find('\\'); at != std::string::npos; at = path.find('\\', at + 1)) {
        if (at + 3 < path.size() && std::all_of(&path[at + 1], &path[at + 4], is_digit)) {
            const int code = (path[at + 1] - '0') * 64 + (path[at + 2] - '0') * 8 + (path[at + 3] - '0');
            path.replace(at, 4, 1, static_cast<char>(code));
        }
    }
}

/// /proc/self/mountinfo: "id parent major:minor root point options [fields...] - type source options".
std::vector<CgroupMount> cgroup_mounts(const std::string& root) {
    std::vector<CgroupMount> mounts;
    std::ifstream file(root + "/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        CgroupMount mount;
        std::string skipped;
        fields >> skipped >> skipped >> skipped >> mount.root >> mount.point;
        unescape(mount.root);
        unescape(mount.point);
        while (fields >> skipped && skipped != "-") {
        }
        std::string type;
        std::string options;
        fields >> type >> skipped >> options;
        mount.is_v2 = type == "cgroup2";
        if (mount.is_v2 || (type == "cgroup" && has_word(options, "cpu"))) {
            mounts.push_back(std::move(mount));
        }
    }
    return mounts;
}

/// /proc/self/cgroup: "id:controllers:path"; the v2 line has no controllers.
std::optional<std::string> own_cgroup(const std::string& root, bool is_v2) {
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
        if (is_v2 ? controllers.empty() : has_word(controllers, "cpu")) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

std::optional<double> read_number(const std::string& path) {
    std::ifstream file(path);
    double number = 0;
    return file >> number ? std::optional(number) : std::nullopt;
}

double ratio(std::optional<double> quota, std::optional<double> period) {
    const bool is_limit = quota && period && *quota > 0 && *period > 0;
    return is_limit ? *quota / *period : 0;
}

/// The limit that one cgroup sets itself; 0: none.
double quota_of(const std::string& directory, bool is_v2) {
    if (!is_v2) {
        return ratio(read_number(directory + "/cpu.cfs_quota_us"), read_number(directory + "/cpu.cfs_period_us"));
    }
    // "max 100000" or "150000 100000"; the root cgroup has no such file.
    std::ifstream file(directory + "/cpu.max");
    double quota = 0;
    double period = 0;
    return file >> quota >> period ? ratio(quota, period) : 0;
}

double stricter(double one, double other) { return one <= 0 ? other : other <= 0 ? one : std::min(one, other); }

/// The strictest limit from the own cgroup up to the mount point.
double quota_under(const CgroupMount& mount, const std::string& root) {
    std::string path = own_cgroup(root, mount.is_v2).value_or("/");
    // A container without a cgroup namespace sees the host's path, of which its mount shows only the part below `root`.
    if (mount.root != "/" && (path + "/").starts_with(mount.root + "/")) {
        path.erase(0, mount.root.size());
    }
    double quota = 0;
    while (!path.empty() && path != "/") {
        quota = stricter(quota, quota_of(root + mount.point + path, mount.is_v2));
        const std::size_t slash = path.rfind('/');
        path.erase(slash == std::string::npos ? 0 : slash);
    }
    return stricter(quota, quota_of(root + mount.point, mount.is_v2));
}

}  // namespace

void wait_for_other_thread(unsigned round) noexcept {
    constexpr unsigned kSpinRounds = 64;
    cpu_relax();
    if (round >= kSpinRounds) {
        sched_yield();
    }
}

bool asymmetric_fences() noexcept {
    static const bool works = [] {
        const long commands = membarrier(MEMBARRIER_CMD_QUERY);
        return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
               membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
               membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
    }();
    return works;
}

void heavy_fence() noexcept {
    while (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
        if (errno != ENOMEM) {
            // Nothing else can take its place: the other loops run without fences of their own.
            std::fprintf(stderr,
                         "knit: membarrier() worked at the start and is refused now (%s): a seccomp filter that a "
                         "program puts on itself has to allow it\n",
                         std::strerror(errno));
            std::abort();
        }
        sched_yield();  // the kernel has no memory for its mask just now
    }
}

std::vector<unsigned> allowed_cpus() {
    std::vector<unsigned> cpus;
    // The kernel refuses a mask shorter than its own with EINVAL; 2^20 is far above any that exists.
    for (std::size_t count = CPU_SETSIZE; count <= (std::size_t{1} << 20); count *= 2) {
        const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(count));
        const std::size_t bytes = CPU_ALLOC_SIZE(count);
        if (!set) {
            return cpus;
        }
        CPU_ZERO_S(bytes, set.get());
        if (::sched_getaffinity(0, bytes, set.get()) != 0) {
            if (errno == EINVAL) {
                continue;
            }
            return cpus;
        }
        for (unsigned cpu = 0; cpu < count; ++cpu) {
            if (CPU_ISSET_S(cpu, bytes, set.get())) {
                cpus.push_back(cpu);
            }
        }
        return cpus;
    }
    return cpus;
}

double cgroup_cpu_quota() {
    static const double quota = cgroup_cpu_quota_under({});
    return quota;
}

double cgroup_cpu_quota_under(const std::string& root) {
    double quota = 0;
    for (const CgroupMount& mount : cgroup_mounts(root)) {
        quota = stricter(quota, quota_under(mount, root));
    }
    return quota;
}

unsigned default_loops() {
    const std::size_t cpus = std::max<std::size_t>(allowed_cpus().size(), 1);
    const double quota = std::ceil(cgroup_cpu_quota());
    const bool is_limited = quota > 0 && quota < static_cast<double>(cpus);
    return std::max(1U, static_cast<unsigned>(is_limited ? static_cast<std::size_t>(quota) : cpus));
}

bool pin_thread(const std::vector<unsigned>& cpus) noexcept {
    if (cpus.empty()) {
        return false;
    }
    const std::size_t count = *std::max_element(cpus.begin(), cpus.end()) + std::size_t{1};
    const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(count));
    if (!set) {
        return false;
    }
    const std::size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set.get());
    for (const unsigned cpu : cpus) {
        CPU_SET_S(cpu, bytes, set.get());
    }
    return ::sched_setaffinity(0, bytes, set.get()) == 0;
}

void name_thread(const char* name) noexcept {
    char cut[16] = {};
    std::snprintf(cut, sizeof(cut), "%s", name);
    ::pthread_setname_np(::pthread_self(), cut);  // a name that is refused is no reason to fail
}

int this_thread_id() noexcept { return static_cast<int>(::gettid()); }

int this_thread_cpu_clock() noexcept {
    clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
    ::pthread_getcpuclockid(::pthread_self(), &clock);  // where there is none, whoever reads it gets zero
    return clock;
}

Duration cpu_time(int clock) noexcept {
    timespec time{};
    if (::clock_gettime(clock, &time) != 0) {
        return {};
    }
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void assert_failed(const char* condition, const char* file, int line) noexcept {
    char text[512];
    const int length =
        std::snprintf(text, sizeof(text), "knit: assertion failed: %s at %s:%d\n", condition, file, line);
    if (length > 0) {
        const auto bytes = std::min(static_cast<std::size_t>(length), sizeof(text) - 1);
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, bytes);
    }
    std::abort();
}

}  // namespace knit::detail
