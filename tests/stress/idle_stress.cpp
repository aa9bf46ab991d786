// Loops that fall asleep and are woken, for work and by their own timers, as often as can be. What must hold: nothing
// is lost, and the count of sleepers and searchers never drifts (knit asserts that). KNIT_STRESS_MS: how long each test
// runs; KNIT_STRESS_SEED: a seed that was printed.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Clock::time_point end_of_test() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return Clock::now() + std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

unsigned test_seed() {
    const char* const text = std::getenv("KNIT_STRESS_SEED");
    const auto seed = text != nullptr ? static_cast<unsigned>(std::stoul(text))
                                      : static_cast<unsigned>(Clock::now().time_since_epoch().count());
    std::cout << "seed " << seed << '\n';
    return seed;
}

knit::Coro<int> count_to(int limit) {
    int counted = 0;
    for (int number = 0; number < limit; ++number) {
        counted += 1;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    co_return counted;
}

/// Sleeps for less than a loop does, then makes work that wakes another one.
knit::Coro<> sleep_and_spawn(unsigned seed, Clock::time_point end) {
    while (Clock::now() < end) {
        seed = seed * 1664525U + 1013904223U;
        co_await knit::sleep(std::chrono::microseconds(20 + (seed >> 16) % 200));
        auto shorter = knit::spawn(count_to(1000));
        auto longer = knit::spawn(count_to(2000));
        EXPECT_EQ(co_await shorter, 1000);
        EXPECT_EQ(co_await longer, 2000);
    }
}

knit::Coro<> one_on_every_loop(unsigned seed, Clock::time_point end) {
    knit::Runtime& runtime = knit::get_runtime();
    std::vector<knit::Task<>> tasks;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        tasks.push_back(knit::create_task(sleep_and_spawn(seed + static_cast<unsigned>(index), end),
                                          {.loop = &runtime.loop(index)}));
    }
    co_await knit::gather(std::move(tasks));
}

struct Mode {
    unsigned loops;
    knit::Duration spin;
};

class IdleStress : public testing::TestWithParam<Mode> {};

TEST_P(IdleStress, WakesForWorkAndByTimersTogether) {
    knit::RunOptions options;
    options.loops = GetParam().loops;
    options.spin = GetParam().spin;
    knit::run(one_on_every_loop(test_seed(), end_of_test()), options);
}

INSTANTIATE_TEST_SUITE_P(Loops, IdleStress,
                         testing::Values(Mode{2, 20us}, Mode{8, 20us}, Mode{2, 0us}, Mode{8, 0us}),
                         [](const testing::TestParamInfo<Mode>& mode) {
                             return "loops" + std::to_string(mode.param.loops) +
                                    (mode.param.spin > knit::Duration::zero() ? "spinning" : "");
                         });

TEST(IdleStressSubmit, EverySubmittedTaskFindsALoopWhileLoop0DoesNotRun) {
    knit::RunOptions options;
    options.loops = 3;
    knit::Runtime runtime(options);
    const Clock::time_point end = end_of_test();
    unsigned lost = 0;
    unsigned submitted = 0;
    // Each wait leaves all loops asleep again, so each submit has to wake one.
    do {
        auto task = runtime.submit(count_to(10));
        lost += task.wait_for(20s) ? 0 : 1;
        ++submitted;
    } while (Clock::now() < end && lost == 0);
    EXPECT_EQ(lost, 0U) << "of " << submitted;
}

void work_for(std::chrono::milliseconds time) {
    const Clock::time_point end = Clock::now() + time;
    while (Clock::now() < end) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
}

/// Asked to end, it cleans up on whichever loop is free, and ends there without another await.
knit::Coro<> clean_up_elsewhere() {
    try {
        co_await knit::sleep(1h);
    } catch (const knit::CancelledError&) {
        // The clean-up follows: there can be no await in a handler.
    }
    work_for(3ms);
    co_await knit::reschedule();
    work_for(5ms);
}

knit::Coro<> leave_two_behind() {
    static_cast<void>(knit::create_task(clean_up_elsewhere()));
    static_cast<void>(knit::create_task(clean_up_elsewhere()));
    co_await knit::sleep(2ms);
}

TEST(IdleStressEnd, RunEndsWhenTheLastTaskEndsOnALoopThatHadNothingLeft) {
    const Clock::time_point end = end_of_test();
    unsigned runs = 0;
    do {
        knit::RunOptions options;
        options.loops = 2;
        knit::run(leave_two_behind(), options);
        ++runs;
    } while (Clock::now() < end);
    EXPECT_GT(runs, 0U);
}

knit::Coro<> set(bool& flag) {
    flag = true;
    co_return;
}

/// There is always a newer one, which is run first.
TEST(IdleStressOffer, TheOldestOfferedTaskIsNotStarvedByNewerOnes) {
    bool has_run = false;
    bool was_in_time = false;
    const auto body = [&]() -> knit::Coro<> {
        static_cast<void>(knit::spawn(set(has_run)));
        const Clock::time_point limit = Clock::now() + 5s;
        while (!has_run && Clock::now() < limit) {
            EXPECT_EQ(co_await knit::spawn(count_to(10)), 10);
        }
        was_in_time = has_run;
    };
    knit::RunOptions options;
    options.loops = 1;
    knit::run(body(), options);
    EXPECT_TRUE(was_in_time);
}

}  // namespace
