// What a turn of the loop costs: switching between tasks, callbacks, timers.
#include <chrono>
#include <vector>

#include "micro/batch.hpp"

namespace {

knit::Coro<> yield_many(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        co_await knit::yield();
    }
}

/// Eight tasks that take turns, as a loop with something to do has.
knit::Coro<> yield_in_turn(std::int64_t count) {
    constexpr std::int64_t kTasks = 8;
    std::vector<knit::Task<>> tasks;
    for (std::int64_t i = 0; i < kTasks; ++i) {
        tasks.push_back(knit::create_task(yield_many(count / kTasks)));
    }
    co_await knit::gather(std::move(tasks));
}

knit::Coro<> call_soon_many(std::int64_t count) {
    constexpr std::int64_t kPerTurn = 64;
    knit::Loop& loop = knit::get_running_loop();
    std::int64_t called = 0;
    for (std::int64_t i = 0; i < count; i += kPerTurn) {
        for (std::int64_t j = 0; j < kPerTurn; ++j) {
            loop.call_soon([&called] { ++called; });
        }
        co_await knit::yield();
    }
    benchmark::DoNotOptimize(called);
}

/// Among 1,000 timers that stay, as those of idle connections do.
knit::Coro<> insert_and_cancel(std::int64_t count) {
    knit::Loop& loop = knit::get_running_loop();
    std::vector<knit::Handle> others;
    for (int i = 0; i < 1000; ++i) {
        others.push_back(loop.call_later(std::chrono::seconds(1000 + i), [] {}));
    }
    for (std::int64_t i = 0; i < count; ++i) {
        knit::Handle handle = loop.call_later(std::chrono::seconds(10 + i % 3000), [] {});
        handle.cancel();
    }
    for (knit::Handle& other : others) {
        other.cancel();
    }
    co_return;
}

void yield_one_task(benchmark::State& state) { bench::run_batches(state, 1, yield_many); }
void yield_eight_tasks(benchmark::State& state) { bench::run_batches(state, 1, yield_in_turn); }
void call_soon(benchmark::State& state) { bench::run_batches(state, 1, call_soon_many); }
void timer_insert_cancel(benchmark::State& state) { bench::run_batches(state, 1, insert_and_cancel); }

}  // namespace

BENCHMARK(yield_one_task)->UseRealTime();
BENCHMARK(yield_eight_tasks)->UseRealTime();
BENCHMARK(call_soon)->UseRealTime();
BENCHMARK(timer_insert_cancel)->UseRealTime();
