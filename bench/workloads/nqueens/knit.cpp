// nqueens on knit: a fork, or a task, for every board that is still without an attack.
#include <knit/knit.hpp>

#include <string>
#include <utility>
#include <vector>

#include "workloads/nqueens/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::nqueens;

knit::Coro<std::int64_t> nqueens(problem::Board board, unsigned row, unsigned n) {
    if (row == n) {
        co_return 1;
    }
    std::vector<knit::Coro<std::int64_t>> children;
    children.reserve(n);
    for (unsigned column = 0; column < n; ++column) {
        if (problem::is_safe(board, row, static_cast<int>(column))) {
            board[row] = static_cast<std::int8_t>(column);
            children.push_back(nqueens(board, row + 1, n));
        }
    }
    std::int64_t solutions = 0;
    for (const std::int64_t found : co_await knit::fork_join(std::move(children))) {
        solutions += found;
    }
    co_return solutions;
}

knit::Coro<std::int64_t> nqueens_tasks(problem::Board board, unsigned row, unsigned n) {
    if (row == n) {
        co_return 1;
    }
    std::vector<knit::Task<std::int64_t>> children;
    children.reserve(n);
    for (unsigned column = 0; column < n; ++column) {
        if (problem::is_safe(board, row, static_cast<int>(column))) {
            board[row] = static_cast<std::int8_t>(column);
            children.push_back(knit::spawn(nqueens_tasks(board, row + 1, n)));
        }
    }
    std::int64_t solutions = 0;
    for (const std::int64_t found : co_await knit::gather(std::move(children))) {
        solutions += found;
    }
    co_return solutions;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: nqueens_knit [--n N] [--loops N] [--form fork|tasks]");
    const auto n = static_cast<unsigned>(args.number("--n", problem::kDefault, 0, problem::kMost));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    const std::string form = args.text("--form", "fork");
    args.finish();
    if (form != "fork" && form != "tasks") {
        args.fail("--form=" + form + ": expected fork or tasks");
    }
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer =
        runtime.run_until_complete(form == "fork" ? nqueens({}, 0, n) : nqueens_tasks({}, 0, n));
    const double seconds = watch.seconds();
    const problem::Size& size = problem::kSizes[n];
    return bench::print_report(
        {"nqueens", static_cast<unsigned>(runtime.size()), size.boards, answer, size.solutions, seconds},
        "form=" + form);
}
