// fib on knit: by fork_join(), and as tasks: each child spawned, or one spawned and the other made a task of this loop.
#include <knit/knit.hpp>

#include "workloads/fib/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::fib;

knit::Coro<std::int64_t> fib_fork(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto [left, right] = co_await knit::fork_join(fib_fork(n - 1), fib_fork(n - 2));
    co_return left + right;
}

knit::Coro<std::int64_t> fib_spawn_both(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto [left, right] =
        co_await knit::gather(knit::spawn(fib_spawn_both(n - 1)), knit::spawn(fib_spawn_both(n - 2)));
    co_return left + right;
}

knit::Coro<std::int64_t> fib_spawn_one(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto [left, right] = co_await knit::gather(knit::spawn(fib_spawn_one(n - 1)), fib_spawn_one(n - 2));
    co_return left + right;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: fib_knit [--n N] [--loops N (default: KNIT_LOOPS, else the CPUs)] [--form fork|both|one]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    const std::string form = args.text("--form", "fork");
    args.finish();
    if (form != "fork" && form != "both" && form != "one") {
        args.fail("--form=" + form + ": expected fork, both or one");
    }
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(form == "fork"   ? fib_fork(n)
                                                           : form == "both" ? fib_spawn_both(n)
                                                                            : fib_spawn_one(n));
    const double seconds = watch.seconds();
    return bench::print_report(
        {"fib", static_cast<unsigned>(runtime.size()), problem::tasks(n), answer, problem::expected(n), seconds},
        "form=" + form);
}
