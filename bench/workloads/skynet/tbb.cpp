// skynet on oneTBB: a task_group for each node, its ten children as tasks.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include <array>

#include "workloads/skynet/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::skynet;

std::int64_t skynet(std::int64_t number, std::int64_t leaves) {
    if (leaves == 1) {
        return number;
    }
    const std::int64_t share = leaves / problem::kChildren;
    std::array<std::int64_t, problem::kChildren> sums{};
    tbb::task_group group;
    for (std::size_t child = 0; child < sums.size(); ++child) {
        const std::int64_t first = number + static_cast<std::int64_t>(child) * share;
        group.run([&sum = sums[child], first, share] { sum = skynet(first, share); });
    }
    group.wait();
    std::int64_t all = 0;
    for (const std::int64_t sum : sums) {
        all += sum;
    }
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: skynet_tbb [--leaves N (a power of ten)] [--loops N]");
    const auto leaves = static_cast<std::int64_t>(args.number("--leaves", problem::kDefault, 1, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    if (!problem::is_power_of_ten(leaves)) {
        args.fail("--leaves: expected a power of ten");
    }
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    const std::int64_t answer = skynet(0, leaves);
    return bench::print_report(
        {"skynet", loops, problem::tasks(leaves), answer, problem::expected(leaves), watch.seconds()});
}
