// fib on oneTBB: a task_group for each call, one child run as a task and the other in place.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include "workloads/fib/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::fib;

std::int64_t fib(unsigned n) {
    if (n < 2) {
        return n;
    }
    std::int64_t left = 0;
    tbb::task_group group;
    group.run([&left, n] { left = fib(n - 1); });
    const std::int64_t right = fib(n - 2);
    group.wait();
    return left + right;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: fib_tbb [--n N] [--loops N]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    const std::int64_t answer = fib(n);
    return bench::print_report({"fib", loops, problem::tasks(n), answer, problem::expected(n), watch.seconds()});
}
