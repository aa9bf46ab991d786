// nqueens on oneTBB: a task for every board that is still without an attack.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include "workloads/nqueens/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::nqueens;

std::int64_t nqueens(problem::Board board, unsigned row, unsigned n) {
    if (row == n) {
        return 1;
    }
    std::array<std::int64_t, problem::kMost> found{};
    tbb::task_group group;
    for (unsigned column = 0; column < n; ++column) {
        if (problem::is_safe(board, row, static_cast<int>(column))) {
            board[row] = static_cast<std::int8_t>(column);
            group.run([&sum = found[column], board, row, n] { sum = nqueens(board, row + 1, n); });
        }
    }
    group.wait();
    std::int64_t solutions = 0;
    for (const std::int64_t one : found) {
        solutions += one;
    }
    return solutions;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: nqueens_tbb [--n N] [--loops N]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, loops);
    const bench::Stopwatch watch;
    const std::int64_t answer = nqueens({}, 0, n);
    const problem::Size& size = problem::kSizes[n];
    return bench::print_report({"nqueens", loops, size.boards, answer, size.solutions, watch.seconds()});
}
