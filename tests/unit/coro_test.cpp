// Coroutine objects, and awaiting them and other things.

#include "co_test.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<int> number(int value) { co_return value; }
Coro<int> number_later(int value) {
    co_await sleep(5ms);
    co_return value;
}
Coro<> fail(std::string what) {
    co_await sleep(0s);
    throw Err(what);
}
Coro<> say(Trace& log, std::string what) {
    log(what);
    co_return;
}

CO_TEST(Coro, RunsNothingBeforeItIsAwaited) {
    Trace log;
    Coro<> coro = say(log, "body");
    co_await tick(2);
    log("before");
    co_await std::move(coro);
    EXPECT_TRUE(log.shows({"before", "body"}));
}

CO_TEST(Coro, ArgumentsAreEvaluatedAtTheCall) {
    Trace log;
    int value = 1;
    const auto argument = [&] {
        log("argument");
        return text(value);
    };
    Coro<> coro = say(log, argument());
    value = 2;
    log("called");
    co_await coro;
    EXPECT_TRUE(log.shows({"argument", "called", "1"}));
}

TEST(Coro, DestroyedUnstartedItRunsNothingAndReleasesItsArguments) {
    const auto shared = std::make_shared<int>(1);
    bool has_run = false;
    const auto hold = [](std::shared_ptr<int> argument, bool& flag) -> Coro<int> {
        flag = true;
        co_return *argument;
    };
    {
        const Coro<int> coro = hold(shared, has_run);
        EXPECT_EQ(shared.use_count(), 2);
    }
    EXPECT_EQ(shared.use_count(), 1);
    EXPECT_FALSE(has_run);
}

TEST(Coro, CloseDropsAnUnstartedOneWithoutARecord) {
    const LogCapture capture;
    Coro<int> coro = number(1);
    EXPECT_TRUE(coro.valid());
    coro.close();
    EXPECT_FALSE(coro.valid());
    coro.close();
    EXPECT_TRUE(capture.records().empty());
}

TEST(Coro, IsValidUntilMovedFrom) {
    Coro<int> empty;
    EXPECT_FALSE(empty.valid());
    EXPECT_FALSE(static_cast<bool>(empty));
    Coro<int> coro = number(1);
    EXPECT_TRUE(static_cast<bool>(coro));
    empty = std::move(coro);
    EXPECT_TRUE(empty.valid());
    EXPECT_FALSE(coro.valid());  // NOLINT(bugprone-use-after-move): that is what is tested
    static_assert(!std::is_copy_constructible_v<Coro<int>>);
    static_assert(std::is_nothrow_move_constructible_v<Coro<int>>);
}

CO_TEST(Coro, IsNotValidOnceAwaited) {
    Coro<int> coro = number(1);
    EXPECT_EQ(co_await coro, 1);
    EXPECT_FALSE(coro.valid());
}

CO_TEST(Coro, AwaitedTwiceThrows) {
    Coro<int> coro = number(1);
    co_await coro;
    std::string error;
    try {
        co_await coro;
    } catch (const RuntimeError& e) {
        error = e.what();
    }
    EXPECT_TRUE(error.starts_with("cannot reuse already awaited coroutine")) << error;
}

CO_TEST(Coro, AwaitedByTwoTasksThrowsInTheSecondAndLeavesTheFirstAlone) {
    Coro<int> coro = number_later(1);
    const Task<int> first = create_task([&]() -> Coro<int> { co_return co_await coro; });
    co_await tick();
    std::string error;
    try {
        co_await coro;
    } catch (const RuntimeError& e) {
        error = e.what();
    }
    EXPECT_TRUE(error.starts_with("coroutine is being awaited already")) << error;
    EXPECT_EQ(co_await first, 1);
}

CO_TEST(Coro, AwaitingAMovedFromOneThrows) {
    Coro<int> coro = number(1);
    const Task<int> task = create_task(std::move(coro));
    std::string error;
    try {
        co_await coro;  // NOLINT(bugprone-use-after-move): that is what is tested
    } catch (const RuntimeError& e) {
        error = e.what();
    }
    EXPECT_TRUE(error.starts_with("cannot reuse already awaited coroutine")) << error;
    EXPECT_EQ(co_await task, 1);
}

CO_TEST(Coro, EmptyOneIsAValueErrorAtTheCall) {
    EXPECT_TRUE(call_message([] { create_task(Coro<int>()); }).starts_with("!ValueError(a coroutine was expected"));
    EXPECT_TRUE(call_message([] { spawn(Coro<int>()); }).starts_with("!ValueError(a coroutine was expected"));
    EXPECT_TRUE(call_message([] { gather(Coro<int>()); }).starts_with("!ValueError(a coroutine was expected"));
    co_return;
}

TEST(Coro, EmptyOneGivenToRunIsAValueError) {
    EXPECT_TRUE(call_message([] { run(Coro<int>()); }).starts_with("!ValueError(a coroutine was expected"));
}

CO_TEST(Coro, ExceptionArrivesAtTheAwaitAsTheSameObject) {
    const auto error = std::make_exception_ptr(Err("x"));
    const auto thrower = [](std::exception_ptr what) -> Coro<> {
        std::rethrow_exception(what);
        co_return;
    };
    std::exception_ptr seen;
    try {
        co_await thrower(error);
    } catch (const Err&) {
        seen = std::current_exception();
    }
    EXPECT_EQ(seen, error);
    EXPECT_EQ(co_await number(2), 2);
}

CO_TEST(Coro, ExceptionPassesThroughFramesThatDoNotHandleIt) {
    const auto middle = []() -> Coro<> { co_await fail("deep"); };
    const auto outer = [&]() -> Coro<> { co_await middle(); };
    EXPECT_EQ(co_await got_message(outer()), "!Err(deep)");
}

CO_TEST(Coro, GivesMoveOnlyValues) {
    const auto make = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
    const std::unique_ptr<int> value = co_await make();
    EXPECT_EQ(*value, 7);
}

CO_TEST(Coro, LocalsDieBeforeTheAwaiterGoesOn) {
    Trace log;
    struct Scope {
        Trace& log;
        ~Scope() { log("scope ends"); }
    };
    const auto inner = [&]() -> Coro<> {
        const Scope scope{log};
        co_await sleep(0s);
        log("inner ends");
    };
    co_await inner();
    log("outer goes on");
    EXPECT_TRUE(log.shows({"inner ends", "scope ends", "outer goes on"}));
}

CO_TEST(Await, OfACoroutineRunsItInlineWithoutATurnOfTheLoop) {
    Trace log;
    const Task<> other = create_task(say(log, "other"));
    co_await say(log, "inline");
    log("after");
    co_await other;
    EXPECT_TRUE(log.shows({"inline", "after", "other"}));
}

CO_TEST(Await, OfACoroutineStaysInTheSameTask) {
    const std::uint64_t outside = current_task()->id();
    const auto inner = []() -> Coro<std::uint64_t> { co_return current_task()->id(); };
    EXPECT_EQ(co_await inner(), outside);
}

CO_TEST(Await, OfASettledFutureDoesNotSuspend) {
    Trace log;
    Future<int> future;
    future.set_result(7);
    get_running_loop().call_soon([&] { log("loop ran"); });
    log(co_await future, co_await future);
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"7", "7", "loop ran"}));
}

CO_TEST(Await, NeverResumesTheWaiterInsideSetResult) {
    Trace log;
    Future<int> future;
    const Task<> waiter = create_task([&]() -> Coro<> {
        log("waits");
        log("got", co_await future);
    });
    co_await sleep(0s);
    future.set_result(1);
    log("setter continues");
    co_await waiter;
    EXPECT_TRUE(log.shows({"waits", "setter continues", "got", "1"}));
}

CO_TEST(Await, SeveralWaitersResumeInTheOrderOfWaiting) {
    Trace log;
    Future<std::shared_ptr<int>> future;
    const auto value = std::make_shared<int>(1);
    const auto wait = [&](std::string name) -> Coro<> {
        const auto result = co_await future;
        log(name, result == value);
    };
    std::vector<Task<>> tasks;
    for (const char* name : {"a", "b", "c"}) {
        tasks.push_back(create_task(wait(name)));
    }
    co_await sleep(0s);
    future.set_result(value);
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"a", "true", "b", "true", "c", "true"}));
}

TEST(Await, OfAFutureOfAnotherRuntimeIsRefused) {
    Runtime other(on_loops(1));
    Future<int> future = other.loop(0).create_future<int>();
    Runtime runtime(on_loops(1));
    const std::string text = runtime.run_until_complete(got_message(future));
    EXPECT_TRUE(text.starts_with("!RuntimeError(")) << text;
    EXPECT_NE(text.find("attached to a different loop"), std::string::npos) << text;
}

/// A foreign awaitable: the three functions, knowing nothing of knit.
struct ResumedByThread {
    std::thread& thread;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        thread = std::thread([handle] { handle.resume(); });
    }
    std::thread::id await_resume() const noexcept { return thread.get_id(); }
};
struct GivesBack {
    bool is_ready;
    bool await_ready() const noexcept { return is_ready; }
    bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
    int await_resume() const noexcept { return 3; }
};
struct TransfersToItself {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> handle) const noexcept { return handle; }
    int await_resume() const noexcept { return 4; }
};
struct WithOperator {
    GivesBack operator co_await() const noexcept { return {true}; }
};
struct ThrowsInSuspend {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const { throw Err("suspend"); }
    void await_resume() const noexcept {}
};

CO_TEST_ON_LOOPS(Await, OfAForeignAwaitableComesBackToTheLoop) {
    std::thread thread;
    const std::thread::id here = std::this_thread::get_id();
    Loop& loop = get_running_loop();
    const TaskRef task = *current_task();
    const std::thread::id there = co_await ResumedByThread{thread};
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(&get_running_loop(), &loop);
    EXPECT_TRUE(current_task() == task);
    thread.join();
}

CO_TEST(Await, TakesEveryFormOfAwaitSuspend) {
    EXPECT_EQ(co_await GivesBack{true}, 3);
    EXPECT_EQ(co_await GivesBack{false}, 3);
    EXPECT_EQ(co_await TransfersToItself{}, 4);
    EXPECT_EQ(co_await WithOperator{}, 3);
    const Task<int> task = create_task(WithOperator{});
    EXPECT_EQ(co_await task, 3);
    const auto both = co_await gather(GivesBack{false}, TransfersToItself{});
    EXPECT_EQ(both, std::make_tuple(3, 4));
}

CO_TEST(Await, PassesOnWhatAForeignAwaitSuspendThrows) {
    EXPECT_EQ(co_await got_message(ThrowsInSuspend{}), "!Err(suspend)");
    co_await sleep(1ms);  // the task is in order
}

CO_TEST(AsCoro, KeepsTheAwaitableAndGivesItsResult) {
    Future<int> future;
    Coro<int> coro = as_coro(future);
    future.set_result(5);
    EXPECT_EQ(co_await std::move(coro), 5);
    EXPECT_EQ(co_await as_coro(sleep(1ms, 6)), 6);
    EXPECT_EQ(co_await as_coro(number(7)), 7);
    EXPECT_EQ(co_await as_coro(gather(number(1), number(2))), std::make_tuple(1, 2));
    const Task<std::string> task = create_task(sleep(1ms, std::string("x")));
    EXPECT_EQ(co_await task, "x");
}

CO_TEST(Callable, KeepsItsCapturesForAsLongAsItsCoroutineRuns) {
    const auto shared = std::make_shared<int>(5);
    const auto make = [&] {
        return create_task([held = shared]() -> Coro<int> {
            co_await sleep(1ms);
            co_return *held;
        });
    };
    Task<int> task = make();
    EXPECT_EQ(shared.use_count(), 2);
    EXPECT_EQ(co_await task, 5);
    task = Task<int>();
    EXPECT_EQ(shared.use_count(), 1);
    const Task<int> spawned = spawn([held = shared]() -> Coro<int> {
        co_await sleep(1ms);
        co_return *held;
    });
    EXPECT_EQ(co_await spawned, 5);
}

TEST(Callable, IsTakenByRun) {
    const auto shared = std::make_shared<int>(5);
    EXPECT_EQ(run([held = shared]() -> Coro<int> {
        co_await sleep(1ms);
        co_return *held;
    }, on_loops(1)), 5);
    EXPECT_EQ(shared.use_count(), 1);
}

}  // namespace
}  // namespace knit::test
