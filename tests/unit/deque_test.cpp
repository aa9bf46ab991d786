#include "knit/detail/deque.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "platform.hpp"

namespace {

using knit::detail::Deque;
using knit::detail::Work;

void push_all(Deque& deque, std::vector<Work>& works) {
    for (Work& work : works) {
        deque.push(work);
    }
}

TEST(Deque, OwnerPopsTheNewestFirst) {
    Deque deque;
    std::vector<Work> works(3);
    push_all(deque, works);
    EXPECT_EQ(deque.pop(), &works[2]);
    EXPECT_EQ(deque.pop(), &works[1]);
    EXPECT_EQ(deque.pop(), &works[0]);
}

TEST(Deque, PopOfAnEmptyDequeGivesNullAndLeavesItUsable) {
    Deque deque;
    Work work;
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(deque.pop(), nullptr);
        EXPECT_EQ(deque.take_oldest(), nullptr);
        EXPECT_EQ(deque.steal(), nullptr);
        EXPECT_EQ(deque.size_hint(), 0U);
        deque.push(work);
        EXPECT_EQ(deque.size_hint(), 1U);
        EXPECT_EQ(deque.pop(), &work);
    }
}

TEST(Deque, ThiefTakesTheOldest) {
    Deque deque;
    std::vector<Work> works(3);
    push_all(deque, works);
    EXPECT_EQ(deque.steal(), &works[0]);
    EXPECT_EQ(deque.steal(), &works[1]);
    EXPECT_EQ(deque.pop(), &works[2]);
    bool lost = true;
    EXPECT_EQ(deque.steal(&lost), nullptr);
    EXPECT_FALSE(lost);
}

TEST(Deque, OwnerMayTakeTheOldestToo) {
    Deque deque;
    std::vector<Work> works(3);
    push_all(deque, works);
    EXPECT_EQ(deque.take_oldest(), &works[0]);
    EXPECT_EQ(deque.pop(), &works[2]);
    EXPECT_EQ(deque.take_oldest(), &works[1]);
    EXPECT_EQ(deque.take_oldest(), nullptr);
    EXPECT_EQ(deque.pop(), nullptr);
}

TEST(Deque, TakesBackTheNewestAndNothingElse) {
    for (const bool is_unfenced : {false, true}) {
        Deque deque(is_unfenced);
        if (is_unfenced) {
            if (!knit::detail::asymmetric_fences()) {
                GTEST_SKIP() << "no membarrier here";
            }
            deque.begin_unfenced();
        }
        std::vector<Work> works(3);
        EXPECT_FALSE(deque.take_back(works[0]));
        push_all(deque, works);
        EXPECT_FALSE(deque.take_back(works[1])) << "covered";
        EXPECT_TRUE(deque.take_back(works[2]));
        EXPECT_FALSE(deque.take_back(works[2])) << "its slot still shows it";
        EXPECT_EQ(deque.steal(), &works[0]);
        EXPECT_TRUE(deque.take_back(works[1]));
        EXPECT_EQ(deque.size_hint(), 0U);
        deque.push(works[0]);
        EXPECT_EQ(deque.steal(), &works[0]);
        EXPECT_FALSE(deque.take_back(works[0])) << "stolen, though its slot still shows it";
        deque.push(works[2]);
        EXPECT_EQ(deque.pop(), &works[2]);
        EXPECT_EQ(deque.pop(), nullptr);
    }
}

TEST(Deque, GrowsAndKeepsTheOrderAtBothEnds) {
    Deque deque;
    std::vector<Work> works(5 * Deque::kFirstCapacity);
    // Moves top forward first, so that what is copied lies across the array's end.
    for (std::size_t index = 0; index < Deque::kFirstCapacity / 2; ++index) {
        deque.push(works[0]);
        ASSERT_EQ(deque.steal(), &works[0]);
    }
    push_all(deque, works);
    EXPECT_EQ(deque.size_hint(), works.size());
    for (std::size_t index = 0; index < works.size() / 2; ++index) {
        ASSERT_EQ(deque.steal(), &works[index]);
        ASSERT_EQ(deque.pop(), &works[works.size() - 1 - index]);
    }
    EXPECT_EQ(deque.size_hint(), works.size() % 2);
}

TEST(Deque, ReusesItsSlotsManyTimesRound) {
    Deque deque;
    std::vector<Work> works(3);
    for (std::size_t round = 0; round < 10 * Deque::kFirstCapacity; ++round) {
        push_all(deque, works);
        ASSERT_EQ(deque.steal(), &works[0]);
        ASSERT_EQ(deque.pop(), &works[2]);
        ASSERT_EQ(deque.take_oldest(), &works[1]);
    }
    EXPECT_EQ(deque.size_hint(), 0U);
}

TEST(Deque, StaysFencedWithoutAsymmetricFences) {
    Deque deque;
    Work work;
    for (unsigned round = 0; round < 4 * Deque::kPushesUntilUnfenced; ++round) {
        deque.push(work);
        EXPECT_EQ(deque.pop(), &work);
    }
    EXPECT_FALSE(deque.is_unfenced());
}

TEST(Deque, LeavesOutFencesAfterEnoughPushesUntilItIsQuiet) {
    if (!knit::detail::asymmetric_fences()) {
        GTEST_SKIP() << "no membarrier here";
    }
    Deque deque(true);
    Work work;
    for (int period = 0; period < 2; ++period) {
        for (unsigned push = 1; push <= Deque::kPushesUntilUnfenced; ++push) {
            EXPECT_FALSE(deque.is_unfenced());
            deque.push(work);
            EXPECT_EQ(deque.pop(), &work);
        }
        EXPECT_TRUE(deque.is_unfenced());
        deque.push(work);
        EXPECT_EQ(deque.steal(), &work);
        deque.quiesce();
        EXPECT_FALSE(deque.is_unfenced());
    }
}

TEST(Deque, QuietBeforeTheLastPushStartsTheCountAnew) {
    if (!knit::detail::asymmetric_fences()) {
        GTEST_SKIP() << "no membarrier here";
    }
    Deque deque(true);
    Work work;
    for (int period = 0; period < 3; ++period) {
        for (unsigned push = 1; push < Deque::kPushesUntilUnfenced; ++push) {
            deque.push(work);
            EXPECT_EQ(deque.pop(), &work);
        }
        deque.quiesce();
        EXPECT_FALSE(deque.is_unfenced());
    }
}

}  // namespace
