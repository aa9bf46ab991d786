// timers on Asio: a steady_timer each; to set it anew cancels what waits for it.
#include <asio.hpp>

#include <deque>

#include "workloads/timers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace problem = bench::timers;

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: timers_asio [--outstanding N] [--operations N] [--loops 1]");
    const std::uint64_t outstanding = args.number("--outstanding", problem::kOutstanding, 1, problem::kMost);
    const std::uint64_t operations = args.number("--operations", problem::kOperations, 1);
    args.number("--loops", 1, 1, 1);
    args.finish();
    asio::io_context context(1);
    std::int64_t wrong = 0;
    std::deque<asio::steady_timer> timers;
    const auto set = [&wrong](asio::steady_timer& timer, std::uint64_t number) {
        const std::size_t cancelled = timer.expires_after(problem::delay(number));
        timer.async_wait([&wrong](const asio::error_code& error) { wrong += error ? 0 : 1; });
        return cancelled;
    };
    for (std::uint64_t number = 0; number < outstanding; ++number) {
        set(timers.emplace_back(context), number);
    }
    const bench::Stopwatch watch;
    std::uint64_t oldest = 0;
    for (std::uint64_t number = 0; number < operations; ++number) {
        wrong += set(timers[oldest], outstanding + number) == 1 ? 0 : 1;
        oldest = oldest + 1 == outstanding ? 0 : oldest + 1;
        if (number % problem::kBatch == 0) {
            context.poll();
        }
    }
    return bench::print_report({"timers", 1, operations, wrong, 0, watch.seconds()});
}
