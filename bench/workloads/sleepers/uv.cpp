// sleepers on libuv: a timer each; it has no tasks.
#include <uv.h>

#include <vector>

#include "workloads/sleepers/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace problem = bench::sleepers;

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: sleepers_uv [--tasks N] [--ms N (shortest delay, the longest is twice it)] [--loops 1]");
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 10'000'000);
    const std::chrono::milliseconds shortest(args.number("--ms", problem::kMilliseconds, 1, 60'000));
    args.number("--loops", 1, 1, 1);
    args.finish();
    uv_loop_t* const loop = uv_default_loop();
    std::int64_t woken = 0;
    loop->data = &woken;
    const bench::Stopwatch watch;
    std::vector<uv_timer_t> timers(tasks);
    uv_update_time(loop);
    for (std::uint64_t i = 0; i < tasks; ++i) {
        const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(problem::delay(i, tasks, shortest));
        uv_timer_init(loop, &timers[i]);
        uv_timer_start(
            &timers[i], [](uv_timer_t* timer) { ++*static_cast<std::int64_t*>(timer->loop->data); },
            static_cast<std::uint64_t>(delay.count()), 0);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    return bench::print_report({"sleepers", 1, tasks, woken, static_cast<std::int64_t>(tasks), watch.seconds()});
}
