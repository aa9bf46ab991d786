// spawns on knit: each is a task that any loop may take (spawn), or one of this loop (create), awaited in turn.
#include <knit/core.hpp>

#include <string>
#include <utility>
#include <vector>

#include "workloads/spawns/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::spawns;

knit::Coro<std::int64_t> small(std::uint64_t index) { co_return problem::result(index); }

knit::Coro<std::int64_t> start_all(std::uint64_t count, bool is_local) {
    std::vector<knit::Task<std::int64_t>> tasks;
    tasks.reserve(count);
    for (std::uint64_t index = 0; index < count; ++index) {
        tasks.push_back(is_local ? knit::create_task(small(index)) : knit::spawn(small(index)));
    }
    std::int64_t sum = 0;
    for (const knit::Task<std::int64_t>& task : tasks) {
        sum += co_await task;
    }
    co_return sum;
}

/// The same `rounds` times over, for numbers of tasks that alone take no measurable time.
knit::Coro<std::int64_t> start_rounds(std::uint64_t count, std::uint64_t rounds, bool is_local) {
    std::int64_t sum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        sum += co_await start_all(count, is_local);
    }
    co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: spawns_knit [--tasks N] [--rounds N] [--loops N] [--form spawn|create]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, problem::kMost);
    const std::uint64_t rounds = args.number("--rounds", 1, 1, 1'000'000);
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    const std::string form = args.text("--form", "spawn");
    args.finish();
    if (form != "spawn" && form != "create") {
        args.fail("--form=" + form + ": expected spawn or create");
    }
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(start_rounds(tasks, rounds, form == "create"));
    const double seconds = watch.seconds();
    return bench::print_report({"spawns", static_cast<unsigned>(runtime.size()), rounds * tasks, answer,
                                static_cast<std::int64_t>(rounds) * problem::expected(tasks), seconds},
                               "form=" + form);
}
