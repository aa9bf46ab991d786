// Offered work: how it is left to other loops, and that what must not wait does not wait behind it.
#include <thread>
#include <utility>
#include <vector>

#include "co_test.hpp"
#include "fake_driver.hpp"
#include "in_flight.hpp"
#include "runtime_core.hpp"

namespace knit::test {
namespace {

detail::Worker& worker() { return *detail::Worker::current(); }

/// Another loop is on its way to this one's work, by hand: on one loop that is simulated nobody else would say so.
class OnItsWay {
public:
    OnItsWay() { worker().runtime().idle().begin_search(); }
    OnItsWay(const OnItsWay&) = delete;
    OnItsWay& operator=(const OnItsWay&) = delete;
    ~OnItsWay() { static_cast<void>(worker().runtime().idle().end_search()); }

private:
    const OperationInFlight operation_;
};

Coro<> set(bool& flag) {
    flag = true;
    co_return;
}

TEST(Offers, LongOfferedWorkIsLeftForAWhileToALoopOnItsWayWhereIOIsInFlight) {
    run([]() -> Coro<> {
        detail::UsualTime& usual = worker().runtime().offered_time();
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

Coro<> take(Duration time) {
    testing::pass_time(time);
    co_return;
}

TEST(Offers, WhatTheDriverHasWaitsForOneLongTaskAndNotForMany) {
    run([]() -> Coro<> {
        const OperationInFlight operation;
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

TEST(Offers, LongOfferedWorkIsLeftAgainWhenSomebodyHasComeForSome) {
    run([]() -> Coro<> {
        detail::UsualTime& usual = worker().runtime().offered_time();
        while (usual.value() < 1ms) {
            usual.note(5ms);
        }
        const OnItsWay thief;
        bool has_run = false;
        const Task<> taken = spawn(set(has_run));
        const Task<> left = spawn(set(has_run));
        co_await yield();
        testing::pass_time(150us);
        detail::Work* const work = worker().steal();
        EXPECT_NE(work, nullptr);
        co_await yield();
        testing::pass_time(150us);
        co_await yield();
        EXPECT_FALSE(has_run);
        testing::pass_time(50us);
        co_await yield();
        co_await yield();
        EXPECT_TRUE(std::exchange(has_run, false)) << "nobody else has come";
        worker().offer(*work);
        co_await taken;
    }(), on_loops(1));
}

TEST(Offers, ATimerWaitsForOneLongTaskAndNotForMany) {
    for (const int way : {0, 1, 2, 3}) {
        RunOptions options = on_loops(1);
        options.debug = way % 2 != 0;
        run([](bool arms_before) -> Coro<> {
            int run_before = 0;
            bool is_due = false;
            const auto arm = [&] { get_running_loop().call_later(1ms, [&] { is_due = true; }); };
            bool is_armed = arms_before;
            if (arms_before) {
                arm();
            }
            std::vector<Task<>> tasks;
            const auto task = [&]() -> Coro<> {
                if (!std::exchange(is_armed, true)) {
                    arm();
                }
                testing::pass_time(10ms);
                run_before += is_due ? 0 : 1;
                co_return;
            };
            for (int i = 0; i < 50; ++i) {
                tasks.push_back(spawn(task()));
            }
            co_await gather(std::move(tasks));
            EXPECT_LE(run_before, 2);
        }(way < 2), options);
    }
}

/// From a thread that is no loop.
void submit_from_outside(Runtime& runtime, std::vector<Task<>>& tasks, int& count) {
    std::thread([&] {
        for (int i = 0; i < 3; ++i) {
            tasks.push_back(runtime.submit([](int& ran) -> Coro<> {
                ++ran;
                co_return;
            }(count)));
        }
    }).join();
}

TEST(Offers, SubmittedTasksWaitForOneStepHoweverLong) {
    run([]() -> Coro<> {
        std::vector<Task<>> tasks;
        int count = 0;
        submit_from_outside(get_runtime(), tasks, count);
        int steps = 0;
        while (count < 3 && steps < 4000) {
            testing::pass_time(1ms);
            ++steps;
            co_await yield();
        }
        EXPECT_EQ(3, count);
        EXPECT_LE(steps, 2);
    }(), on_loops(1));
}

Coro<> long_link(int& links, const bool& is_over) {
    testing::pass_time(10ms);
    ++links;
    if (!is_over && links < 4000) {
        static_cast<void>(spawn(long_link(links, is_over)));
    }
    co_return;
}

TEST(Offers, TheOldestDoesNotWaitForAThousandLongOnesWhereNothingElseWaits) {
    run([]() -> Coro<> {
        bool is_over = false;
        int links = 0;
        const Task<> oldest = spawn(set(is_over));
        static_cast<void>(spawn(long_link(links, is_over)));
        co_await oldest;
        EXPECT_LE(links, 200) << "two looks at the ring: one that begins to count, one when its time has come";
    }(), on_loops(1));
}

}  // namespace
}  // namespace knit::test
