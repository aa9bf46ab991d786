// matmul by plain calls, in the same order as the others.
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
        for (std::size_t quarter = 0; quarter < 4; ++quarter) {
            const std::size_t row = quarter / 2;
            const std::size_t column = quarter % 2;
            multiply(target.quarter(row, column, half), left.quarter(row, k, half), right.quarter(k, column, half),
                     half);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: matmul_serial [--n N (a power of two from 32 up)]");
    const auto n = static_cast<std::size_t>(args.number("--n", problem::kDefault));
    args.finish();
    if (!problem::is_size(n)) {
        args.fail("--n: expected a power of two from 32 to 8192");
    }
    problem::Problem matrices(n);
    const bench::Stopwatch watch;
    multiply(matrices.product(), matrices.left(), matrices.right(), n);
    const double seconds = watch.seconds();
    return bench::print_report({"matmul", 0, problem::tasks(n), matrices.answer(), matrices.expected(), seconds});
}
