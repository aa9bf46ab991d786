// What must not wait does not wait behind the coroutines that a task runs inline for fork_join().
#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "co_test.hpp"
#include "fake_driver.hpp"
#include "in_flight.hpp"

namespace knit::test {
namespace {

Coro<> yield_until(const bool& flag) {
    while (!flag) {
        co_await yield();
    }
}

Coro<> copy(const int& from, int& to) {
    to = from;
    co_return;
}

Coro<> set(bool& flag) {
    flag = true;
    co_return;
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

/// The most leaves that ran without a look at the driver.
class Gap {
public:
    void count_leaf() {
        const std::uint64_t before = std::exchange(polls_, testing::poll_count());
        leaves_ = polls_ == before ? leaves_ + 1 : 1;
        most_ = std::max(most_, leaves_);
    }
    int most() const { return most_; }

private:
    std::uint64_t polls_ = testing::poll_count();
    int leaves_ = 0;
    int most_ = 0;
};

TEST(InlineChildren, KeepTheDriverWaitingForAFewLongOnesAndNotForMany) {
    run([]() -> Coro<> {
        const OperationInFlight operation;
        Gap gap;
        co_await tree(8, [&] {
            testing::pass_time(1ms);
            gap.count_leaf();
        });
        EXPECT_LE(gap.most(), 8) << "the first ones, of which nothing is known";
        Gap later;
        co_await tree(8, [&] {
            testing::pass_time(1ms);
            later.count_leaf();
        });
        EXPECT_LE(later.most(), 8) << "some after the quick ones above them";
    }(), on_loops(1));
}

TEST(InlineChildren, OfSmallTreesKeepTheDriverWaitingForAFewLongOnesAndNotForMany) {
    run([]() -> Coro<> {
        const OperationInFlight operation;
        co_await tree(8, [] { testing::pass_time(1ms); });
        Gap gap;
        bool is_over = false;
        const Task<> other = create_task(yield_until(is_over));
        for (int i = 0; i < 20; ++i) {
            co_await create_task(tree(5, [&] {
                testing::pass_time(1ms);
                gap.count_leaf();
            }));
        }
        is_over = true;
        co_await other;
        EXPECT_LE(gap.most(), 8) << "some after the quick ones above them";
    }(), on_loops(1));
}

TEST(InlineChildren, OfSmallTreesBecomeKnownAlsoAfterManyQuickOnes) {
    run([]() -> Coro<> {
        const OperationInFlight operation;
        co_await tree(12, [] {});
        for (int i = 0; i < 20; ++i) {
            co_await create_task(tree(5, [] { testing::pass_time(1ms); }));
        }
        Gap gap;
        for (int i = 0; i < 20; ++i) {
            co_await create_task(tree(5, [&] {
                testing::pass_time(1ms);
                gap.count_leaf();
            }));
        }
        EXPECT_LE(gap.most(), 8);
    }(), on_loops(1));
}

TEST(InlineChildren, OfWhichLittleIsTimedDoNotCountTheLoopsSleep) {
    run([]() -> Coro<> {
        const OperationInFlight operation;
        co_await tree(12, [] {});
        const std::uint64_t before = testing::poll_count();
        for (int i = 0; i < 64; ++i) {
            co_await sleep(10ms);
            co_await tree(5, [] {});
        }
        EXPECT_LT(testing::poll_count() - before, 64U * 6) << "two a turn and one for each 64 of 62 children";
    }(), on_loops(1));
}

TEST(InlineChildren, DoNotHoldUpTheRestOfTheirBatch) {
    run([]() -> Coro<> {
        int leaves = 0;
        int before = 0;
        const auto leaf = [&] {
            testing::pass_time(1ms);
            ++leaves;
        };
        const Task<> trees = create_task(tree(9, leaf));
        const Task<> other = create_task(copy(leaves, before));
        co_await trees;
        EXPECT_TRUE(other.done());
        EXPECT_EQ(512, leaves);
        EXPECT_LE(before, 64);
    }(), on_loops(1));
}

TEST(InlineChildren, DoNotHoldUpATimerForLong) {
    run([]() -> Coro<> {
        Loop& loop = get_running_loop();
        const TimePoint start = loop.time();
        TimePoint end;
        loop.call_later(1ms, [&] { end = loop.time(); });
        co_await tree(9, [] { testing::pass_time(10ms); });
        EXPECT_GT(end, start);
        EXPECT_LE(end - start, 100ms) << "of 5 s that the tree takes";
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
    runtime.run_until_complete([](Task<>& sent) -> Coro<> {
        Runtime& here = get_runtime();
        bool has_run = false;
        std::thread([&] { sent = here.submit(set(has_run)); }).join();
        int before = 0;
        co_await tree(14, [&] { before += has_run ? 0 : 1; });
        EXPECT_LT(before, 1 << 13);
    }(submitted));
}

/// `count` children, one after another.
Coro<> fork_singly(int count, int& leaves) {
    const auto leaf = [](int& ran) -> Coro<> {
        ++ran;
        co_return;
    };
    for (int i = 0; i < count; ++i) {
        co_await fork_join(leaf(leaves));
    }
}

TEST(InlineChildren, OfSeveralTasksDoNotHoldUpWhatAThreadHasSubmitted) {
    for (int parity = 0; parity < 4; ++parity) {
        Runtime runtime(on_loops(1));
        Task<> submitted;
        runtime.run_until_complete([](Task<>& sent, int looks) -> Coro<> {
            Runtime& here = get_runtime();
            int leaves = 0;
            int before = 0;
            bool is_over = false;
            co_await fork_singly(looks * 64, leaves);
            const Task<> other = create_task(yield_until(is_over));
            std::vector<Task<>> tasks;
            tasks.push_back(create_task(fork_singly(50'000, leaves)));
            tasks.push_back(create_task(fork_singly(50'000, leaves)));
            for (int i = 0; i < 60; ++i) {
                co_await yield();
            }
            const int start = leaves;
            std::thread([&] { sent = here.submit(copy(leaves, before)); }).join();
            co_await gather(std::move(tasks));
            is_over = true;
            co_await other;
            EXPECT_GE(before, start) << looks;
            EXPECT_LT(before - start, 2048) << looks;
        }(submitted, parity));
    }
}

TEST(InlineChildren, DoNotHoldUpWhatHasBeenOfferedBeforeThem) {
    run([]() -> Coro<> {
        co_await tree(13, [] { testing::pass_time(1ms); });
        int leaves = 0;
        int before = 0;
        const Task<> offered = spawn(copy(leaves, before));
        co_await tree(13, [&] {
            testing::pass_time(1ms);
            ++leaves;
        });
        EXPECT_EQ(8192, leaves);
        EXPECT_GT(before, 0);
        EXPECT_LE(before, 100);
        co_await offered;
    }(), on_loops(1));
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

TEST(InlineChildren, DoNotHoldUpWhatASiblingHasOfferedAboveTheOthers) {
    run([]() -> Coro<> {
        const TimePoint start = get_running_loop().time();
        TimePoint end;
        const auto offered = [](TimePoint& when) -> Coro<> {
            when = get_running_loop().time();
            co_return;
        };
        const auto big = [&]() -> Coro<> {
            static_cast<void>(spawn(offered(end)));
            co_await tree(12, [] { testing::pass_time(1ms); });
        };
        const auto small = []() -> Coro<> { co_return; };
        std::vector<Coro<>> children;
        children.push_back(big());
        for (int i = 0; i < 60; ++i) {
            children.push_back(small());
        }
        co_await fork_join(std::move(children));
        EXPECT_GT(end, start);
        EXPECT_LT(end - start, 200ms) << "of 4 s; none of the others stays when it has begun";
    }(), on_loops(1));
}

TEST(InlineChildren, OfATreeThatIsTheFirstThingOfALoopBecomeFewTasks) {
    run([]() -> Coro<> {
        const std::uint64_t before = current_task()->id();
        co_await tree(16, [] { testing::pass_time(1us); });
        const Task<> after = create_task([]() -> Coro<> { co_return; }());
        EXPECT_LT(after.id() - before, 50U) << "of 65,536 leaves in 65 ms";
    }(), on_loops(1));
}

TEST(InlineChildren, OfWhichEachIsLongHoldUpWhatAThreadHasSubmittedForOneOrTwo) {
    RunOptions options = on_loops(1);
    options.budget = 1;
    Runtime runtime(options);
    Task<> submitted;
    runtime.run_until_complete([](Task<>& sent) -> Coro<> {
        Runtime& here = get_runtime();
        bool has_run = false;
        int before = 0;
        co_await tree(3, [] { testing::pass_time(20ms); });
        std::thread([&] { sent = here.submit(set(has_run)); }).join();
        co_await tree(6, [&] {
            testing::pass_time(20ms);
            before += has_run ? 0 : 1;
        });
        EXPECT_LE(before, 4);
    }(submitted));
}

}  // namespace
}  // namespace knit::test
