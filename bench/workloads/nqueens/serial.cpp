// nqueens by plain calls: the work without any tasks.
#include "workloads/nqueens/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::nqueens;

// By value, as a task has to hold its own board.
std::int64_t nqueens(problem::Board board, unsigned row, unsigned n) {
    if (row == n) {
        return 1;
    }
    std::int64_t solutions = 0;
    for (unsigned column = 0; column < n; ++column) {
        if (problem::is_safe(board, row, static_cast<int>(column))) {
            board[row] = static_cast<std::int8_t>(column);
            solutions += nqueens(board, row + 1, n);
        }
    }
    return solutions;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: nqueens_serial [--n N]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    args.finish();
    const bench::Stopwatch watch;
    const std::int64_t answer = nqueens({}, 0, n);
    const problem::Size& size = problem::kSizes[n];
    return bench::print_report({"nqueens", 0, size.boards, answer, size.solutions, watch.seconds()});
}
