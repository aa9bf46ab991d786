// A cancellation meets fork_join(): whom it reaches, and how often.
#include <string>
#include <utility>
#include <vector>

#include "co_test.hpp"
#include "fake_driver.hpp"

namespace knit::test {
namespace {

/// Each inline child is preceded by a look at what else there is.
RunOptions with_budget_of_one() {
    RunOptions options = on_loops(1);
    options.budget = 1;
    return options;
}

Coro<> cancel_itself_after(const bool& flag) {
    while (!flag) {
        co_await yield();
    }
    current_task()->cancel();
}

/// Its clean-up takes a turn of the loop.
Coro<> sleep_till_cancelled(bool& has_begun, int& requests, bool& is_clean) {
    has_begun = true;
    try {
        co_await sleep(1h);
    } catch (const CancelledError&) {
        requests = current_task()->cancelling();
    }
    co_await yield();
    is_clean = true;
}

Coro<> nothing() { co_return; }

TEST(ForkJoinCancel, AChildThatIsAwayIsAskedOnceByOneRequest) {
    bool has_begun = false;
    int requests = 0;
    bool is_clean = false;
    const auto fork = [&]() -> Coro<> {
        co_await fork_join(cancel_itself_after(has_begun), sleep_till_cancelled(has_begun, requests, is_clean),
                           nothing());
    };
    run([&]() -> Coro<> {
        const Task<> task = create_task(fork());
        const Result<void> result = co_await as_result(task);
        EXPECT_TRUE(task.cancelled());
        EXPECT_EQ(1, task.cancelling());
    }(), with_budget_of_one());
    EXPECT_EQ(1, requests);
    EXPECT_TRUE(is_clean);
}

Coro<> say(std::string& log, char what) {
    log += what;
    co_return;
}

TEST(ForkJoinCancel, WhatATaskHasPausedBeforeNeverBeginsWhenItIsCancelledMeanwhile) {
    std::string log;
    const auto fork = [&]() -> Coro<> { co_await fork_join(say(log, 'a'), say(log, 'b')); };
    run([&]() -> Coro<> {
        Task<> task = create_task(fork());
        const Task<> canceller = create_task([&]() -> Coro<> {
            log += 'c';
            task.cancel();
            co_return;
        });
        const Result<void> result = co_await as_result(task);
        EXPECT_TRUE(task.cancelled());
        co_await canceller;
    }(), with_budget_of_one());
    EXPECT_EQ("c", log);
}

TEST(ForkJoinCancel, ATaskThatHasPausedGoesOnWhereItWas) {
    std::string log;
    const auto fork = [&]() -> Coro<> { co_await fork_join(say(log, 'a'), say(log, 'b')); };
    run([&]() -> Coro<> {
        const Task<> task = create_task(fork());
        const Task<> other = create_task(say(log, 'o'));
        co_await task;
        co_await other;
    }(), with_budget_of_one());
    EXPECT_EQ("oab", log);
}

Coro<> compute() {
    testing::pass_time(1ms);
    co_return;
}

TEST(ForkJoinCancel, AtTheEndOfTheRunTheTaskOfATreeMayCleanUp) {
    bool is_cancelled = false;
    bool is_clean = false;
    const auto tree = [&]() -> Coro<> {
        try {
            std::vector<Coro<>> leaves;
            for (int i = 0; i < 100; ++i) {
                leaves.push_back(compute());
            }
            co_await fork_join(std::move(leaves));
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        co_await sleep(1ms);
        is_clean = true;
    };
    run([&]() -> Coro<> {
        static_cast<void>(create_task(tree()));
        co_await sleep(1ms);
    }(), on_loops(1));
    EXPECT_TRUE(is_cancelled);
    EXPECT_TRUE(is_clean);
}

}  // namespace
}  // namespace knit::test
