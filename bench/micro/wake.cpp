// What it costs to reach another loop: the way there and back of a task that moves, and of a result.
#include "micro/batch.hpp"

namespace {

constexpr std::int64_t kTrips = 1'000;

/// One item is one move, each to a loop that has nothing else to do: spinning or asleep, as it happens.
knit::Coro<> move_between(std::int64_t count) {
    knit::Runtime& runtime = knit::get_runtime();
    for (std::int64_t i = 0; i < count; i += 2) {
        co_await knit::resume_on(runtime.loop(1));
        co_await knit::resume_on(runtime.loop(0));
    }
}

knit::Coro<std::int64_t> one() { co_return 1; }

/// One item is a task made on another loop and its result awaited here.
knit::Coro<> create_there(std::int64_t count) {
    knit::TaskOptions options;
    options.loop = &knit::get_runtime().loop(1);
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        knit::Task<std::int64_t> task = knit::create_task(one(), options);
        sum += co_await task;
    }
    benchmark::DoNotOptimize(sum);
}

void resume_on_other_loop(benchmark::State& state) { bench::run_batches(state, 2, move_between, kTrips); }
void create_task_on_other_loop(benchmark::State& state) { bench::run_batches(state, 2, create_there, kTrips); }

}  // namespace

BENCHMARK(resume_on_other_loop)->UseRealTime();
BENCHMARK(create_task_on_other_loop)->UseRealTime();
