// fib by plain calls: the work without any tasks.
#include "workloads/fib/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::fib;

// Not inlined into itself: what is measured is a call for each task, as a compiler without luck would make it.
[[gnu::noinline]] std::int64_t fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: fib_serial [--n N]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    args.finish();
    const bench::Stopwatch watch;
    const std::int64_t answer = fib(n);
    return bench::print_report({"fib", 0, problem::tasks(n), answer, problem::expected(n), watch.seconds()});
}
