// spawns on Asio: co_spawn for each; the contexts of several threads are one pool, the results meet in an atomic.
#include <asio.hpp>

#include <atomic>

#include "workloads/spawns/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::spawns;

asio::awaitable<void> small(std::uint64_t index, std::atomic<std::int64_t>& sum) {
    sum.fetch_add(problem::result(index), std::memory_order_relaxed);
    co_return;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: spawns_asio [--tasks N] [--loops N]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, problem::kMost);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    std::atomic<std::int64_t> sum = 0;
    asio::thread_pool pool(loops);
    const bench::Stopwatch watch;
    asio::post(pool, [&] {
        for (std::uint64_t index = 0; index < tasks; ++index) {
            asio::co_spawn(pool, small(index, sum), asio::detached);
        }
    });
    pool.join();
    return bench::print_report({"spawns", loops, tasks, sum, problem::expected(tasks), watch.seconds()});
}
