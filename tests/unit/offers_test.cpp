// Offered work: how it is left to other loops, and that what must not wait does not wait behind it, nor behind
// coroutines that run inline.
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "co_test.hpp"
#include "driver.hpp"
#include "fake_driver.hpp"
#include "runtime_core.hpp"

namespace knit::test {
namespace {

/// What the loops of a runtime tell each other and their drivers, by hand: on one loop that is simulated nobody else
/// would.
class OnItsWay {
public:
    OnItsWay() {
        worker().driver().count_submitted();
        worker().runtime().idle().begin_search();
    }
    OnItsWay(const OnItsWay&) = delete;
    OnItsWay& operator=(const OnItsWay&) = delete;
    ~OnItsWay() {
        static_cast<void>(worker().runtime().idle().end_search());
        worker().driver().count_ended();
    }

private:
    static detail::Worker& worker() { return *detail::Worker::current(); }
};

Coro<> set(bool& flag) {
    flag = true;
    co_return;
}

TEST(Offers, LongOfferedWorkIsLeftForAWhileToALoopOnItsWayWhereIOIsInFlight) {
    run([]() -> Coro<> {
        detail::UsualTime& usual = detail::Worker::current()->runtime().offered_time();
        bool has_run = false;
        const auto turns = []() -> Coro<> {
            for (int i = 0; i < 5; ++i) {
                co_await yield();
            }
        };
        {
            const OnItsWay thief;
            const Task<> small = spawn(set(has_run));
            co_await turns();
            EXPECT_TRUE(std::exchange(has_run, false)) << "nothing says that such work is long";
            while (usual.value() < 1ms) {
                usual.note(5ms);
            }
            const Task<> left = spawn(set(has_run));
            co_await turns();
            EXPECT_FALSE(has_run);
            testing::pass_time(199us);
            co_await turns();
            EXPECT_FALSE(has_run);
            testing::pass_time(1us);
            co_await turns();
            EXPECT_TRUE(std::exchange(has_run, false)) << "nobody has come";
            const Task<> next = spawn(set(has_run));
            co_await turns();
            EXPECT_TRUE(std::exchange(has_run, false)) << "nobody has come a moment ago";
            testing::pass_time(10ms);
            while (usual.value() < 1ms) {
                usual.note(5ms);
            }
            const Task<> again = spawn(set(has_run));
            co_await turns();
            EXPECT_FALSE(has_run);
            testing::pass_time(200us);
            co_await turns();
            EXPECT_TRUE(std::exchange(has_run, false));
        }
        const Task<> here = spawn(set(has_run));
        co_await turns();
        EXPECT_TRUE(has_run) << "nobody is on the way";
    }(), on_loops(1));
}

TEST(Offers, TheUsualTimeOfOfferedWorkFollowsWhatRuns) {
    detail::UsualTime usual;
    EXPECT_EQ(usual.value(), 0ns);
    usual.note(800us);
    EXPECT_EQ(usual.value(), 100us);
    usual.note(1h);  // counts as 10 ms
    EXPECT_EQ(usual.value(), 1'337'500ns);
    for (int i = 0; i < 200; ++i) {
        usual.note(1us);
    }
    EXPECT_LT(usual.value(), 2us);
}

/// An operation is in flight, as the driver counts it.
class Operation {
public:
    Operation() { worker().driver().count_submitted(); }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    ~Operation() { worker().driver().count_ended(); }

private:
    static detail::Worker& worker() { return *detail::Worker::current(); }
};

Coro<> take(Duration time) {
    testing::pass_time(time);
    co_return;
}

TEST(Offers, WhatTheDriverHasWaitsForOneLongTaskAndNotForMany) {
    run([]() -> Coro<> {
        const Operation operation;
        const std::uint64_t before = testing::poll_count();
        std::vector<Task<>> tasks;
        for (int i = 0; i < 20; ++i) {
            tasks.push_back(spawn(take(60us)));
        }
        co_await gather(std::move(tasks));
        EXPECT_GE(testing::poll_count() - before, 15U);
    }(), on_loops(1));
}

TEST(Offers, AMessageWaitsForOneTaskAndNotForMany) {
    run([]() -> Coro<> {
        int run_before = 0;
        int run_after = 0;
        bool has_come = false;
        Loop& loop = get_running_loop();
        const auto task = [&](bool sends) -> Coro<> {
            if (sends) {
                std::thread([&] { loop.call_soon_threadsafe([&] { has_come = true; }); }).join();
            }
            ++(has_come ? run_after : run_before);
            co_return;
        };
        std::vector<Task<>> tasks;
        for (int i = 0; i < 20; ++i) {
            tasks.push_back(spawn(task(i == 9)));
        }
        co_await gather(std::move(tasks));
        EXPECT_GT(run_before, 0);
        EXPECT_GE(run_after, 9) << "the newest are run first, so ten had run at most";
    }(), on_loops(1));
}

/// A tree whose leaves run `leaf`, inline for the most part.
template <class Leaf>
Coro<> tree(int depth, const Leaf& leaf) {
    if (depth == 0) {
        leaf();
        co_return;
    }
    co_await fork_join(tree(depth - 1, leaf), tree(depth - 1, leaf));
}

TEST(InlineChildren, KeepTheDriverWaitingForOneLongOneAndNotForMany) {
    run([]() -> Coro<> {
        const Operation operation;
        const std::uint64_t before = testing::poll_count();
        co_await tree(8, [] { testing::pass_time(1ms); });
        EXPECT_GE(testing::poll_count() - before, 150U) << "256 leaves, of which some 64 run before the first look";
    }(), on_loops(1));
}

TEST(InlineChildren, DoNotHoldUpAMessageForLong) {
    run([]() -> Coro<> {
        Loop& loop = get_running_loop();
        int leaves = 0;
        int after = 0;
        co_await tree(12, [&] {
            if (++leaves == 100) {
                std::thread([&] { loop.call_soon_threadsafe([&] { after = leaves; }); }).join();
            }
        });
        EXPECT_GE(after, 100);
        EXPECT_LE(after, 100 + 2 * 64);
    }(), on_loops(1));
}

TEST(InlineChildren, DoNotHoldUpWhatAThreadHasSubmitted) {
    Runtime runtime(on_loops(1));
    Task<> submitted;
    runtime.run_until_complete([](Runtime& runtime, Task<>& submitted) -> Coro<> {
        bool has_run = false;
        std::thread([&] { submitted = runtime.submit(set(has_run)); }).join();
        int before = 0;
        co_await tree(14, [&] { before += has_run ? 0 : 1; });
        EXPECT_LT(before, 1 << 13);
    }(runtime, submitted));
}

/// Forks none of which ends before the last has begun.
Coro<> chain(int length) {
    if (length > 0) {
        co_await fork_join(chain(0), chain(length - 1));
    }
}

TEST(InlineChildren, ThatAreDroppedByACancellationLeaveTheBudgetAsItIs) {
    run([]() -> Coro<> {
        bool is_over = false;
        int links = 0;
        const std::function<Coro<>()> link = [&]() -> Coro<> {
            testing::pass_time(1us);
            if (++links < 10'000 && !is_over) {
                static_cast<void>(spawn(link()));
            }
            co_return;
        };
        const auto cancelled_forks = [&]() -> Coro<> {
            static_cast<void>(spawn(link()));
            current_task()->cancel();
            co_await chain(100);
        };
        Runtime& runtime = get_runtime();
        Task<> dropped;
        std::thread([&] { dropped = runtime.submit(cancelled_forks()); }).join();
        co_await sleep(1ms);
        is_over = true;
        EXPECT_LT(links, 2000) << "a timer has waited for more than a budget of offered tasks";
        EXPECT_TRUE(dropped.cancelled());
        co_await sleep(1ms);  // the last link
    }(), on_loops(1));
}

}  // namespace
}  // namespace knit::test
