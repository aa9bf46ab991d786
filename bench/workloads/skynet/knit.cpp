// skynet on knit: every node forks its ten children; or spawns and gathers them, as tasks.
#include <knit/knit.hpp>

#include <string>
#include <tuple>
#include <utility>

#include "workloads/skynet/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::skynet;

static_assert(problem::kChildren == 10);

// The number of children is known, so a fork of fixed size lives in the parent's frame.
knit::Coro<std::int64_t> skynet(std::int64_t number, std::int64_t leaves) {
    if (leaves == 1) {
        co_return number;
    }
    const std::int64_t share = leaves / problem::kChildren;
    const auto child = [&](std::int64_t index) { return skynet(number + index * share, share); };
    const auto sums = co_await knit::fork_join(child(0), child(1), child(2), child(3), child(4), child(5), child(6),
                                               child(7), child(8), child(9));
    co_return std::apply([](auto... sum) { return (sum + ...); }, sums);
}

knit::Coro<std::int64_t> skynet_tasks(std::int64_t number, std::int64_t leaves);

template <std::size_t... Child>
knit::Coro<std::int64_t> sum_tasks(std::int64_t number, std::int64_t share, std::index_sequence<Child...>) {
    const auto sums =
        co_await knit::gather(knit::spawn(skynet_tasks(number + static_cast<std::int64_t>(Child) * share, share))...);
    co_return (std::get<Child>(sums) + ...);
}

knit::Coro<std::int64_t> skynet_tasks(std::int64_t number, std::int64_t leaves) {
    if (leaves == 1) {
        co_return number;
    }
    using Children = std::make_index_sequence<static_cast<std::size_t>(problem::kChildren)>;
    co_return co_await sum_tasks(number, leaves / problem::kChildren, Children());
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: skynet_knit [--leaves N (a power of ten)] [--loops N] [--form fork|tasks]");
    const auto leaves = static_cast<std::int64_t>(args.number("--leaves", problem::kDefault, 1, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    const std::string form = args.text("--form", "fork");
    args.finish();
    if (form != "fork" && form != "tasks") {
        args.fail("--form=" + form + ": expected fork or tasks");
    }
    if (!problem::is_power_of_ten(leaves)) {
        args.fail("--leaves: expected a power of ten");
    }
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer =
        runtime.run_until_complete(form == "fork" ? skynet(0, leaves) : skynet_tasks(0, leaves));
    const double seconds = watch.seconds();
    return bench::print_report({"skynet", static_cast<unsigned>(runtime.size()), problem::tasks(leaves), answer,
                                problem::expected(leaves), seconds},
                               "form=" + form);
}
