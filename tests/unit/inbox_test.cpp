#include "knit/detail/inbox.hpp"

#include <gtest/gtest.h>

#include <span>

namespace {

using knit::detail::Inbox;
using knit::detail::Work;
using knit::detail::WorkList;

TEST(Inbox, GivesWorkInTheOrderOfArrival) {
    Inbox inbox;
    Work works[3];
    EXPECT_EQ(inbox.push(works[1]), Inbox::Push::first);
    EXPECT_EQ(inbox.push(works[0]), Inbox::Push::queued);
    EXPECT_EQ(inbox.push(works[2]), Inbox::Push::queued);
    Work* const chain = inbox.take_all();
    ASSERT_EQ(chain, &works[1]);
    ASSERT_EQ(chain->next, &works[0]);
    ASSERT_EQ(chain->next->next, &works[2]);
    EXPECT_EQ(chain->next->next->next, nullptr);
}

TEST(Inbox, TellsTheFirstPusherAfterEachTaking) {
    Inbox inbox;
    Work works[2];
    for (int round = 0; round < 3; ++round) {
        EXPECT_TRUE(inbox.empty());
        EXPECT_EQ(inbox.take_all(), nullptr);
        EXPECT_EQ(inbox.push(works[0]), Inbox::Push::first);
        EXPECT_FALSE(inbox.empty());
        EXPECT_EQ(inbox.push(works[1]), Inbox::Push::queued);
        EXPECT_EQ(inbox.take_all(), &works[0]);
    }
}

TEST(Inbox, KeepsWhatIsMoreThanIsAskedForBeforeWhatArrivesLater) {
    Inbox inbox;
    Work works[4];
    for (Work& work : std::span(works).first(3)) {
        static_cast<void>(inbox.push(work));
    }
    WorkList taken;
    EXPECT_EQ(inbox.take(taken, 2), 2U);
    EXPECT_EQ(inbox.push(works[3]), Inbox::Push::first);
    EXPECT_EQ(inbox.take(taken, 1), 1U);
    EXPECT_FALSE(inbox.empty());
    EXPECT_EQ(inbox.take(taken, 5), 1U);
    EXPECT_TRUE(inbox.empty());
    for (Work& work : works) {
        EXPECT_EQ(taken.pop(), &work);
    }
    EXPECT_EQ(taken.pop(), nullptr);
}

TEST(Inbox, IsNotEmptyWhileItKeepsSomething) {
    Inbox inbox;
    Work works[2];
    static_cast<void>(inbox.push(works[0]));
    static_cast<void>(inbox.push(works[1]));
    WorkList taken;
    EXPECT_EQ(inbox.take(taken, 1), 1U);
    EXPECT_FALSE(inbox.empty());
    EXPECT_EQ(inbox.take_all(), &works[1]);
    EXPECT_TRUE(inbox.empty());
}

TEST(Inbox, CloseGivesWhatItKeptBeforeWhatCameLater) {
    Inbox inbox;
    Work works[3];
    static_cast<void>(inbox.push(works[0]));
    static_cast<void>(inbox.push(works[1]));
    WorkList taken;
    EXPECT_EQ(inbox.take(taken, 1), 1U);
    static_cast<void>(inbox.push(works[2]));
    Work* const chain = inbox.close();
    ASSERT_EQ(chain, &works[1]);
    ASSERT_EQ(chain->next, &works[2]);
    EXPECT_EQ(chain->next->next, nullptr);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.close(), nullptr);
}

TEST(Inbox, CloseGivesWhatWasInAndRefusesTheRest) {
    Inbox inbox;
    Work works[3];
    EXPECT_EQ(inbox.push(works[0]), Inbox::Push::first);
    EXPECT_EQ(inbox.push(works[1]), Inbox::Push::queued);
    Work* const chain = inbox.close();
    ASSERT_EQ(chain, &works[0]);
    ASSERT_EQ(chain->next, &works[1]);
    EXPECT_EQ(chain->next->next, nullptr);
    EXPECT_EQ(inbox.push(works[2]), Inbox::Push::closed);
    EXPECT_TRUE(inbox.empty());
}

TEST(Inbox, StaysClosedWhateverIsAskedOfIt) {
    Inbox inbox;
    Work work;
    EXPECT_EQ(inbox.close(), nullptr);
    EXPECT_EQ(inbox.take_all(), nullptr);
    EXPECT_EQ(inbox.close(), nullptr);
    EXPECT_EQ(inbox.push(work), Inbox::Push::closed);
    EXPECT_EQ(work.next, nullptr);
}

}  // namespace
