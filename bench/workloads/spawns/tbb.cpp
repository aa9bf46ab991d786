// spawns on oneTBB: one task_group, each task writes its result into a place of its own.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include <vector>

#include "workloads/spawns/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace problem = bench::spawns;

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: spawns_tbb [--tasks N] [--loops N]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, problem::kMost);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    std::vector<std::int64_t> results(tasks);
    tbb::task_group group;
    for (std::uint64_t index = 0; index < tasks; ++index) {
        group.run([&result = results[index], index] { result = problem::result(index); });
    }
    group.wait();
    std::int64_t answer = 0;
    for (const std::int64_t result : results) {
        answer += result;
    }
    return bench::print_report({"spawns", loops, tasks, answer, problem::expected(tasks), watch.seconds()});
}
