// uts by plain calls: the work without any tasks.
#include "workloads/uts/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::uts;

std::int64_t count(problem::Node node, unsigned deepest) {
    const unsigned width = node.children(deepest);
    std::int64_t nodes = 1;
    for (unsigned index = 0; index < width; ++index) {
        nodes += count(node.child(index), deepest);
    }
    return nodes;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: uts_serial [--depth N]");
    const auto depth = static_cast<unsigned>(args.number("--depth", problem::kDefault, 0, problem::kMost));
    args.finish();
    const bench::Stopwatch watch;
    const std::int64_t answer = count({}, depth);
    const double seconds = watch.seconds();
    const std::int64_t nodes = problem::kNodes[depth];
    return bench::print_report({"uts", 0, static_cast<std::uint64_t>(nodes), answer, nodes, seconds});
}
