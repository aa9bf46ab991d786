#include "knit/detail/timers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

namespace {

using knit::TimePoint;
using knit::detail::kNever;
using knit::detail::Timer;
using knit::detail::Timers;

TimePoint at(std::int64_t ns) { return TimePoint(std::chrono::nanoseconds(ns)); }

TEST(Timers, NothingIsDueInAnEmptyHeap) {
    Timers timers;
    EXPECT_EQ(timers.next(), kNever);
    EXPECT_EQ(timers.pop_due(kNever), nullptr);
    EXPECT_EQ(timers.size(), 0U);
}

TEST(Timers, IsDueAtItsDeadlineAndNotBefore) {
    Timers timers;
    Timer timer;
    timers.insert(timer, at(10));
    EXPECT_TRUE(timer.is_in());
    EXPECT_EQ(timers.next(), at(10));
    EXPECT_EQ(timers.pop_due(at(9)), nullptr);
    EXPECT_EQ(timers.pop_due(at(10)), &timer);
    EXPECT_FALSE(timer.is_in());
    EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, ALoopSleepsUntilTheFirstIsDueAndForACrowdUntilTheLastOfItIs) {
    constexpr std::chrono::nanoseconds kSlack(50);
    Timers timers;
    EXPECT_EQ(timers.wake_time(kSlack), kNever);
    std::vector<Timer> group(6);
    timers.insert(group[0], at(1000));
    EXPECT_EQ(timers.wake_time(kSlack), at(1000));
    for (std::size_t i = 1; i < 5; ++i) {
        timers.insert(group[i], at(1051 + static_cast<std::int64_t>(i)));
        EXPECT_EQ(timers.wake_time(kSlack), at(1000)) << i;
    }
    timers.insert(group[5], at(1050));
    EXPECT_EQ(timers.wake_time(kSlack), at(1050));
    timers.remove(group[0]);
    EXPECT_EQ(timers.wake_time(kSlack), at(1055)) << "1050 is the first then";
}

TEST(Timers, ThoseThatAreDueTogetherAreNotPutOff) {
    Timers timers;
    std::vector<Timer> group(100);
    for (Timer& timer : group) {
        timers.insert(timer, at(1000));
        EXPECT_EQ(timers.wake_time(std::chrono::nanoseconds(50)), at(1000));
    }
}

TEST(Timers, OfACrowdMoreAreTakenTogetherThanAreLookedAt) {
    Timers timers;
    std::vector<Timer> group(100);
    for (std::size_t i = 0; i < group.size(); ++i) {
        timers.insert(group[i], at(1000 + static_cast<std::int64_t>(i)));
    }
    EXPECT_EQ(timers.wake_time(std::chrono::nanoseconds(50)), at(1050));
}

TEST(Timers, EqualDeadlinesComeInTheOrderOfInsertion) {
    Timers timers;
    std::vector<Timer> group(50);
    Timer early;
    Timer late;
    timers.insert(late, at(3));
    for (Timer& timer : group) {
        timers.insert(timer, at(2));
    }
    timers.insert(early, at(1));
    EXPECT_EQ(timers.pop_due(at(3)), &early);
    for (Timer& timer : group) {
        ASSERT_EQ(timers.pop_due(at(3)), &timer);
    }
    EXPECT_EQ(timers.pop_due(at(3)), &late);
}

TEST(Timers, TimerInsertedAgainQueuesBehindItsEquals) {
    Timers timers;
    Timer one;
    Timer two;
    timers.insert(one, at(5));
    timers.insert(two, at(5));
    EXPECT_TRUE(timers.remove(one));
    timers.insert(one, at(5));
    EXPECT_EQ(timers.pop_due(at(5)), &two);
    EXPECT_EQ(timers.pop_due(at(5)), &one);
}

TEST(Timers, RemoveSaysWhetherTheTimerWasIn) {
    Timers timers;
    Timer timer;
    EXPECT_FALSE(timers.remove(timer));
    timers.insert(timer, at(1));
    EXPECT_TRUE(timers.remove(timer));
    EXPECT_FALSE(timers.remove(timer));
    timers.insert(timer, at(1));
    EXPECT_EQ(timers.pop_due(at(1)), &timer);
    EXPECT_FALSE(timers.remove(timer));
    EXPECT_EQ(timers.size(), 0U);
}

TEST(Timers, TakesTheEndsOfTheClock) {
    Timers timers;
    Timer first;
    Timer last;
    timers.insert(last, kNever);
    timers.insert(first, TimePoint::min());
    EXPECT_EQ(timers.next(), TimePoint::min());
    EXPECT_EQ(timers.pop_due(TimePoint::min()), &first);
    EXPECT_EQ(timers.pop_due(at(0)), nullptr);
    EXPECT_EQ(timers.next(), kNever);
    EXPECT_TRUE(timers.remove(last));
}

// Against a list that is searched: few deadlines, so that many are equal, and removals from any place.
TEST(Timers, BehavesLikeASortedListUnderAnyMixOfOperations) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        Timers timers;
        std::vector<Timer> pool(100);
        struct Expected {
            Timer* timer;
            TimePoint deadline;
        };
        std::vector<Expected> expected;  // in the order of insertion
        for (int step = 0; step < 2000; ++step) {
            Timer& timer = pool[random() % pool.size()];
            const auto found = std::ranges::find(expected, &timer, &Expected::timer);
            ASSERT_EQ(timer.is_in(), found != expected.end());
            if (!timer.is_in()) {
                const TimePoint deadline = at(static_cast<std::int64_t>(random() % 16));
                timers.insert(timer, deadline);
                expected.push_back({&timer, deadline});
            } else if (random() % 2 == 0) {
                ASSERT_TRUE(timers.remove(timer));
                expected.erase(found);
            } else {
                const auto least = std::ranges::min_element(expected, {}, &Expected::deadline);
                ASSERT_EQ(timers.next(), least->deadline);
                ASSERT_EQ(timers.pop_due(at(16)), least->timer);
                expected.erase(least);
            }
            ASSERT_EQ(timers.size(), expected.size());
        }
    }
}

}  // namespace
