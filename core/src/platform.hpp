/// What the operating system is asked for besides I/O: processors, threads' names and places, the expensive fence.
#pragma once

#include <string>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// Whether heavy_fence() works here. The first call asks the kernel and registers the process. Any thread.
[[nodiscard]] bool asymmetric_fences() noexcept;

/// A full barrier on every running thread of the process, at some moment between call and return (membarrier): what
/// the others' light_fence() pairs with. Costs a system call and an interrupt on each processor that runs a thread of
/// ours. Only where asymmetric_fences() said true; there is no substitute, hence aborts elsewhere. Any thread.
void heavy_fence() noexcept;

/// In a loop that waits for what another thread is about to do: spins for the first rounds, then lets other threads
/// have the processor, which that one may be without.
void wait_for_other_thread(unsigned round) noexcept;

/// The processors that the calling thread may run on, ascending; empty where the kernel does not say.
std::vector<unsigned> allowed_cpus();

/// How many processors' worth of time the cgroups (v2 and v1, and their parents) allow; 0: no limit. Read once in a
/// process: it takes a dozen files, which is more than a short run() takes.
double cgroup_cpu_quota();
/// The same, read now, with `root` put before every path: for tests.
double cgroup_cpu_quota_under(const std::string& root);

/// One loop for each processor that can be used to the full: at least 1.
unsigned default_loops();

/// Keeps the calling thread on `cpus`; false for none, and where the kernel refuses.
[[nodiscard]] bool pin_thread(const std::vector<unsigned>& cpus) noexcept;

/// The kernel's id of the calling thread.
int this_thread_id() noexcept;
/// The clock of the processor time that the calling thread uses, for cpu_time().
int this_thread_cpu_clock() noexcept;
/// What that clock shows; zero when its thread has gone.
Duration cpu_time(int clock) noexcept;

/// Names the calling thread for top and debuggers; what is longer than 15 bytes is cut.
void name_thread(const char* name) noexcept;

}  // namespace knit::detail
