// skynet by plain calls: the work without any tasks.
#include "workloads/skynet/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::skynet;

[[gnu::noinline]] std::int64_t skynet(std::int64_t number, std::int64_t leaves) {
    if (leaves == 1) {
        return number;
    }
    const std::int64_t share = leaves / problem::kChildren;
    std::int64_t sum = 0;
    for (std::int64_t child = 0; child < problem::kChildren; ++child) {
        sum += skynet(number + child * share, share);
    }
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: skynet_serial [--leaves N (a power of ten)]");
    const auto leaves = static_cast<std::int64_t>(args.number("--leaves", problem::kDefault, 1, problem::kMost));
    args.finish();
    if (!problem::is_power_of_ten(leaves)) {
        args.fail("--leaves: expected a power of ten");
    }
    const bench::Stopwatch watch;
    const std::int64_t answer = skynet(0, leaves);
    return bench::print_report(
        {"skynet", 0, problem::tasks(leaves), answer, problem::expected(leaves), watch.seconds()});
}
