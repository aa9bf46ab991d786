// nop by hand on liburing: what has completed is asked for again, one system call for all of them.
#include <liburing.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "workloads/nop/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::nop;

void check(int result, const char* what) {
    if (result < 0) {
        errno = -result;
        std::perror(what);
        std::exit(1);
    }
}

/// How many completed rightly.
std::int64_t repeat(io_uring& ring, std::uint64_t operations) {
    std::int64_t completed = 0;
    std::uint64_t asked = 0;
    for (std::uint64_t free = problem::kAtOnce, in_flight = 0; in_flight > 0 || asked < operations;) {
        for (; free > 0 && asked < operations; --free, ++asked, ++in_flight) {
            io_uring_prep_nop(io_uring_get_sqe(&ring));
        }
        check(io_uring_submit_and_wait(&ring, 1), "error: io_uring_submit_and_wait");
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring, head, cqe) {
            completed += cqe->res == 0 ? 1 : 0;
            ++count;
        }
        io_uring_cq_advance(&ring, count);
        free += count;
        in_flight -= count;
    }
    return completed;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: nop_uring [--operations N] [--loops 1]");
    const std::uint64_t operations = args.number("--operations", problem::kOperations, 1, 1'000'000'000);
    args.number("--loops", 1, 1, 1);
    args.finish();
    io_uring ring;
    check(io_uring_queue_init(256, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN),
          "error: io_uring_queue_init");
    check(io_uring_register_ring_fd(&ring), "error: io_uring_register_ring_fd");
    const bench::Stopwatch watch;
    const std::int64_t completed = repeat(ring, operations);
    const double seconds = watch.seconds();
    io_uring_queue_exit(&ring);
    return bench::print_report({"nop", 1, operations, completed, static_cast<std::int64_t>(operations), seconds});
}
