// Lock, on one loop.

#include "co_test.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Lock> && !std::is_move_constructible_v<Lock>);

constinit Lock g_lock;

Coro<> acquire_and_log(Lock& lock, Trace& log, std::string name) {
    co_await lock.acquire();
    log(name);
}
Coro<> hold_a_moment(Lock& lock, Trace& log, std::string name) {
    const Guard guard = co_await lock.scoped();
    log(name);
}

// LOCK-01
CO_TEST(Lock, IsGrantedInTheOrderOfAsking) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    std::vector<Task<>> tasks;
    for (const char* name : {"1", "2", "3"}) {
        tasks.push_back(create_task(acquire_and_log(lock, log, name)));
    }
    co_await tick(1);
    EXPECT_TRUE(log.shows({}));
    for (std::size_t count = 1; count <= 3; ++count) {
        lock.release();
        co_await tick(2);
        EXPECT_EQ(log.size(), count);
    }
    EXPECT_TRUE(log.shows({"1", "2", "3"}));
    EXPECT_TRUE(lock.locked());
    lock.release();
    EXPECT_FALSE(lock.locked());
}

// LOCK-02
CO_TEST(Lock, ReleaseOfAFreeLockIsAnError) {
    Lock lock;
    EXPECT_EQ(call_message([&] { lock.release(); }), "!RuntimeError(Lock is not acquired.)");
    co_await lock.acquire();
    lock.release();
    EXPECT_EQ(call_message([&] { lock.release(); }), "!RuntimeError(Lock is not acquired.)");
    EXPECT_FALSE(lock.locked());
}

CO_TEST(Lock, ReleaseIsAnErrorWhileTheNextInLineIsOnItsWay) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const Task<> next = create_task(acquire_and_log(lock, log, "next"));
    co_await tick(1);
    lock.release();
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(call_message([&] { lock.release(); }), "!RuntimeError(Lock is not acquired.)");
    co_await next;
    EXPECT_TRUE(lock.locked());
    lock.release();
}

CO_TEST(Lock, AcquireOfAFreeLockDoesNotSuspend) {
    Lock lock;
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    const bool result = co_await lock.acquire();
    log(result);
    lock.release();
    { const Guard guard = co_await lock.scoped(); }
    log("not suspended");
    co_await tick(1);
    EXPECT_TRUE(log.shows({"true", "not suspended", "loop ran"}));
}

CO_TEST(Lock, AcquireIsLazy) {
    Lock lock;
    auto operation = lock.acquire();
    EXPECT_FALSE(lock.locked());
    co_await operation;
    EXPECT_TRUE(lock.locked());
    lock.release();
}

// LOCK-04
CO_TEST(Lock, AWaiterThatIsCancelledLeavesTheLine) {
    Lock lock;
    co_await lock.acquire();
    const Task<bool> task = create_task(lock.acquire());
    co_await tick(1);
    Task<bool>(task).cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    lock.release();
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(co_await got(lock.acquire()), "true");
}

// LOCK-05
CO_TEST(Lock, GoesToTheNextWhenTheFirstIsReleasedAndCancelledInOneTurn) {
    for (const bool release_first : {true, false}) {
        Lock lock;
        Trace log;
        co_await lock.acquire();
        Task<> b = create_task(hold_a_moment(lock, log, "B"));
        Task<> c = create_task(hold_a_moment(lock, log, "C"));
        co_await tick(1);
        if (release_first) {
            lock.release();
            b.cancel();
        } else {
            b.cancel();
            lock.release();
        }
        co_await c;
        EXPECT_TRUE(b.cancelled());
        EXPECT_TRUE(log.shows({"C"}));
        EXPECT_FALSE(lock.locked());
    }
}

CO_TEST(Lock, IsFreeWhenTheOnlyWaiterIsReleasedAndCancelledInOneTurn) {
    for (const bool release_first : {true, false}) {
        Lock lock;
        co_await lock.acquire();
        Task<bool> only = create_task(lock.acquire());
        co_await tick(1);
        if (release_first) {
            lock.release();
            only.cancel();
        } else {
            only.cancel();
            lock.release();
        }
        EXPECT_EQ(co_await got(only), "!CancelledError");
        EXPECT_FALSE(lock.locked());
        co_await lock.acquire();
        lock.release();
    }
}

CO_TEST(Lock, StaysWithItsHolderWhenAWaiterInTheMiddleIsCancelled) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const Task<> a = create_task(hold_a_moment(lock, log, "a"));
    Task<> b = create_task(hold_a_moment(lock, log, "b"));
    const Task<> c = create_task(hold_a_moment(lock, log, "c"));
    co_await tick(1);
    b.cancel();
    co_await tick(2);
    EXPECT_TRUE(lock.locked());
    EXPECT_TRUE(log.shows({}));
    lock.release();
    co_await gather(a, c);
    EXPECT_TRUE(log.shows({"a", "c"}));
}

CO_TEST(Lock, AWaiterThatIsCancelledTwiceRaisesOnce) {
    Lock lock;
    co_await lock.acquire();
    Task<bool> task = create_task(lock.acquire());
    co_await tick(1);
    task.cancel();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    lock.release();
    EXPECT_EQ(co_await got(lock.acquire()), "true");
}

CO_TEST(Lock, ACancellationThatIsDueEndsTheWaitButDoesNotHinderAFreeLock) {
    Lock lock;
    Trace log;
    const auto body = [&]() -> Coro<> {
        get_running_loop();
        current_task()->cancel();
        co_await lock.acquire();
        log("has the lock");
        co_await lock.acquire();
        log("never");
    };
    const Task<> task = create_task(body());
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({"has the lock"}));
    EXPECT_TRUE(lock.locked());
}

// LOCK-07
CO_TEST(Lock, ANewcomerDoesNotOvertakeTheOneThatWasWoken) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const Task<> old = create_task(hold_a_moment(lock, log, "old"));
    co_await tick(1);
    lock.release();
    EXPECT_FALSE(lock.locked());
    co_await hold_a_moment(lock, log, "new");
    co_await old;
    EXPECT_TRUE(log.shows({"old", "new"}));
}

CO_TEST(Lock, ANewcomerMayOvertakeThoseThatAreCancelled) {
    Lock lock;
    co_await lock.acquire();
    Task<bool> one = create_task(lock.acquire());
    Task<bool> two = create_task(lock.acquire());
    co_await tick(1);
    one.cancel();
    two.cancel();
    lock.release();
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await lock.acquire();
    log("taken");
    EXPECT_EQ(co_await got(one), "!CancelledError");
    EXPECT_EQ(co_await got(two), "!CancelledError");
    EXPECT_TRUE(lock.locked());
    lock.release();
    EXPECT_TRUE(log.shows({"taken", "loop ran"}));
}

// A cancelled one at the head keeps its place until it runs; it is the one that passes the lock on.
CO_TEST(Lock, TheNextWaitsForACancelledOneAtTheHeadToRun) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    Task<> head = create_task(hold_a_moment(lock, log, "head"));
    const Task<> next = create_task(hold_a_moment(lock, log, "next"));
    co_await tick(1);
    head.cancel();
    lock.release();
    get_running_loop().call_soon([&] { log("turn"); });
    co_await next;
    EXPECT_TRUE(log.shows({"turn", "next"}));
}

// LOCK-08
CO_TEST(Lock, HasNoOwner) {
    Lock lock;
    co_await lock.acquire();
    const auto other = [&]() -> Coro<> {
        lock.release();
        co_return;
    };
    co_await create_task(other());
    EXPECT_FALSE(lock.locked());
}

// LOCK-08
CO_TEST(Lock, IsNotReentrant) {
    Lock lock;
    co_await lock.acquire();
    Task<bool> again = create_task(lock.acquire());
    co_await sleep(2ms);
    EXPECT_FALSE(again.done());
    again.cancel();
    EXPECT_EQ(co_await got(again), "!CancelledError");
    lock.release();
    EXPECT_FALSE(lock.locked());
}

// LOCK-09, where knit does better
TEST(Lock, ServesOneRuntimeAfterAnother) {
    Trace log;
    const auto contend = [&]() -> Coro<> {
        co_await g_lock.acquire();
        Task<bool> other = create_task(g_lock.acquire());
        co_await tick(2);
        other.cancel();
        log(co_await got(other));
        const Task<> next = create_task(hold_a_moment(g_lock, log, "next"));
        co_await tick(1);
        g_lock.release();
        co_await next;
    };
    run_one(contend);
    run_one(contend);
    EXPECT_TRUE(log.shows({"!CancelledError", "next", "!CancelledError", "next"}));
    EXPECT_FALSE(g_lock.locked());
}

CO_TEST(Lock, CanBeGatheredAndWrapped) {
    Lock lock;
    const auto acquire_and_release = [&]() -> Coro<bool> {
        const bool result = co_await lock.acquire();
        co_await tick(1);
        lock.release();
        co_return result;
    };
    const auto [one, two, three] = co_await gather(acquire_and_release(), acquire_and_release(), lock.acquire());
    EXPECT_TRUE(one && two && three);
    lock.release();
    const Result<bool> result = co_await as_result(lock.acquire());
    EXPECT_TRUE(result.value());
    Task<Guard> task = create_task(lock.scoped());
    co_await tick(1);
    lock.release();
    const Guard guard = co_await std::move(task);
    EXPECT_TRUE(guard);
    EXPECT_TRUE(lock.locked());
}

CO_TEST(Lock, MayBeDestroyedByTheTaskThatIsWoken) {
    auto lock = std::make_unique<Lock>();
    co_await lock->acquire();
    const auto destroy = [&]() -> Coro<> {
        co_await lock->acquire();
        lock->release();
        lock.reset();
    };
    const Task<> task = create_task(destroy());
    co_await tick(1);
    lock->release();
    co_await task;
    EXPECT_EQ(lock, nullptr);
}

}  // namespace
}  // namespace knit::test
