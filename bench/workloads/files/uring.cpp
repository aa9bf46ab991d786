// files by hand on liburing: as many reads in flight as the others have tasks, one enter for all that are ready.
#include <liburing.h>

#include <cstring>

#include "workloads/files/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::files;

using Block = std::vector<char>;

void queue_read(io_uring& ring, int descriptor, Block& block, std::uint64_t slot, std::uint64_t number) {
    io_uring_sqe* const sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read(sqe, descriptor, block.data(), problem::kBlock, problem::block_of(number) * problem::kBlock);
    io_uring_sqe_set_data64(sqe, slot);
}

std::int64_t read_all(io_uring& ring, int descriptor, std::uint64_t tasks, std::uint64_t reads) {
    std::vector<Block> blocks(tasks, Block(problem::kBlock));
    std::uint64_t next = 0;
    for (; next < tasks && next < reads; ++next) {
        queue_read(ring, descriptor, blocks[next], next, next);
    }
    std::int64_t sum = 0;
    for (std::uint64_t done = 0; done < reads;) {
        io_uring_submit_and_wait(&ring, 1);
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring, head, cqe) {
            ++count;
            const std::uint64_t slot = io_uring_cqe_get_data64(cqe);
            std::int64_t first = 0;
            std::memcpy(&first, blocks[slot].data(), sizeof first);
            sum += cqe->res == static_cast<int>(problem::kBlock) ? first : -1;
            if (next < reads) {
                queue_read(ring, descriptor, blocks[slot], slot, next++);
            }
        }
        io_uring_cq_advance(&ring, count);
        done += count;
    }
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: files_uring [--reads N] [--tasks N] [--loops 1]");
    const std::uint64_t reads = args.number("--reads", problem::kReads, 1, 1'000'000'000);
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 4096);
    args.number("--loops", 1, 1, 1);
    args.finish();
    io_uring ring;
    if (const int error = io_uring_queue_init(4096, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
        error < 0) {
        std::fprintf(stderr, "error: io_uring_queue_init: %s\n", std::strerror(-error));
        return 1;
    }
    const int descriptor = problem::make_file();
    const bench::Stopwatch watch;
    const std::int64_t sum = read_all(ring, descriptor, tasks, reads);
    return bench::print_report({"files", 1, reads, sum, problem::expected(reads), watch.seconds()});
}
