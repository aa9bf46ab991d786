// timers on knit: call_later() and the handle's cancel().
#include <knit/core.hpp>

#include <vector>

#include "workloads/timers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::timers;

struct Outcome {
    std::int64_t wrong;
    double seconds;
};

/// Gives how many timers fired or could not be cancelled: none should.
knit::Coro<Outcome> churn(std::uint64_t outstanding, std::uint64_t operations) {
    knit::Loop& loop = knit::get_running_loop();
    std::int64_t wrong = 0;
    const auto set = [&](std::uint64_t number) {
        return loop.call_later(problem::delay(number), [&wrong] { ++wrong; });
    };
    std::vector<knit::Handle> handles;
    handles.reserve(outstanding);
    for (std::uint64_t number = 0; number < outstanding; ++number) {
        handles.push_back(set(number));
    }
    const bench::Stopwatch watch;
    std::uint64_t oldest = 0;
    for (std::uint64_t number = 0; number < operations; ++number) {
        handles[oldest].cancel();
        wrong += handles[oldest].cancelled() ? 0 : 1;
        handles[oldest] = set(outstanding + number);
        oldest = oldest + 1 == outstanding ? 0 : oldest + 1;
        if (number % problem::kBatch == 0) {
            co_await knit::yield();
        }
    }
    const double seconds = watch.seconds();
    for (knit::Handle& handle : handles) {
        handle.cancel();
    }
    co_return Outcome{wrong, seconds};
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: timers_knit [--outstanding N] [--operations N] [--loops N]");
    const std::uint64_t outstanding = args.number("--outstanding", problem::kOutstanding, 1, problem::kMost);
    const std::uint64_t operations = args.number("--operations", problem::kOperations, 1);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const Outcome outcome = runtime.run_until_complete(churn(outstanding, operations));
    return bench::print_report({"timers", loops, operations, outcome.wrong, 0, outcome.seconds});
}
