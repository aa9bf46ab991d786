// What an item costs that goes through a queue: within one loop, and from one loop to another.
#include "micro/batch.hpp"

namespace {

knit::Coro<> nowait(std::int64_t count) {
    knit::Queue<std::int64_t> queue;
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        queue.put_nowait(i);
        sum += queue.get_nowait();
    }
    benchmark::DoNotOptimize(sum);
    co_return;
}

knit::Coro<> put_then_get(std::int64_t count) {
    knit::Queue<std::int64_t> queue;
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        co_await queue.put(i);
        sum += co_await queue.get();
    }
    benchmark::DoNotOptimize(sum);
}

knit::Coro<> produce(knit::Queue<std::int64_t>& queue, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        co_await queue.put(i);
    }
}

knit::Coro<std::int64_t> consume(knit::Queue<std::int64_t>& queue, std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += co_await queue.get();
    }
    co_return sum;
}

/// One producer on loop 0, one consumer on the runtime's last loop.
template <std::size_t maxsize>
knit::Coro<> one_to_one(std::int64_t count) {
    knit::Runtime& runtime = knit::get_runtime();
    knit::Queue<std::int64_t> queue(maxsize);
    knit::TaskOptions options;
    options.loop = &runtime.loop(runtime.size() - 1);
    knit::Task<std::int64_t> consumer = knit::create_task(consume(queue, count), options);
    co_await produce(queue, count);
    const std::int64_t sum = co_await consumer;
    if (sum != count * (count - 1) / 2) {
        throw knit::RuntimeError("an item was lost");
    }
}

constexpr std::int64_t kItems = 1'000'000;

void queue_nowait(benchmark::State& state) { bench::run_batches(state, 1, nowait); }
void queue_put_get(benchmark::State& state) { bench::run_batches(state, 1, put_then_get); }
void queue_one_loop_1024(benchmark::State& state) { bench::run_batches(state, 1, one_to_one<1024>); }
void queue_one_loop_1(benchmark::State& state) { bench::run_batches(state, 1, one_to_one<1>); }
void queue_two_loops(benchmark::State& state) { bench::run_batches(state, 2, one_to_one<0>, kItems); }
void queue_two_loops_1024(benchmark::State& state) { bench::run_batches(state, 2, one_to_one<1024>, kItems); }
void queue_two_loops_1(benchmark::State& state) { bench::run_batches(state, 2, one_to_one<1>, 10'000); }

}  // namespace

BENCHMARK(queue_nowait)->UseRealTime();
BENCHMARK(queue_put_get)->UseRealTime();
BENCHMARK(queue_one_loop_1024)->UseRealTime();
BENCHMARK(queue_one_loop_1)->UseRealTime();
BENCHMARK(queue_two_loops)->UseRealTime();
BENCHMARK(queue_two_loops_1024)->UseRealTime();
BENCHMARK(queue_two_loops_1)->UseRealTime();
