// Offered work that is left to other loops, and how long such work usually takes.
#include <utility>

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

}  // namespace
}  // namespace knit::test
