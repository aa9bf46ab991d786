// skynet on knit: every node spawns its ten children and gathers them.
#include <knit/knit.hpp>

#include <tuple>
#include <utility>

#include "workloads/skynet/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::skynet;

knit::Coro<std::int64_t> skynet(std::int64_t number, std::int64_t leaves);

// The number of children is known, so the gather is one of fixed size and lives in the parent's frame.
template <std::size_t... Child>
knit::Coro<std::int64_t> sum_children(std::int64_t number, std::int64_t share, std::index_sequence<Child...>) {
    const auto sums =
        co_await knit::gather(knit::spawn(skynet(number + static_cast<std::int64_t>(Child) * share, share))...);
    co_return (std::get<Child>(sums) + ...);
}

knit::Coro<std::int64_t> skynet(std::int64_t number, std::int64_t leaves) {
    if (leaves == 1) {
        co_return number;
    }
    using Children = std::make_index_sequence<static_cast<std::size_t>(problem::kChildren)>;
    co_return co_await sum_children(number, leaves / problem::kChildren, Children());
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: skynet_knit [--leaves N (a power of ten)] [--loops N]");
    const auto leaves = static_cast<std::int64_t>(args.number("--leaves", problem::kDefault, 1, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    if (!problem::is_power_of_ten(leaves)) {
        args.fail("--leaves: expected a power of ten");
    }
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(skynet(0, leaves));
    const double seconds = watch.seconds();
    return bench::print_report({"skynet", static_cast<unsigned>(runtime.size()), problem::tasks(leaves), answer,
                                problem::expected(leaves), seconds});
}
