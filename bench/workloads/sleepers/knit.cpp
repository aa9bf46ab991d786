// sleepers on knit: all of them at once. One loop is enough for any number of them.
#include <knit/knit.hpp>

#include <cstdio>
#include <vector>

#include "workloads/sleepers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::sleepers;

knit::Coro<int> sleep_once(std::chrono::nanoseconds delay) {
    co_await knit::sleep(delay);
    co_return 1;
}

knit::Coro<std::int64_t> sleep_all(std::uint64_t tasks, std::chrono::nanoseconds shortest) {
    std::vector<knit::Task<int>> children;
    children.reserve(tasks);
    for (std::uint64_t i = 0; i < tasks; ++i) {
        children.push_back(knit::spawn(sleep_once(problem::delay(i, tasks, shortest))));
    }
    std::int64_t woken = 0;
    for (const int one : co_await knit::gather(std::move(children))) {
        woken += one;
    }
    co_return woken;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: sleepers_knit [--tasks N] [--ms N (shortest delay, the longest is twice it)] [--loops N]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 10'000'000);
    const std::chrono::milliseconds shortest(args.number("--ms", problem::kMilliseconds, 1, 60'000));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(sleep_all(tasks, shortest));
    const double seconds = watch.seconds();
    const double sum = std::chrono::duration<double>(problem::sum(tasks, shortest)).count();
    const double longest = std::chrono::duration<double>(problem::delay(tasks - 1, tasks, shortest)).count();
    char more[128];
    std::snprintf(more, sizeof more, "sum_seconds=%.6f longest_seconds=%.6f overlap=%.1f", sum, longest, sum / seconds);
    return bench::print_report(
        {"sleepers", static_cast<unsigned>(runtime.size()), tasks, answer, static_cast<std::int64_t>(tasks), seconds},
        more);
}
