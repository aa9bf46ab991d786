// The real deque under the explorer: an owner, thieves, and a loop that goes to sleep.

#include <array>
#include <optional>
#include <string_view>

#include "explored_test.hpp"
#include "knit/detail/deque.hpp"

namespace knit::detail {

void heavy_fence() noexcept { model::heavy_fence(); }

void assert_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    std::abort();
}

namespace {

constexpr std::size_t kItems = Deque::kFirstCapacity + 8;

struct Item : Work {
    Atomic<int> content{0};  // stands for what the maker writes into a task
    int taken = 0;
};

/// A deque and what is put into it.
struct Scene {
    explicit Scene(model::Run& whose) : run(whose), deque(true) {}

    void push() {
        Item& item = items[pushed++];
        item.content.store(1, std::memory_order_relaxed);
        deque.push(item);
    }
    void take(Work* work) {
        if (work != nullptr) {
            auto& item = static_cast<Item&>(*work);
            run.expect(item.content.load(std::memory_order_relaxed) == 1, "an item was taken before it was written");
            run.expect(++item.taken == 1, "an item was taken twice");
        }
    }
    void steal() { take(deque.steal()); }
    /// '+' push, '-' pop, 'b' take the newest back, 'o' take the oldest, 'u' and 'f' unfenced and fenced mode.
    void own(std::string_view script) {
        for (const char what : script) {
            switch (what) {
                case '+': push(); break;
                case '-': take(deque.pop()); break;
                case 'b':
                    if (Item& newest = items[pushed - 1]; deque.take_back(newest)) {
                        take(&newest);
                    }
                    break;
                case 'o': take(deque.take_oldest()); break;
                case 'u': deque.begin_unfenced(); break;
                default: deque.quiesce(); break;
            }
        }
    }
    void check_all_taken() {
        while (Work* work = deque.pop()) {
            take(work);
        }
        for (std::size_t index = 0; index < pushed; ++index) {
            run.expect(items[index].taken == 1, "an item was lost");
        }
    }

    model::Run& run;
    Deque deque;
    std::array<Item, kItems> items;
    std::size_t pushed = 0;
};

/// `before` is done when nobody looks; then the owner runs `script`, and each thief steals so often.
testing::AssertionResult holds(std::string_view before, std::string_view script, std::array<int, 2> steals,
                               const model::Bounds& bounds) {
    return model::holds(bounds, [&](model::Run& run) {
        Scene scene(run);
        scene.own(before);
        run.thread([&] { scene.own(script); });
        for (const int count : steals) {
            if (count > 0) {
                run.thread([&scene, count] {
                    for (int times = 0; times < count; ++times) {
                        scene.steal();
                    }
                });
            }
        }
        run.begin();
        run.join();
        run.end();
        scene.check_all_taken();
    });
}

constexpr model::Bounds kTwoThreads{.preemptions = 3, .old_values = 2};
constexpr model::Bounds kThreeThreads{.preemptions = 2, .old_values = 1};

TEST(DequeExplored, OwnerAndThiefNeverBothKeepTheLastItem) {
    for (const std::string_view script : {"-", "+-", "--", "b", "o-", "+b-", "-+"}) {
        EXPECT_TRUE(holds("+", script, {2, 0}, kTwoThreads)) << script;
        EXPECT_TRUE(holds("++u", script, {2, 0}, kTwoThreads)) << script;
    }
}

TEST(DequeExplored, WhatAThiefFindsHasBeenWritten) {
    for (const std::string_view script : {"++-", "++b", "+-+", "++--"}) {
        EXPECT_TRUE(holds("", script, {1, 0}, kTwoThreads)) << script;
        EXPECT_TRUE(holds("u", script, {1, 0}, kTwoThreads)) << script;
    }
}

TEST(DequeExplored, ThievesNeverKeepTheSameItem) {
    EXPECT_TRUE(holds("++", "-", {1, 1}, kThreeThreads));
    EXPECT_TRUE(holds("++u", "-", {1, 1}, kThreeThreads));
}

TEST(DequeExplored, TheModeMayChangeWhileAThiefLooks) {
    for (const std::string_view script : {"u-", "-f-", "u-f-"}) {
        EXPECT_TRUE(holds("++", script, {1, 0}, kTwoThreads)) << script;
    }
    EXPECT_TRUE(holds("++u", "-f-", {2, 0}, kTwoThreads));
}

TEST(DequeExplored, AThiefFindsItsItemInAnArrayThatGrows) {
    const std::string full(Deque::kFirstCapacity, '+');
    const std::string emptied = full + std::string(Deque::kFirstCapacity - 1, 'o');
    EXPECT_TRUE(holds(full, "+-", {1, 0}, {.preemptions = 1, .old_values = 1}));
    EXPECT_TRUE(holds(emptied, "++-", {2, 0}, {.preemptions = 2, .old_values = 1}));
}

/// The owner pushes, looks whether somebody sleeps, and rings if so; another says that it sleeps, looks, and waits for
/// the bell.
testing::AssertionResult wakes(std::string_view before, std::string_view script) {
    return model::holds({.preemptions = 3, .old_values = 2}, [&](model::Run& run) {
        Scene scene(run);
        scene.own(before);
        Atomic<int> sleeps{0};
        Atomic<int> bell{0};
        run.thread([&] {
            scene.own(script);
            if (sleeps.load(std::memory_order_seq_cst) != 0) {
                bell.store(1);
                bell.notify_one();
            }
        });
        run.thread([&] {
            sleeps.store(1, std::memory_order_relaxed);
            full_fence();
            if (scene.deque.is_unfenced()) {
                heavy_fence();
            }
            if (scene.deque.size_hint() == 0) {
                bell.wait(0);
            }
        });
        run.begin();
        run.join();
        run.end();
    });
}

TEST(DequeExplored, WhoGoesToSleepSeesTheItemOrIsSeen) {
    EXPECT_TRUE(wakes("", "+"));
    EXPECT_TRUE(wakes("u", "+"));
    EXPECT_TRUE(wakes("", "u+"));
    EXPECT_TRUE(wakes("u", "f+"));
    // The push that begins the unfenced mode by itself.
    std::string before;
    for (unsigned count = 1; count < Deque::kPushesUntilUnfenced; ++count) {
        before += "+-";
    }
    EXPECT_TRUE(wakes(before, "+"));
}

}  // namespace
}  // namespace knit::detail
