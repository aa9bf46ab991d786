// uts on knit: every node forks its children.
#include <knit/core.hpp>

#include <utility>
#include <vector>

#include "workloads/uts/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::uts;

knit::Coro<std::int64_t> count(problem::Node node, unsigned deepest) {
    const unsigned width = node.children(deepest);
    std::int64_t nodes = 1;
    if (width == 0) {
        co_return nodes;
    }
    std::vector<knit::Coro<std::int64_t>> children;
    children.reserve(width);
    for (unsigned index = 0; index < width; ++index) {
        children.push_back(count(node.child(index), deepest));
    }
    for (const std::int64_t found : co_await knit::fork_join(std::move(children))) {
        nodes += found;
    }
    co_return nodes;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: uts_knit [--depth N] [--loops N]");
    const auto depth = static_cast<unsigned>(args.number("--depth", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(count({}, depth));
    const double seconds = watch.seconds();
    const std::int64_t nodes = problem::kNodes[depth];
    return bench::print_report(
        {"uts", static_cast<unsigned>(runtime.size()), static_cast<std::uint64_t>(nodes), answer, nodes, seconds});
}
