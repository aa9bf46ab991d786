// files by pread(), one after another: from the page cache nothing is cheaper.
#include <cstring>

#include "workloads/files/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace problem = bench::files;

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: files_serial [--reads N] [--tasks N (no meaning here)]");
    const std::uint64_t reads = args.number("--reads", problem::kReads, 1, 1'000'000'000);
    args.number("--tasks", problem::kTasks);
    args.finish();
    const int descriptor = problem::make_file();
    const bench::Stopwatch watch;
    std::vector<char> block(problem::kBlock);
    std::int64_t sum = 0;
    for (std::uint64_t number = 0; number < reads; ++number) {
        const auto offset = static_cast<off_t>(problem::block_of(number) * problem::kBlock);
        const ssize_t count = pread(descriptor, block.data(), block.size(), offset);
        std::int64_t head = 0;
        std::memcpy(&head, block.data(), sizeof head);
        sum += count == static_cast<ssize_t>(problem::kBlock) ? head : -1;
    }
    return bench::print_report({"files", 0, reads, sum, problem::expected(reads), watch.seconds()});
}
