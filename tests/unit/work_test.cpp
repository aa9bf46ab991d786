#include "knit/detail/work.hpp"

#include <gtest/gtest.h>

namespace {

using knit::detail::Work;
using knit::detail::WorkList;

TEST(WorkList, GivesBackInTheOrderOfPushing) {
    WorkList list;
    Work works[3];
    for (Work& work : works) {
        list.push(work);
    }
    for (Work& work : works) {
        EXPECT_FALSE(list.empty());
        EXPECT_EQ(list.pop(), &work);
    }
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.pop(), nullptr);
}

TEST(WorkList, TakesPushesAgainAfterItRanEmpty) {
    WorkList list;
    Work works[2];
    list.push(works[0]);
    EXPECT_EQ(list.pop(), &works[0]);
    list.push(works[1]);
    list.push(works[0]);
    EXPECT_EQ(list.pop(), &works[1]);
    EXPECT_EQ(list.pop(), &works[0]);
    EXPECT_TRUE(list.empty());
}

TEST(WorkList, TakeAllGivesTheChainAndLeavesTheListUsable) {
    WorkList list;
    Work works[3];
    list.push(works[2]);
    list.push(works[0]);
    Work* const chain = list.take_all();
    EXPECT_TRUE(list.empty());
    list.push(works[1]);  // must not append to the chain that was taken
    ASSERT_EQ(chain, &works[2]);
    ASSERT_EQ(chain->next, &works[0]);
    EXPECT_EQ(chain->next->next, nullptr);
    EXPECT_EQ(list.pop(), &works[1]);
    EXPECT_EQ(list.take_all(), nullptr);
}

}  // namespace
