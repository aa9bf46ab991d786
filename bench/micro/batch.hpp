/// What the micro-benchmarks share. Each measures one mechanism on its own: a regression alarm, not a comparison.
#pragma once

#include <benchmark/benchmark.h>
#include <knit/knit.hpp>

#include <cstdint>

namespace bench {

inline constexpr std::int64_t kBatch = 100'000;

/// Runs `make(count)`, a coroutine that does `count` items, once for each iteration, on a runtime that is made once.
/// Start and end of a run are spread over the whole batch. The counter `per_item` is what to read.
template <class Make>
void run_batches(benchmark::State& state, unsigned loops, Make make, std::int64_t count = kBatch) {
    knit::Runtime runtime({.loops = loops});
    for ([[maybe_unused]] auto iteration : state) {
        runtime.run_until_complete(make(count));
    }
    state.SetItemsProcessed(state.iterations() * count);
    state.counters["per_item"] = benchmark::Counter(
        static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

}  // namespace bench
