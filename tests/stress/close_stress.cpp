// Threads that give work to a runtime while it closes. What must hold: what was accepted ends. KNIT_STRESS_MS: how
// long.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

knit::Coro<> return_at_once() { co_return; }

TEST(CoreStressEnd, ATaskThatSubmitAcceptedEndsHoweverItRacesWithClose) {
    const Clock::time_point end = Clock::now() + test_time();
    unsigned accepted = 0;
    unsigned lost = 0;
    do {
        knit::RunOptions options;
        options.loops = 2;
        knit::Runtime runtime(options);
        std::thread submitter([&] {
            try {
                for (;;) {
                    knit::Task<> task = accepted++ % 2 == 0
                                            ? runtime.submit(return_at_once())
                                            : knit::run_coroutine_threadsafe(return_at_once(), runtime.loop(1));
                    lost += task.wait_for(20s) && task.done() ? 0 : 1;
                }
            } catch (const knit::RuntimeError&) {
                // "Event loop is closed"
            }
        });
        std::this_thread::yield();
        runtime.close();
        submitter.join();
    } while (Clock::now() < end && lost == 0);
    EXPECT_EQ(lost, 0U);
    EXPECT_GT(accepted, 0U);
}

}  // namespace
