// timers on libuv: uv_timer_stop() and uv_timer_start().
#include <uv.h>

#include <deque>

#include "workloads/timers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

std::int64_t fired = 0;

void set(uv_timer_t& timer, std::uint64_t number) {
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(bench::timers::delay(number));
    uv_timer_start(
        &timer, [](uv_timer_t*) { ++fired; }, static_cast<std::uint64_t>(delay.count()), 0);
}

}  // namespace

namespace problem = bench::timers;

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: timers_uv [--outstanding N] [--operations N] [--loops 1]");
    const std::uint64_t outstanding = args.number("--outstanding", problem::kOutstanding, 1, problem::kMost);
    const std::uint64_t operations = args.number("--operations", problem::kOperations, 1);
    args.number("--loops", 1, 1, 1);
    args.finish();
    uv_loop_t* const loop = uv_default_loop();
    std::deque<uv_timer_t> timers(outstanding);
    for (std::uint64_t number = 0; number < outstanding; ++number) {
        uv_timer_init(loop, &timers[number]);
        set(timers[number], number);
    }
    std::int64_t wrong = 0;
    const bench::Stopwatch watch;
    std::uint64_t oldest = 0;
    for (std::uint64_t number = 0; number < operations; ++number) {
        wrong += uv_is_active(reinterpret_cast<uv_handle_t*>(&timers[oldest])) != 0 ? 0 : 1;
        uv_timer_stop(&timers[oldest]);
        set(timers[oldest], outstanding + number);
        oldest = oldest + 1 == outstanding ? 0 : oldest + 1;
        if (number % problem::kBatch == 0) {
            uv_run(loop, UV_RUN_NOWAIT);
        }
    }
    return bench::print_report({"timers", 1, operations, wrong + fired, 0, watch.seconds()});
}
