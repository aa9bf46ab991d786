// What the synchronisation primitives cost when nobody waits, and what it costs to hand a lock on between two tasks of
// one loop.
#include "micro/batch.hpp"

namespace {

knit::Coro<> acquire_and_release(std::int64_t count) {
    knit::Lock lock;
    for (std::int64_t i = 0; i < count; ++i) {
        co_await lock.acquire();
        lock.release();
    }
    benchmark::DoNotOptimize(lock.locked());
}

knit::Coro<> scoped(std::int64_t count) {
    knit::Lock lock;
    for (std::int64_t i = 0; i < count; ++i) {
        const knit::Guard guard = co_await lock.scoped();
    }
    benchmark::DoNotOptimize(lock.locked());
}

knit::Coro<> semaphore(std::int64_t count) {
    knit::Semaphore limit(4);
    for (std::int64_t i = 0; i < count; ++i) {
        co_await limit.acquire();
        limit.release();
    }
    benchmark::DoNotOptimize(limit.locked());
}

knit::Coro<> event_that_is_set(std::int64_t count) {
    knit::Event event;
    event.set();
    for (std::int64_t i = 0; i < count; ++i) {
        co_await event.wait();
    }
    benchmark::DoNotOptimize(event.is_set());
}

knit::Coro<> take_turns(knit::Lock& lock, std::int64_t& sum, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        co_await lock.acquire();
        ++sum;
        co_await knit::yield();
        lock.release();
    }
}

// Each hand-over is a suspension, and the yield another one.
knit::Coro<> hand_over(std::int64_t count) {
    knit::Lock lock;
    std::int64_t sum = 0;
    auto one = knit::create_task(take_turns(lock, sum, count / 2));
    auto other = knit::create_task(take_turns(lock, sum, count / 2));
    co_await knit::gather(one, other);
    benchmark::DoNotOptimize(sum);
}

void lock_uncontended(benchmark::State& state) { bench::run_batches(state, 1, acquire_and_release); }
void lock_scoped(benchmark::State& state) { bench::run_batches(state, 1, scoped); }
void semaphore_uncontended(benchmark::State& state) { bench::run_batches(state, 1, semaphore); }
void event_set(benchmark::State& state) { bench::run_batches(state, 1, event_that_is_set); }
void lock_hand_over(benchmark::State& state) { bench::run_batches(state, 1, hand_over); }

}  // namespace

BENCHMARK(lock_uncontended)->UseRealTime();
BENCHMARK(lock_scoped)->UseRealTime();
BENCHMARK(semaphore_uncontended)->UseRealTime();
BENCHMARK(event_set)->UseRealTime();
BENCHMARK(lock_hand_over)->UseRealTime();
