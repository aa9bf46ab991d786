// matmul on oneTBB: four products at a time, since two of the eight add to the same quarter.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_invoke.h>

#include "workloads/matmul/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::matmul;
using problem::Part;

void multiply(Part target, Part left, Part right, std::size_t n) {
    if (n == problem::kBlock) {
        problem::multiply_block(target, left, right);
        return;
    }
    const std::size_t half = n / 2;
    for (std::size_t k = 0; k < 2; ++k) {
        const auto quarter = [&](std::size_t row, std::size_t column) {
            multiply(target.quarter(row, column, half), left.quarter(row, k, half), right.quarter(k, column, half),
                     half);
        };
        tbb::parallel_invoke([&] { quarter(0, 0); }, [&] { quarter(0, 1); }, [&] { quarter(1, 0); },
                             [&] { quarter(1, 1); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: matmul_tbb [--n N (a power of two from 32 up)] [--loops N]");
    const auto n = static_cast<std::size_t>(args.number("--n", problem::kDefault));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    if (!problem::is_size(n)) {
        args.fail("--n: expected a power of two from 32 to 8192");
    }
    problem::Problem matrices(n);
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    multiply(matrices.product(), matrices.left(), matrices.right(), n);
    const double seconds = watch.seconds();
    return bench::print_report({"matmul", loops, problem::tasks(n), matrices.answer(), matrices.expected(), seconds});
}
