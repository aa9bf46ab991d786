// Cancellation: requested, delivered, caught, taken back.

#include "co_test.hpp"

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<> sleep_for_ever() { co_await sleep(kForever); }

CO_TEST(Cancel, BeforeTheFirstStepTheBodyNeverRuns) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        log("never");
        co_return;
    });
    log(task.cancel("m"));
    log(co_await got_message(task));
    log(task.cancelled());
    EXPECT_TRUE(log.shows({"true", "!CancelledError(m)", "true"}));
}

CO_TEST(Cancel, IsARequestThatIsDeliveredLaterAtTheAwait) {
    Trace log;
    struct Unwinding {
        Trace& log;
        ~Unwinding() { log("unwinding"); }
    };
    Task<> task = create_task([&]() -> Coro<> {
        const Unwinding guard{log};
        co_await sleep(kForever);
    });
    co_await tick();
    log(task.cancel(), task.cancelled(), task.done());
    log("requester continues");
    co_await got(task);
    log(task.cancelled(), task.done(), task.cancel());
    EXPECT_TRUE(log.shows({"true", "false", "false", "requester continues", "unwinding", "true", "true", "false"}));
}

Coro<> logged(Trace& log, std::string name, Coro<> body) {
    try {
        co_await std::move(body);
    } catch (const CancelledError&) {
        log(name);
        throw;
    }
}
Coro<> await_task(Task<> task) { co_await task; }

CO_TEST(Cancel, ReachesTheAwaitedChildTaskFirst) {
    Trace log;
    Task<> child = create_task(logged(log, "child", sleep_for_ever()));
    Task<> parent = create_task(logged(log, "parent", await_task(child)));
    co_await tick(2);
    parent.cancel();
    log(co_await got(parent));
    log(child.cancelled());
    EXPECT_TRUE(log.shows({"child", "parent", "!CancelledError", "true"}));
}

CO_TEST(Cancel, IsDeliveredOnceForEachRequest) {
    Trace log;
    Task<int> task = create_task([&]() -> Coro<int> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("caught");
        }
        co_await sleep(1ms);
        log("later awaits are fine");
        co_return 1;
    });
    co_await tick();
    task.cancel();
    log(co_await task);
    EXPECT_FALSE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 1);
    EXPECT_TRUE(log.shows({"caught", "later awaits are fine", "1"}));
}

CO_TEST(Cancel, ASecondRequestInterruptsTheCleanup) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("cleanup begins");
        }
        co_await sleep(kForever);
        log("never");
    });
    co_await tick();
    task.cancel();
    co_await tick(2);
    task.cancel("second");
    log(co_await got_message(task));
    log(task.cancelling());
    EXPECT_TRUE(log.shows({"cleanup begins", "!CancelledError(second)", "2"}));
}

CO_TEST(Cancel, TakenBackBeforeItsDeliveryItIsNotDelivered) {
    Trace log;
    Future<> future;
    Task<int> task = create_task([&]() -> Coro<int> {
        co_await future;
        co_return 42;
    });
    co_await tick();
    future.set_result();
    task.cancel();
    log(task.cancelling());
    log(task.uncancel());
    log(co_await task);
    EXPECT_EQ(task.uncancel(), 0);
    EXPECT_TRUE(log.shows({"1", "0", "42"}));
}

CO_TEST(Cancel, OfOneselfTakesEffectAtTheNextSuspension) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        current_task()->cancel();
        log("still running");
        co_await sleep(kForever);
        log("never");
    });
    log(co_await got(task));
    log(task.cancelled());
    EXPECT_TRUE(log.shows({"still running", "!CancelledError", "true"}));
}

CO_TEST(Cancel, OfOneselfInAYieldTakesEffectThere) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        current_task()->cancel();
        co_await yield();
        log("never");
    });
    log(co_await got(task));
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

CO_TEST(Cancel, OfATaskThatThenReturnsLosesItsValue) {
    Task<int> task = create_task([]() -> Coro<int> {
        current_task()->cancel();
        co_return 12;
    });
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(task.cancelled());
    Task<int> spawned = spawn([]() -> Coro<int> {
        current_task()->cancel();
        co_return 12;
    });
    EXPECT_EQ(co_await got(gather(spawned)), "!CancelledError");
    EXPECT_TRUE(spawned.cancelled());
}

CO_TEST(Cancel, OfATaskThatThenFailsLeavesTheErrorToWin) {
    const auto body = []() -> Coro<> {
        current_task()->cancel();
        throw Err("wins");
        co_return;
    };
    const Task<> task = create_task(body());
    EXPECT_EQ(co_await got_message(task), "!Err(wins)");
    EXPECT_FALSE(task.cancelled());
}

CO_TEST(Cancel, PassesHandlersOfStdException) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const std::exception&) {
            log("swallowed");
        }
    });
    co_await tick();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(log.size(), 0U);
    static_assert(!std::is_base_of_v<std::exception, CancelledError>);
}

CO_TEST(Cancel, ACancelledErrorThatIsThrownMakesTheTaskCancelled) {
    const auto body = []() -> Coro<> {
        throw CancelledError("own");
        co_return;
    };
    const Task<> task = create_task(body());
    EXPECT_EQ(co_await got_message(task), "!CancelledError(own)");
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 0);
}

CO_TEST(Cancel, ReplacesTheErrorOfTheAwaitedFuture) {
    Future<> future;
    Task<> task = create_task([&]() -> Coro<> { co_await future; });
    co_await tick();
    future.set_exception(Err());
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(error_text(future.exception()), "!Err");
}

CO_TEST(Cancel, IsThrownAtTheInnermostAwaitAndAnyFrameMayTakeIt) {
    Trace log;
    Task<int> task = create_task([&]() -> Coro<int> {
        try {
            co_await logged(log, "inner", sleep_for_ever());
        } catch (const CancelledError&) {
            log("outer absorbs");
        }
        co_return 1;
    });
    co_await tick();
    task.cancel();
    log(co_await task);
    EXPECT_TRUE(log.shows({"inner", "outer absorbs", "1"}));
}

CO_TEST(Cancel, OfTaskAndAwaitedFutureGivesOneError) {
    int count = 0;
    Future<> future;
    Task<> task = create_task([&]() -> Coro<> {
        try {
            co_await future;
        } catch (const CancelledError&) {
            ++count;
            throw;
        }
    });
    co_await tick();
    future.cancel();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(count, 1);
    EXPECT_TRUE(task.cancelled());
}

CO_TEST(Cancel, OfOneselfBeforeAwaitingAChildCancelsTheChild) {
    Future<> future;
    Task<> child;
    Task<> parent = create_task([&]() -> Coro<> {
        child = create_task([&]() -> Coro<> { co_await future; });
        co_await sleep(0s);
        current_task()->cancel();
        co_await child;
    });
    EXPECT_EQ(co_await got(parent), "!CancelledError");
    EXPECT_TRUE(child.cancelled());
    EXPECT_TRUE(future.cancelled());
}

CO_TEST(Cancel, OfADoneTaskChangesNothing) {
    Task<int> task = create_task([]() -> Coro<int> { co_return 5; });
    co_await task;
    EXPECT_FALSE(task.cancel());
    EXPECT_EQ(task.result(), 5);
    EXPECT_EQ(task.cancelling(), 0);
}

CO_TEST(Cancel, AStructuredBlockTakesItsOwnRequestBack) {
    Trace log;
    bool has_fired = false;
    TaskRef self = *current_task();
    Handle timer = get_running_loop().call_later(2ms, [&] {
        has_fired = true;
        self.cancel();
    });
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(has_fired, self.uncancel() == 0);
    }
    timer.cancel();
    co_await sleep(0s);
    log("outer code reached", self.cancelling());
    EXPECT_TRUE(log.shows({"true", "true", "outer code reached", "0"}));
}

CO_TEST(Cancel, ThatComesAfterTheResumptionHitsTheNextAwait) {
    Trace log;
    Future<std::string> future;
    Task<> task = create_task([&]() -> Coro<> {
        log(co_await future);
        co_await logged(log, "hit at the second await", sleep_for_ever());
    });
    co_await tick();
    future.set_result("first ok");
    get_running_loop().call_soon([&] { task.cancel(); });
    log(co_await got(task));
    EXPECT_TRUE(log.shows({"first ok", "hit at the second await", "!CancelledError"}));
}

CO_TEST(Cancel, OfASpawnedTaskThatHasNotStartedMeansThatItNeverDoes) {
    bool has_run = false;
    Task<> task = spawn([&]() -> Coro<> {
        has_run = true;
        co_return;
    });
    EXPECT_TRUE(task.cancel("early"));
    EXPECT_EQ(co_await got_message(task), "!CancelledError(early)");
    EXPECT_FALSE(has_run);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 1);
}

CO_TEST_ON_LOOPS(Cancel, ReachesATaskOnAnyLoopInWhateverItWaitsFor) {
    Runtime& runtime = get_runtime();
    Loop& last = runtime.loop(runtime.size() - 1);
    Trace log;
    Task<> sleeper = create_task(logged(log, "sleep", sleep_for_ever()), {.loop = &last});
    Future<> future;
    const auto wait = [](Future<> awaited) -> Coro<> { co_await awaited; };
    Task<> waiter = create_task(logged(log, "future", wait(future)), {.loop = &last});
    Task<> deep = create_task(logged(log, "deep", sleep_for_ever()));
    Task<> parent = create_task(logged(log, "task", await_task(deep)), {.loop = &last});
    co_await sleep(1ms);
    EXPECT_TRUE(sleeper.cancel("s"));
    EXPECT_TRUE(waiter.cancel("w"));
    EXPECT_TRUE(parent.cancel("p"));
    EXPECT_EQ(co_await got_message(sleeper), "!CancelledError(s)");
    EXPECT_EQ(co_await got(waiter), "!CancelledError");
    EXPECT_EQ(co_await got(parent), "!CancelledError");
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(deep.cancelled());
    for (const char* name : {"sleep", "future", "deep", "task"}) {
        EXPECT_EQ(log.count(name), 1U) << name;
    }
}

CO_TEST_ON_LOOPS(Cancel, OfManySpawnedTasksEndsEachOnceAndOnlyOnce) {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 60; ++i) {
        tasks.push_back(spawn([i]() -> Coro<int> {
            co_await sleep(i % 3 == 0 ? 0ms : 5ms);
            co_return i;
        }));
        if (i % 4 == 0) {
            co_await yield();
        }
    }
    for (std::size_t i = 0; i < tasks.size(); i += 2) {
        tasks[i].cancel();
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const std::string result = co_await got(tasks[i]);
        EXPECT_TRUE(result == std::to_string(i) || (i % 2 == 0 && result == "!CancelledError")) << i << result;
        EXPECT_EQ(tasks[i].cancelled(), result == "!CancelledError");
    }
}

CO_TEST(Cancel, AMessageIsTheErrorsTextAndMayBeLeftOut) {
    Future<> with;
    Future<> without;
    with.cancel("because");
    without.cancel();
    const auto texts = [](Future<> cancelled) -> Coro<std::string> {
        try {
            co_await cancelled;
        } catch (const CancelledError& e) {
            co_return e.what() + ("|" + e.message());
        }
        co_return "no error";
    };
    EXPECT_EQ(co_await texts(with), "because|because");
    EXPECT_EQ(co_await texts(without), "CancelledError|");
}

CO_TEST(Cancel, OfAnAwaiterWhoseTaskHasJustEndedIsDelivered) {
    Trace log;
    const Task<> child = create_task(tick());
    Task<> parent = create_task([&]() -> Coro<> {
        co_await child;
        log("never");
    });
    co_await tick(2);
    EXPECT_TRUE(child.done());
    parent.cancel();  // the child has ended, the parent's wake-up is in the queue
    log(co_await got(parent));
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

}  // namespace
}  // namespace knit::test
