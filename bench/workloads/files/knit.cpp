// files on knit: File::read_at(), tasks spawned over the loops.
#include <knit/core.hpp>
#include <knit/io/file.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "workloads/files/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::files;

/// Each has the file open for itself: an open file is used on one loop at a time.
knit::Coro<std::int64_t> read_some_of(int descriptor, std::uint64_t first, std::uint64_t step, std::uint64_t reads) {
    knit::io::File file = co_await knit::io::File::open("/proc/self/fd/" + std::to_string(descriptor));
    std::vector<std::byte> block(problem::kBlock);
    std::int64_t sum = 0;
    for (std::uint64_t number = first; number < reads; number += step) {
        const std::uint64_t offset = problem::block_of(number) * problem::kBlock;
        const std::size_t count = co_await file.read_at(std::span<std::byte>(block), offset);
        std::int64_t head = 0;
        std::memcpy(&head, block.data(), sizeof head);
        sum += count == problem::kBlock ? head : -1;
    }
    co_return sum;
}

knit::Coro<std::int64_t> read_all(int descriptor, std::uint64_t tasks, std::uint64_t reads) {
    std::vector<knit::Task<std::int64_t>> readers;
    for (std::uint64_t first = 0; first < tasks; ++first) {
        readers.push_back(knit::spawn(read_some_of(descriptor, first, tasks, reads)));
    }
    std::int64_t sum = 0;
    for (const knit::Task<std::int64_t>& reader : readers) {
        sum += co_await reader;
    }
    co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: files_knit [--reads N] [--tasks N] [--loops N]");
    const std::uint64_t reads = args.number("--reads", problem::kReads, 1, 1'000'000'000);
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 100'000);
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const int descriptor = problem::make_file();
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(read_all(descriptor, tasks, reads));
    const double seconds = watch.seconds();
    return bench::print_report(
        {"files", static_cast<unsigned>(runtime.size()), reads, answer, problem::expected(reads), seconds});
}
