// What a coroutine costs: awaited inline, as a task of this loop, spawned and joined.
#include "micro/batch.hpp"

namespace {

[[gnu::noinline]] knit::Coro<std::int64_t> one() { co_return 1; }

knit::Coro<> await_inline(std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += co_await one();
    }
    benchmark::DoNotOptimize(sum);
}

knit::Coro<> create_and_await(std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += co_await knit::create_task(one());
    }
    benchmark::DoNotOptimize(sum);
}

knit::Coro<> spawn_and_await(std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += co_await knit::spawn(one());
    }
    benchmark::DoNotOptimize(sum);
}

knit::Coro<> spawn_and_gather(std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; i += 2) {
        const auto [left, right] = co_await knit::gather(knit::spawn(one()), knit::spawn(one()));
        sum += left + right;
    }
    benchmark::DoNotOptimize(sum);
}

void inline_await(benchmark::State& state) { bench::run_batches(state, 1, await_inline); }
void create_task_await(benchmark::State& state) { bench::run_batches(state, 1, create_and_await); }
void spawn_await(benchmark::State& state) { bench::run_batches(state, 1, spawn_and_await); }
void spawn_gather(benchmark::State& state) { bench::run_batches(state, 1, spawn_and_gather); }

}  // namespace

BENCHMARK(inline_await)->UseRealTime();
BENCHMARK(create_task_await)->UseRealTime();
BENCHMARK(spawn_await)->UseRealTime();
BENCHMARK(spawn_gather)->UseRealTime();
