// Condition, on one loop.

#include "co_test.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Condition> && !std::is_move_constructible_v<Condition>);

constinit Condition g_condition;

Coro<> wait_once(Condition& condition, Trace& log, std::string name) {
    const Guard guard = co_await condition.scoped();
    const bool result = co_await condition.wait();
    EXPECT_TRUE(result);
    EXPECT_TRUE(condition.locked());
    log(name);
}
std::vector<Task<>> waiters(Condition& condition, Trace& log, std::vector<std::string> names) {
    std::vector<Task<>> tasks;
    for (const std::string& name : names) {
        tasks.push_back(create_task(wait_once(condition, log, name)));
    }
    return tasks;
}
Coro<> notify(Condition& condition, std::size_t count) {
    const Guard guard = co_await condition.scoped();
    condition.notify(count);
}
Coro<> notify_all(Condition& condition) {
    const Guard guard = co_await condition.scoped();
    condition.notify_all();
}

CO_TEST(Condition, WaitGivesTheLockUpAndHoldsItAgainAfterwards) {
    Condition condition;
    Trace log;
    const Task<> task = create_task(wait_once(condition, log, "woken"));
    co_await tick(1);
    EXPECT_FALSE(condition.locked());
    co_await notify(condition, 1);
    EXPECT_FALSE(task.done());
    co_await task;
    EXPECT_FALSE(condition.locked());
    EXPECT_TRUE(log.shows({"woken"}));
}

// CONDITION-02
CO_TEST(Condition, NotifyWakesThoseThatWaitLongest) {
    Condition condition;
    Trace log;
    const auto tasks = waiters(condition, log, {"1", "2", "3"});
    co_await tick(1);
    co_await notify(condition, 1);
    co_await tick(3);
    EXPECT_TRUE(log.shows({"1"}));
    co_await notify(condition, 0);
    co_await tick(3);
    EXPECT_EQ(log.size(), 1U);
    co_await notify(condition, 2048);
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"1", "2", "3"}));
    co_await notify(condition, 1);
    co_await notify_all(condition);
}

// CONDITION-03
CO_TEST(Condition, NotifyAllWakesAllAndTheyTakeTheLockInTurn) {
    Condition condition;
    Trace log;
    const auto wait_and_linger = [&](std::string name) -> Coro<> {
        const Guard guard = co_await condition.scoped();
        co_await condition.wait();
        log(name);
        co_await tick(1);
        log(name);
    };
    std::vector<Coro<>> coros;
    for (const char* name : {"0", "1", "2", "3"}) {
        coros.push_back(wait_and_linger(name));
    }
    auto all = gather(std::move(coros));
    co_await tick(5);
    co_await notify_all(condition);
    co_await all;
    EXPECT_TRUE(log.shows({"0", "0", "1", "1", "2", "2", "3", "3"}));
}

CO_TEST(Condition, NotifyOnlySchedulesAndTheWaiterNeedsTheLock) {
    Condition condition;
    Trace log;
    const auto tasks = waiters(condition, log, {"waiter"});
    co_await tick(1);
    co_await condition.acquire();
    condition.notify();
    co_await tick(5);
    log("still held");
    condition.release();
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"still held", "waiter"}));
}

// CONDITION-04
CO_TEST(Condition, NeedsTheLock) {
    Condition condition;
    EXPECT_EQ(co_await got_message(condition.wait()), "!RuntimeError(cannot wait on un-acquired lock)");
    EXPECT_EQ(call_message([&] { condition.notify(); }), "!RuntimeError(cannot notify on un-acquired lock)");
    EXPECT_EQ(call_message([&] { condition.notify_all(); }), "!RuntimeError(cannot notify on un-acquired lock)");
    EXPECT_EQ(call_message([&] { condition.release(); }), "!RuntimeError(Lock is not acquired.)");
}

CO_TEST(Condition, WaitForGivesThePredicatesValue) {
    Condition condition;
    Trace log;
    std::string item;
    const auto take = [&]() -> Coro<std::string> {
        const Guard guard = co_await condition.scoped();
        const std::string* const found =
            co_await condition.wait_for([&]() -> const std::string* { return item.empty() ? nullptr : &item; });
        co_return *found;
    };
    const Task<std::string> task = create_task(take());
    co_await tick(1);
    co_await notify(condition, 1);
    co_await tick(3);
    EXPECT_FALSE(task.done());
    item = "tea";
    co_await notify(condition, 1);
    EXPECT_EQ(co_await task, "tea");
}

CO_TEST(Condition, WaitForDoesNotWaitWhenThePredicateHolds) {
    Condition condition;
    const int value = co_await condition.wait_for([] { return 42; });
    EXPECT_EQ(value, 42);
    const Guard guard = co_await condition.scoped();
    auto pointer = co_await condition.wait_for([] { return std::make_unique<int>(1); });
    EXPECT_EQ(*pointer, 1);
    int number = 3;
    int& reference = co_await condition.wait_for([&]() -> int& { return number; });
    EXPECT_EQ(&reference, &number);
}

CO_TEST(Condition, WaitForPassesThePredicatesExceptionOnWithTheLockHeld) {
    Condition condition;
    bool fails = false;
    const auto body = [&]() -> Coro<> {
        const Guard guard = co_await condition.scoped();
        co_await condition.wait_for([&]() -> bool {
            EXPECT_TRUE(condition.locked());
            if (fails) {
                throw Err("predicate");
            }
            return false;
        });
    };
    const Task<> task = create_task(body());
    co_await tick(1);
    fails = true;
    co_await notify(condition, 1);
    EXPECT_EQ(co_await got_message(task), "!Err(predicate)");
    EXPECT_FALSE(condition.locked());
}

// CONDITION-06
CO_TEST(Condition, ACancelledWaiterHoldsTheLockWhenItSeesItsCancellation) {
    Condition condition;
    Trace log;
    const auto body = [&]() -> Coro<> {
        const Guard guard = co_await condition.scoped();
        try {
            co_await condition.wait();
        } catch (const CancelledError& error) {
            log(condition.locked(), error.message());
            throw;
        }
    };
    Task<> task = create_task(body());
    co_await tick(1);
    task.cancel("foo");
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_FALSE(condition.locked());
    EXPECT_TRUE(log.shows({"true", "foo"}));
}

// CONDITION-07
CO_TEST(Condition, ACancellationWaitsUntilTheLockIsFree) {
    for (const bool is_notified : {true, false}) {
        Condition condition;
        Trace log;
        Task<> task = create_task(wait_once(condition, log, "never"));
        co_await tick(1);
        co_await condition.acquire();
        if (is_notified) {
            condition.notify();
        }
        co_await tick(1);
        task.cancel("foo");
        co_await tick(3);
        EXPECT_FALSE(task.done());
        condition.release();
        EXPECT_EQ(co_await got_message(task), "!CancelledError(foo)");
        EXPECT_FALSE(condition.locked());
    }
}

CO_TEST(Condition, SeveralCancellationsAreOneWithTheLastMessage) {
    Condition condition;
    Trace log;
    Task<> task = create_task(wait_once(condition, log, "never"));
    co_await tick(1);
    co_await condition.acquire();
    for (const char* message : {"a", "b", "c"}) {
        task.cancel(message);
        co_await tick(2);
        EXPECT_FALSE(task.done());
    }
    condition.release();
    EXPECT_EQ(co_await got_message(task), "!CancelledError(c)");
    EXPECT_FALSE(condition.locked());
}

CO_TEST(Condition, ANotificationOfACancelledWaiterGoesToTheNext) {
    Condition condition;
    Trace log;
    auto tasks = waiters(condition, log, {"a", "b"});
    co_await tick(1);
    co_await notify(condition, 1);
    tasks[0].cancel();
    EXPECT_EQ(co_await got(tasks[0]), "!CancelledError");
    co_await tasks[1];
    EXPECT_TRUE(log.shows({"b"}));
}

// CONDITION-09
CO_TEST(Condition, ANotificationOfAWaiterThatIsCancelledInTheLocksLineGoesToTheNext) {
    Condition condition;
    Trace log;
    auto tasks = waiters(condition, log, {"a", "b"});
    co_await tick(1);
    {
        const Guard guard = co_await condition.scoped();
        condition.notify(1);
        co_await tick(1);
        tasks[0].cancel();
        co_await tick(1);
    }
    EXPECT_EQ(co_await got(tasks[0]), "!CancelledError");
    co_await tasks[1];
    EXPECT_TRUE(log.shows({"b"}));
}

// As in asyncio, the cancelled one cannot know whether it had been notified: another one wakes, perhaps for nothing.
CO_TEST(Condition, ACancelledWaiterMayWakeAnotherOneForNothing) {
    Condition condition;
    Trace log;
    auto tasks = waiters(condition, log, {"a", "b", "c"});
    co_await tick(1);
    tasks[1].cancel();
    EXPECT_EQ(co_await got(tasks[1]), "!CancelledError");
    co_await tick(3);
    EXPECT_TRUE(log.shows({"a"}));
    co_await notify_all(condition);
    co_await gather(return_exceptions, tasks);
    EXPECT_TRUE(log.shows({"a", "c"}));
}

// CONDITION-10
CO_TEST(Condition, SharesAGivenLock) {
    Lock lock;
    Condition one(lock);
    Condition two(lock);
    Trace log;
    {
        const Guard guard = co_await one.scoped();
        EXPECT_TRUE(lock.locked() && two.locked());
    }
    EXPECT_FALSE(lock.locked());
    const auto tasks = waiters(one, log, {"one"});
    const auto others = waiters(two, log, {"two"});
    co_await tick(1);
    {
        const Guard guard = co_await lock.scoped();
        two.notify_all();
    }
    co_await gather(others);
    EXPECT_TRUE(log.shows({"two"}));
    co_await notify_all(one);
    co_await gather(tasks);
}

// CONDITION-11
CO_TEST(Condition, TheLockIsHeldAgainAfterAWaitThatWasCutShort) {
    Condition condition;
    const Guard guard = co_await condition.scoped();
    Task<bool> task = create_task(condition.wait());
    co_await sleep(2ms);
    EXPECT_FALSE(condition.locked());
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(condition.locked());
}

TEST(Condition, ServesOneRuntimeAfterAnother) {
    Trace log;
    const auto use = [&]() -> Coro<> {
        const auto tasks = waiters(g_condition, log, {"a", "b"});
        co_await tick(1);
        co_await notify_all(g_condition);
        co_await gather(tasks);
    };
    run_one(use);
    run_one(use);
    EXPECT_TRUE(log.shows({"a", "b", "a", "b"}));
    EXPECT_FALSE(g_condition.locked());
}

CO_TEST(Condition, CanBeGatheredAndWrapped) {
    Condition condition;
    co_await condition.acquire();
    get_running_loop().call_later(1ms, [&] {
        condition.notify_all();
        condition.release();
    });
    // acquire() takes the lock that wait() gives up; wait() gets it back from the callback.
    const auto [waited, acquired] = co_await gather(condition.wait(), as_result(condition.acquire()));
    EXPECT_TRUE(waited && acquired.value());
    EXPECT_EQ(co_await gather(condition.wait_for([] { return 3; })), std::make_tuple(3));
}

}  // namespace
}  // namespace knit::test
