// Threads that use the loops of runtimes which end meanwhile. A loop outlives its runtime, closed; nothing that a
// thread asks of it touches what has gone with the runtime, which the address sanitizer sees. KNIT_STRESS_MS: how long.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

#include "stress.hpp"

namespace knit::stress {
namespace {

Coro<> return_at_once() { co_return; }

/// The loops of the present runtime, or of the last one, and what is theirs.
struct Kept {
    unsigned number;
    std::array<Loop*, 2> loops;
    Future<> future;
    Task<> task;
};

class Shelf {
public:
    void put(Kept kept) {
        const std::lock_guard lock(mutex_);
        kept_ = std::move(kept);
    }
    std::optional<Kept> get() {
        const std::lock_guard lock(mutex_);
        return kept_;
    }

private:
    std::mutex mutex_;
    std::optional<Kept> kept_;
};

constexpr unsigned kAsksMax = 5000;  // of one runtime: it must come to an end before its inbox is full
constexpr unsigned kAsksUntilClose = 1000;

using Ask = void (*)(Loop&, Kept&);
const Ask kAsks[] = {
    [](Loop& loop, Kept&) { static_cast<void>(run_coroutine_threadsafe(return_at_once(), loop)); },
    [](Loop& loop, Kept&) { static_cast<void>(loop.call_soon_threadsafe([] {})); },
    [](Loop&, Kept& kept) { kept.future.add_done_callback([] {}); },
    [](Loop& loop, Kept&) { static_cast<void>(loop.is_running()); },
    [](Loop& loop, Kept&) { static_cast<void>(loop.time()); },
    [](Loop& loop, Kept&) { loop.set_exception_handler_threadsafe({}); },
    [](Loop& loop, Kept&) { static_cast<void>(loop.call_soon([] {})); },
    [](Loop& loop, Kept&) { loop.stop(); },
    [](Loop& loop, Kept&) { static_cast<void>(loop.run_in_executor(nullptr, [] {})); },
    [](Loop&, Kept& kept) { static_cast<void>(to_string(kept.task)); },
};

void ask_on_and_on(Ask ask, Shelf& shelf, const std::atomic<bool>& is_over, std::atomic<unsigned>& asks) {
    unsigned last = 0;
    while (!is_over) {
        std::optional<Kept> kept = shelf.get();
        if (!kept || std::exchange(last, kept->number) == kept->number) {
            std::this_thread::yield();
            continue;
        }
        for (unsigned count = 0; count < kAsksMax; ++count) {
            ++asks;
            try {
                ask(*kept->loops[count % 2], *kept);
            } catch (const RuntimeError&) {
                // "Event loop is closed", "Non-thread-safe operation"
                count += kept->loops[0]->is_closed() ? kAsksMax / 100 : 0;
            }
        }
    }
}

class ClosedLoopStress : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Asks, ClosedLoopStress, testing::Range<std::size_t>(0, std::size(kAsks)));

TEST_P(ClosedLoopStress, WhatAThreadAsksOfALoopTouchesNothingOfARuntimeThatHasGone) {
    Shelf shelf;
    std::atomic<bool> is_over = false;
    std::atomic<unsigned> asks = 0;
    std::vector<std::thread> threads;
    for (unsigned count = 0; count < 4; ++count) {  // more than there are processors: some stop in the middle
        threads.emplace_back([&] { ask_on_and_on(kAsks[GetParam()], shelf, is_over, asks); });
    }
    const Clock::time_point end = end_of_test();
    unsigned made = 0;
    do {
        RunOptions options;
        options.loops = 2;
        Runtime runtime(options);
        Loop& first = runtime.loop(0);
        Future<> future = first.create_future();
        future.set_result();  // one that is never settled would keep its callbacks, and they it
        Task<> task = first.create_task(return_at_once());
        asks = 0;
        shelf.put({++made, {&first, &runtime.loop(1)}, std::move(future), std::move(task)});
        while (asks < kAsksUntilClose) {
            std::this_thread::yield();  // until some threads are in the midst of it
        }
        runtime.close();
    } while (Clock::now() < end);
    is_over = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_GT(made, 0U);
}

}  // namespace
}  // namespace knit::stress
