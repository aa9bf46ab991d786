// sleepers on Asio: a coroutine and a steady_timer each.
#include <asio.hpp>

#include <atomic>

#include "workloads/sleepers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::sleepers;

asio::awaitable<void> sleep_once(std::chrono::nanoseconds delay, std::atomic<std::int64_t>& woken) {
    asio::steady_timer timer(co_await asio::this_coro::executor, delay);
    co_await timer.async_wait(asio::use_awaitable);
    woken.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: sleepers_asio [--tasks N] [--ms N (shortest delay, the longest is twice it)] [--loops N]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 10'000'000);
    const std::chrono::milliseconds shortest(args.number("--ms", problem::kMilliseconds, 1, 60'000));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    std::atomic<std::int64_t> woken = 0;
    asio::thread_pool pool(loops);
    const bench::Stopwatch watch;
    for (std::uint64_t i = 0; i < tasks; ++i) {
        asio::co_spawn(pool, sleep_once(problem::delay(i, tasks, shortest), woken), asio::detached);
    }
    pool.join();
    return bench::print_report({"sleepers", loops, tasks, woken, static_cast<std::int64_t>(tasks), watch.seconds()});
}
