// When a loop gives a connection away, and when it is given one: by times alone.
#include "loop_load.hpp"

#include "knit/detail/worker.hpp"

#include "io_test.hpp"

namespace knit::test {
namespace {

using detail::LoopLoad;
using detail::TaskCore;

constexpr TimePoint kStart = TimePoint(1h);
constexpr auto kWindow = 20ms;

/// Whether the loop would give one, after two tasks have asked.
bool may_give(LoopLoad& load, TimePoint now) {
    const detail::Worker& worker = get_running_loop().worker();
    const Task<> other = create_task(yield());
    load.may_look(worker, worker.current_task());
    load.may_look(worker, static_cast<const TaskCore*>(other.ref().get()));
    return load.may_give(now);
}

TEST(LoopLoad, TakesOneConnectionInAWindow) {
    LoopLoad load;
    EXPECT_TRUE(load.claim_take(kStart));
    EXPECT_FALSE(load.claim_take(kStart + kWindow - 1ms));
    EXPECT_TRUE(load.claim_take(kStart + kWindow));
}

TEST(LoopLoad, DoesNotGiveInTheWindowInWhichItHasTaken) {
    run_io([]() -> Coro<> {
        LoopLoad load;
        EXPECT_TRUE(load.claim_take(kStart + 10ms));
        EXPECT_FALSE(may_give(load, kStart + kWindow));
        EXPECT_TRUE(may_give(load, kStart + 2 * kWindow));
        co_return;
    });
}

TEST(LoopLoad, GivesNothingForOneTask) {
    run_io([]() -> Coro<> {
        LoopLoad load;
        const detail::Worker& worker = get_running_loop().worker();
        for (int asked = 0; asked < 10; ++asked) {
            load.may_look(worker, worker.current_task());
        }
        EXPECT_FALSE(load.may_give(kStart));
        EXPECT_TRUE(may_give(load, kStart + kWindow));
        co_return;
    });
}

TEST(LoopLoad, WaitsTwiceAsLongEachTimeThatItGivesSoonAfterItHasTaken) {
    run_io([]() -> Coro<> {
        LoopLoad load;
        TimePoint now = kStart;
        for (auto pause = 2 * kWindow; pause <= 8 * kWindow; pause *= 2) {
            EXPECT_TRUE(load.claim_take(now - kWindow));
            load.count_give(now);
            EXPECT_FALSE(may_give(load, now + pause - kWindow));
            now += pause;
            EXPECT_TRUE(may_give(load, now));
        }
        now += 1h;  // out of the circle
        load.count_give(now);
        EXPECT_TRUE(may_give(load, now + kWindow));
        co_return;
    });
}

}  // namespace
}  // namespace knit::test
