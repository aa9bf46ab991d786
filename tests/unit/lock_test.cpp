// Lock and Guard.

#include "co_test.hpp"

#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Guard> && !std::is_constructible_v<Guard, Guard&>);
static_assert(std::is_nothrow_move_constructible_v<Guard> && std::is_nothrow_move_assignable_v<Guard>);
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

CO_TEST(Lock, AWaiterThatIsCancelledTwiceRaisesOnceWithTheLastMessage) {
    Lock lock;
    co_await lock.acquire();
    Task<bool> task = create_task(lock.acquire());
    co_await tick(1);
    task.cancel("first");
    task.cancel("second");
    EXPECT_EQ(co_await got_message(task), "!CancelledError(second)");
    lock.release();
    co_await lock.acquire();
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

// Across loops.

/// A plain counter that only the lock protects: with other loops between its load and its store.
Coro<> count_up(Lock& lock, int& counter, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const Guard guard = co_await lock.scoped();
        const int before = counter;
        co_await tick(round % 3);
        counter = before + 1;
    }
}

CO_TEST_ON_LOOPS(LockOnLoops, ExcludesAllOthers) {
    Lock lock;
    int counter = 0;
    std::vector<Task<>> tasks;
    for (int count = 0; count < 8; ++count) {
        tasks.push_back(spawn(count_up(lock, counter, 10)));
    }
    co_await gather(tasks);
    EXPECT_EQ(counter, 80);
    EXPECT_FALSE(lock.locked());
}

Coro<> queue_up(Lock& lock, Trace& log, std::string name, bool& stands_in_line) {
    Loop& home = get_running_loop();
    stands_in_line = true;
    co_await lock.acquire();
    EXPECT_EQ(&get_running_loop(), &home);
    log(name);
    lock.release();
}

/// Tasks of several loops that stand in the line of a lock in the order of their names.
Coro<std::vector<Task<>>> line_of(Lock& lock, Trace& log, int count) {
    Runtime& runtime = get_runtime();
    std::vector<Task<>> tasks;
    for (int index = 0; index < count; ++index) {
        bool stands_in_line = false;
        Loop& loop = runtime.loop(static_cast<std::size_t>(index) % runtime.size());
        tasks.push_back(create_task(queue_up(lock, log, std::to_string(index), stands_in_line), {.loop = &loop}));
        while (!stands_in_line) {
            co_await tick(1);
        }
    }
    co_return tasks;
}

CO_TEST_ON_LOOPS(LockOnLoops, IsGrantedInTheOrderOfAskingAndWakesEachOnItsOwnLoop) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 8);
    lock.release();
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4", "5", "6", "7"}));
    EXPECT_FALSE(lock.locked());
}

CO_TEST_ON_LOOPS(LockOnLoops, IsNeverLostHoweverWaitersAreCancelled) {
    for (unsigned mask = 0; mask < 16; ++mask) {
        for (const bool release_first : {false, true}) {
            Lock lock;
            Trace log;
            co_await lock.acquire();
            std::vector<Task<>> tasks = co_await line_of(lock, log, 4);
            if (release_first) {
                lock.release();
            }
            for (unsigned index = 0; index < 4; ++index) {
                if ((mask >> index & 1U) != 0) {
                    tasks[index].cancel();
                }
            }
            if (!release_first) {
                co_await tick(static_cast<int>(mask % 3));
                lock.release();
            }
            co_await gather(return_exceptions, tasks);
            std::vector<std::string> expected;
            for (std::size_t index = 0; index < 4; ++index) {
                if (!tasks[index].cancelled()) {
                    expected.push_back(std::to_string(index));
                }
            }
            EXPECT_TRUE(log.shows(expected));
            EXPECT_FALSE(lock.locked());
            co_await lock.acquire();
        }
    }
}

CO_TEST_ON_LOOPS(LockOnLoops, AGuardReleasesFromWhateverLoop) {
    Lock lock;
    Trace log;
    Runtime& runtime = get_runtime();
    Guard guard = co_await lock.scoped();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 2);
    co_await resume_on(runtime.loop(runtime.size() - 1));
    guard.release();
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1"}));
}

CO_TEST_ON_LOOPS(LockOnLoops, MayBeReleasedByAPlainThread) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 2);
    co_await to_thread([&] { lock.release(); });
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1"}));
}

}  // namespace
}  // namespace knit::test
