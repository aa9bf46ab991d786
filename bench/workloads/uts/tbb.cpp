// uts on oneTBB: a task_group for each node that has children.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include <vector>

#include "workloads/uts/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::uts;

std::int64_t count(problem::Node node, unsigned deepest) {
    const unsigned width = node.children(deepest);
    if (width == 0) {
        return 1;
    }
    std::vector<std::int64_t> found(width);
    tbb::task_group group;
    for (unsigned index = 0; index < width; ++index) {
        group.run([&sum = found[index], child = node.child(index), deepest] { sum = count(child, deepest); });
    }
    group.wait();
    std::int64_t nodes = 1;
    for (const std::int64_t one : found) {
        nodes += one;
    }
    return nodes;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: uts_tbb [--depth N] [--loops N]");
    const auto depth = static_cast<unsigned>(args.number("--depth", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    const std::int64_t answer = count({}, depth);
    const double seconds = watch.seconds();
    const std::int64_t nodes = problem::kNodes[depth];
    return bench::print_report({"uts", loops, static_cast<std::uint64_t>(nodes), answer, nodes, seconds});
}
