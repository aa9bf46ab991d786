// pingpong on knit: the two tasks are on the first and on the last loop.
#include <knit/core.hpp>

#include <chrono>

#include "workloads/pingpong/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::pingpong;

constexpr std::uint64_t kSpinUnsaid = UINT64_MAX;

using Channel = knit::Queue<std::int64_t>;

knit::Coro<> answer_all(Channel& source, Channel& target, std::uint64_t trips) {
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        const std::int64_t value = co_await source.get();
        co_await target.put(value + 1);
    }
}

knit::Coro<std::int64_t> play(std::uint64_t trips) {
    Channel there(1);
    Channel back(1);
    knit::Runtime& runtime = knit::get_runtime();
    const knit::Task<> other =
        knit::create_task(answer_all(there, back, trips), {.loop = &runtime.loop(runtime.size() - 1)});
    std::int64_t value = 0;
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        co_await there.put(value + 1);
        value = co_await back.get();
    }
    co_await other;
    co_return value;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: pingpong_knit [--trips N] [--loops N] [--spin US (0: a loop without work sleeps)]");
    const std::uint64_t trips = args.number("--trips", problem::kTrips, 1);
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    const std::uint64_t spin = args.number("--spin", kSpinUnsaid, 0, 1'000'000);
    args.finish();
    knit::RunOptions options;
    options.loops = loops;
    if (spin != kSpinUnsaid) {
        options.spin = std::chrono::microseconds(spin);
    }
    knit::Runtime runtime(options);
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(play(trips));
    const double seconds = watch.seconds();
    return bench::print_report(
        {"pingpong", static_cast<unsigned>(runtime.size()), trips, answer, problem::expected(trips), seconds});
}
