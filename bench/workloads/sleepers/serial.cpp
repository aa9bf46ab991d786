// sleepers one after another, as a program without tasks has to wait.
#include "workloads/sleepers/case.hpp"

#include <thread>

#include "support/args.hpp"
#include "support/report.hpp"

namespace problem = bench::sleepers;

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: sleepers_serial [--tasks N] [--ms N (shortest delay, the longest is twice it)]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 10'000'000);
    const std::chrono::milliseconds shortest(args.number("--ms", problem::kMilliseconds, 1, 60'000));
    args.finish();
    const bench::Stopwatch watch;
    std::int64_t woken = 0;
    for (std::uint64_t i = 0; i < tasks; ++i) {
        std::this_thread::sleep_for(problem::delay(i, tasks, shortest));
        ++woken;
    }
    return bench::print_report({"sleepers", 0, tasks, woken, static_cast<std::int64_t>(tasks), watch.seconds()});
}
