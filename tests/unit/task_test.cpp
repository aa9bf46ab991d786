// Tasks: states, names, callbacks, handles, introspection.

#include "co_test.hpp"

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<int> number(int value) { co_return value; }
Coro<> nothing() { co_return; }
Coro<int> fail(std::string what) {
    co_await sleep(0s);
    throw Err(what);
}

CO_TEST(Task, IsPendingThenHasItsResult) {
    const Task<int> task = create_task(number(5));
    EXPECT_FALSE(task.done());
    EXPECT_TRUE(call_message([&] { task.result(); }).starts_with("!InvalidStateError(Result is not set."));
    EXPECT_TRUE(call_message([&] { task.exception(); }).starts_with("!InvalidStateError(Exception is not set."));
    co_await task;
    EXPECT_TRUE(task.done());
    EXPECT_EQ(task.result(), 5);
    EXPECT_EQ(task.exception(), nullptr);
    EXPECT_FALSE(task.cancelled());
}

CO_TEST(Task, KeepsTheVeryExceptionThatItFailedWith) {
    const auto error = std::make_exception_ptr(Err("x"));
    const auto thrower = [&]() -> Coro<> {
        std::rethrow_exception(error);
        co_return;
    };
    const Task<> task = create_task(thrower());
    co_await tick();
    EXPECT_EQ(task.exception(), error);
    std::exception_ptr by_result;
    try {
        task.result();
    } catch (...) {
        by_result = std::current_exception();
    }
    EXPECT_EQ(by_result, error);
    std::exception_ptr by_await;
    try {
        co_await task;
    } catch (...) {
        by_await = std::current_exception();
    }
    EXPECT_EQ(by_await, error);
    EXPECT_FALSE(task.cancelled());
}

CO_TEST(Task, StartsAtTheNextTurnInTheOrderOfCreation) {
    Trace log;
    const auto body = [&](int number) -> Coro<> {
        log(number);
        co_return;
    };
    get_running_loop().call_soon([&] { log("callback"); });
    create_task(body(1));
    get_running_loop().call_soon([&] { log("callback"); });
    create_task(body(2));
    log("creator");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"creator", "callback", "1", "callback", "2"}));
}

CO_TEST(Task, HasTheNameItIsGivenOrANumber) {
    Task<> first = create_task(nothing());
    Task<> second = create_task(nothing());
    const Task<> named = create_task(nothing(), {.name = "No-op"});
    EXPECT_TRUE(first.name().starts_with("Task-")) << first.name();
    EXPECT_LT(std::stoul(first.name().substr(5)), std::stoul(second.name().substr(5)));
    EXPECT_EQ(named.name(), "No-op");
    second.set_name("123");
    EXPECT_EQ(second.name(), "123");
    co_await gather(first, second, named);
    EXPECT_EQ(named.name(), "No-op");
}

CO_TEST(Task, KnowsItsNameInItsFirstStep) {
    const auto ask = []() -> Coro<std::string> { co_return current_task()->name(); };
    const Task<std::string> task = create_task(ask(), {.name = "test name"});
    EXPECT_EQ(co_await task, "test name");
    const Task<std::string> spawned = spawn(ask(), {.name = "spawned"});
    EXPECT_EQ(co_await spawned, "spawned");
}

CO_TEST(Task, CanBeAwaitedTwiceAndRunsOnce) {
    Trace log;
    const Task<int> task = create_task([&]() -> Coro<int> {
        log("body");
        co_return 5;
    });
    log(co_await task);
    log(co_await task);
    EXPECT_TRUE(log.shows({"body", "5", "5"}));
}

CO_TEST(Task, CallsItsCallbacksAndAwaitersInTheOrderInWhichTheyCame) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        log("body");
        co_await sleep(0s);
        log("end");
    });
    task.add_done_callback([&](const Task<>& done) { log("first", done == task); });
    const Task<> waiter = create_task([&]() -> Coro<> {
        co_await task;
        log("waiter");
    });
    co_await sleep(0s);
    task.add_done_callback([&] { log("second"); });
    co_await waiter;
    EXPECT_TRUE(log.shows({"body", "end", "first", "true", "waiter", "second"}));
}

CO_TEST(Task, AFailingCallbackIsReportedAndStopsNobody) {
    Trace log;
    on_error(log);
    Task<int> task = create_task(number(1));
    task.add_done_callback([] { throw Err(); });
    task.add_done_callback([&] { log("good"); });
    log(co_await task);
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"handler:Exception in callback", "good", "1"}));
}

CO_TEST(Task, WakesItsAwaiterATurnAfterItsEnd) {
    Trace log;
    const auto child = [&]() -> Coro<> {
        log("child ends");
        get_running_loop().call_soon([&] { log("queued by child"); });
        co_return;
    };
    const auto parent = [&]() -> Coro<> {
        co_await create_task(child());
        log("parent resumes");
    };
    const Task<> task = create_task(parent());
    co_await tick();
    get_running_loop().call_soon([&] { log("queued meanwhile"); });
    co_await task;
    EXPECT_TRUE(log.shows({"child ends", "queued meanwhile", "queued by child", "parent resumes"}));
}

CO_TEST(Task, RunsOnWhenItsHandleIsDropped) {
    Trace log;
    create_task([&]() -> Coro<> {
        co_await sleep(2ms);
        log("still ran");
    });
    co_await sleep(10ms);
    EXPECT_TRUE(log.shows({"still ran"}));
}

CO_TEST(Task, ReturningAnExceptionObjectIsAResult) {
    const auto body = []() -> Coro<Err> { co_return Err("value"); };
    const Task<Err> task = create_task(body());
    const Err error = co_await task;
    EXPECT_STREQ(error.what(), "value");
    EXPECT_EQ(task.exception(), nullptr);
}

CO_TEST(Task, RethrowsTheSameExceptionToManyAwaiters) {
    const Task<int> task = create_task(fail("x"));
    std::vector<const void*> seen;
    for (int i = 0; i < 5; ++i) {
        try {
            co_await task;
        } catch (const Err& e) {
            EXPECT_STREQ(e.what(), "x");
            seen.push_back(&e);
        }
    }
    EXPECT_EQ(seen, std::vector<const void*>(5, seen.front()));
}

CO_TEST(Task, LvalueAwaitCopiesAndRvalueAwaitMoves) {
    const auto value = std::make_shared<int>(1);
    const auto body = [](std::shared_ptr<int> given) -> Coro<std::shared_ptr<int>> { co_return given; };
    Task<std::shared_ptr<int>> task = create_task(body(value));
    {
        const auto copy = co_await task;
        EXPECT_EQ(copy, value);
        EXPECT_NE(task.result(), nullptr);
    }
    const auto moved = co_await std::move(task);
    EXPECT_EQ(moved, value);
    EXPECT_EQ(value.use_count(), 2);
}

CO_TEST(Task, RvalueAwaitLeavesTheResultToOtherHandles) {
    const auto body = []() -> Coro<std::string> { co_return "a result longer than a small string"; };
    Task<std::string> task = create_task(body());
    const Task<std::string> other = task;
    const std::string moved = co_await std::move(task);
    EXPECT_EQ(moved, other.result());
}

CO_TEST(Task, AMoveOnlyResultGoesToTheFirstAwaiterAlone) {
    const auto body = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    const Task<std::unique_ptr<int>> task = create_task(body());
    const std::unique_ptr<int> first = co_await task;
    EXPECT_EQ(*first, 3);
    EXPECT_EQ(co_await got(task), "!InvalidStateError");
}

CO_TEST(Task, GivesReferencesToItsResult) {
    const auto body = []() -> Coro<std::vector<int>> { co_return std::vector<int>{1, 2}; };
    const Task<std::vector<int>> task = create_task(body());
    co_await task;
    EXPECT_EQ(&task.result(), &task.result());
    static_assert(std::is_same_v<decltype(task.result()), const std::vector<int>&>);
}

CO_TEST(Task, HandlesOfOneTaskAreEqualAndHashAlike) {
    const Task<int> task = create_task(number(1));
    const Task<int> copy = task;
    const Task<int> other = create_task(number(1));
    const Future<int> future = task;
    const TaskRef ref = task;
    EXPECT_TRUE(task == copy);
    EXPECT_FALSE(task == other);
    EXPECT_TRUE(future == task);
    EXPECT_TRUE(ref == task);
    EXPECT_TRUE(ref == TaskRef(copy));
    EXPECT_NE(task.id(), other.id());
    EXPECT_EQ(ref.id(), task.id());
    const std::unordered_set<Task<int>> tasks{task, copy, other};
    EXPECT_EQ(tasks.size(), 2U);
    EXPECT_EQ(std::hash<TaskRef>()(ref), std::hash<TaskRef>()(TaskRef(copy)));
    co_await gather(task, other);
}

CO_TEST(Task, GoesWhereAFutureIsWanted) {
    std::vector<Future<int>> both;
    both.push_back(create_task(number(1)));
    both.emplace_back();
    both[1].set_result(2);
    const std::vector<int> results = co_await gather(both);
    EXPECT_EQ(results, (std::vector<int>{1, 2}));
}

CO_TEST(Task, CannotBeSettledFromOutside) {
    Task<int> task = create_task(number(1));
    Future<int> future = task;
    EXPECT_EQ(call_message([&] { task.set_result(2); }), "!RuntimeError(Task does not support set_result operation)");
    EXPECT_EQ(call_message([&] { future.set_exception(Err()); }),
              "!RuntimeError(Task does not support set_exception operation)");
    EXPECT_EQ(co_await task, 1);
}

CO_TEST(Task, AnEmptyHandleThrowsInsteadOfCrashing) {
    Task<int> empty;
    EXPECT_FALSE(static_cast<bool>(empty));
    EXPECT_EQ(call([&] { empty.done(); }), "!InvalidStateError");
    EXPECT_EQ(call([&] { empty.cancel(); }), "!InvalidStateError");
    EXPECT_EQ(call([&] { empty.name(); }), "!InvalidStateError");
    EXPECT_EQ(co_await got(empty), "!InvalidStateError");
    EXPECT_EQ(call([&] { gather(empty); }), "!InvalidStateError");
    EXPECT_EQ(call([] { TaskRef().done(); }), "!InvalidStateError");
}

CO_TEST(CurrentTask, IsTheOneWhoseStepRunsAndNoneInACallback) {
    Trace log;
    const auto body = [&](std::string name) -> Coro<> {
        const TaskRef before = *current_task();
        co_await sleep(0s);
        log(name, *current_task() == before && before.name() == name);
    };
    std::vector<Task<>> tasks;
    for (const char* name : {"x", "y"}) {
        tasks.push_back(create_task(body(name), {.name = name}));
    }
    get_running_loop().call_soon([&] { log("callback", current_task().has_value()); });
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"callback", "false", "x", "true", "y", "true"}));
}

CO_TEST(CurrentTask, IsTheAwaiterAgainAfterAChainOfSpawnedTasks) {
    const TaskRef here = *current_task();
    const auto child = []() -> Coro<std::uint64_t> { co_return current_task()->id(); };
    const auto [first, second] = co_await gather(spawn(child()), spawn(child()));
    EXPECT_TRUE(*current_task() == here);
    EXPECT_NE(first, here.id());
    EXPECT_NE(first, second);
}

CO_TEST(AllTasks, AreThoseOfTheLoopThatAreNotDoneInTheOrderOfCreation) {
    std::vector<Task<>> made;
    for (int i = 0; i < 3; ++i) {
        made.push_back(create_task([]() -> Coro<> { co_await sleep(5ms); }));
    }
    const Task<> quick = create_task(nothing());
    std::vector<TaskRef> tasks = all_tasks();
    EXPECT_EQ(tasks.size(), 5U);
    EXPECT_TRUE(tasks[0] == *current_task());
    EXPECT_TRUE(tasks[1] == made[0]);
    EXPECT_TRUE(tasks[3] == made[2]);
    EXPECT_TRUE(tasks[4] == quick);
    co_await tick();
    EXPECT_EQ(all_tasks().size(), 4U);
    co_await gather(made);
    tasks = all_tasks();
    EXPECT_EQ(tasks.size(), 1U);
}

CO_TEST(AllTasks, ListSpawnedTasksOnceTheyHaveStarted) {
    const Task<> task = spawn([]() -> Coro<> { co_await sleep(5ms); });
    co_await tick(3);
    const std::vector<TaskRef> tasks = all_tasks();
    EXPECT_EQ(tasks.size(), 2U);
    EXPECT_TRUE(tasks[1] == task);
    co_await task;
    EXPECT_EQ(all_tasks().size(), 1U);
}

TEST(Task, HandlesOutliveTheirRuntime) {
    Task<int> done;
    Task<> cancelled;
    Task<int> failed;
    TaskRef ref;
    run_one([&]() -> Coro<> {
        done = create_task(number(4), {.name = "four"});
        failed = create_task(fail("kept"));
        cancelled = create_task([]() -> Coro<> { co_await sleep(kForever); });
        ref = cancelled;
        co_await done;
        co_await tick(2);
    });
    EXPECT_EQ(done.result(), 4);
    EXPECT_EQ(done.name(), "four");
    EXPECT_TRUE(cancelled.done());
    EXPECT_TRUE(cancelled.cancelled());
    EXPECT_FALSE(cancelled.cancel());
    EXPECT_TRUE(ref.cancelled());
    EXPECT_EQ(error_text(failed.exception(), true), "!Err(kept)");
    EXPECT_TRUE(done.get_loop().is_closed());
    EXPECT_EQ(done.add_done_callback([] { FAIL(); }) > 0, true);
    EXPECT_EQ(done.wait(), 4);
}

TEST(Task, HandlesDestroyedAfterTheirRuntimeFreeTheResult) {
    const auto shared = std::make_shared<int>(1);
    {
        Task<std::shared_ptr<int>> task;
        run_one([&]() -> Coro<> {
            task = create_task([shared]() -> Coro<std::shared_ptr<int>> { co_return shared; });
            co_await task;
        });
        EXPECT_GT(shared.use_count(), 1);
    }
    EXPECT_EQ(shared.use_count(), 1);
}

// GCC 12 destroys the strings of an aggregate that is a temporary of a co_await expression twice.
CO_TEST(Task, CanBeAwaitedInTheExpressionThatMakesIt) {
    EXPECT_EQ(co_await create_task([]() -> Coro<int> { co_return 1; }), 1);
    EXPECT_EQ(co_await spawn([]() -> Coro<int> { co_return 2; }), 2);
    EXPECT_EQ(co_await create_task(sleep(0s, 3)), 3);
    EXPECT_EQ(co_await get_running_loop().create_task(number(4)), 4);
}

CO_TEST(Task, CanBeAwaitedInTheExpressionThatMakesAndNamesIt) {
    EXPECT_EQ(co_await create_task(number(1), {.name = "a name"}), 1);
    EXPECT_EQ(co_await spawn(number(2), {.name = "a name"}), 2);
}

}  // namespace
}  // namespace knit::test
