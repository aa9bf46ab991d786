// Guard: what scoped() gives.

#include "co_test.hpp"

#include <type_traits>
#include <utility>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Guard> && !std::is_constructible_v<Guard, Guard&>);
static_assert(std::is_nothrow_move_constructible_v<Guard> && std::is_nothrow_move_assignable_v<Guard>);

CO_TEST(Guard, ReleasesAtTheEndOfItsScopeAlsoByAnException) {
    Lock lock;
    try {
        const Guard guard = co_await lock.scoped();
        EXPECT_TRUE(lock.locked());
        throw Err();
    } catch (const Err&) {
        EXPECT_FALSE(lock.locked());
    }
}

CO_TEST(Guard, ReleasesWhenItsTaskIsCancelled) {
    Lock lock;
    const auto hold = [&]() -> Coro<> {
        const Guard guard = co_await lock.scoped();
        co_await sleep(kForever);
    };
    Task<> task = create_task(hold());
    co_await tick(1);
    EXPECT_TRUE(lock.locked());
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_FALSE(lock.locked());
}

CO_TEST(Guard, ReleasesEarlyAndOnce) {
    Lock lock;
    Guard guard = co_await lock.scoped();
    EXPECT_TRUE(guard);
    guard.release();
    EXPECT_FALSE(guard);
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(call([&] { guard.release(); }), "!RuntimeError");
    co_await lock.acquire();  // not the guard's any more
    { const Guard moved = std::move(guard); }
    EXPECT_TRUE(lock.locked());
}

CO_TEST(Guard, HandsItsLockOnByMove) {
    Lock one;
    Lock two;
    Guard first = co_await one.scoped();
    Guard second = co_await two.scoped();
    EXPECT_TRUE(one.locked() && two.locked());
    first = std::move(second);
    EXPECT_FALSE(one.locked());
    EXPECT_TRUE(two.locked());
    EXPECT_FALSE(second);
    { const Guard third = std::move(first); }
    EXPECT_FALSE(two.locked());
    const Guard none;
    EXPECT_FALSE(none);
}

CO_TEST(Guard, TellsTheExceptionHandlerWhenTheLockWasReleasedBehindItsBack) {
    Trace log;
    on_error(log);
    Lock lock;
    {
        const Guard guard = co_await lock.scoped();
        lock.release();
    }
    EXPECT_TRUE(log.shows({"handler:a guard could not release what it guards"}));
}

TEST(Guard, LogsWhenTheLockWasReleasedBehindItsBackAndThereIsNoLoop) {
    const LogCapture log;
    Lock lock;
    { const Guard guard(lock); }
    EXPECT_TRUE(log.has(LogLevel::error, "Lock is not acquired."));
}

}  // namespace
}  // namespace knit::test
