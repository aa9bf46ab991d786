// What is called in the wrong place says so.

#include "co_test.hpp"

#include <string>
#include <thread>
#include <utility>

namespace knit::test {
namespace {

Coro<> nothing() { co_return; }
Coro<int> number(int value) { co_return value; }

TEST(Misuse, WithoutARunningLoop) {
    const std::string expected = "!RuntimeError(no running event loop)";
    EXPECT_EQ(call_message([] { create_task(nothing()); }), expected);
    EXPECT_EQ(call_message([] { spawn(nothing()); }), expected);
    EXPECT_EQ(call_message([] { current_task(); }), expected);
    EXPECT_EQ(call_message([] { all_tasks(); }), expected);
    EXPECT_EQ(call_message([] { get_running_loop(); }), expected);
    EXPECT_EQ(call_message([] { get_runtime(); }), expected);
}

CO_TEST(Misuse, ATaskCannotAwaitItself) {
    Task<> task;
    task = create_task([&]() -> Coro<> { co_await task; });
    const std::string error = co_await got_message(task);
    EXPECT_TRUE(error.starts_with("!RuntimeError(Task cannot await on itself")) << error;
}

CO_TEST_ON_LOOPS(Misuse, ASpawnedTaskCannotAwaitItselfEither) {
    Task<> task;
    Future<> go;
    task = spawn([&]() -> Coro<> {
        co_await go;
        co_await task;
    });
    co_await tick(3);
    go.set_result();
    const std::string error = co_await got_message(task);
    EXPECT_TRUE(error.starts_with("!RuntimeError(Task cannot await on itself")) << error;
}

CO_TEST(Misuse, WaitOnALoopIsRefused) {
    Task<> task = create_task(nothing());
    EXPECT_TRUE(call([&] { task.wait(); }) == "!RuntimeError");
    EXPECT_TRUE(call([&] { task.wait_for(1ms); }) == "!RuntimeError");
    co_await task;
}

TEST(Misuse, CloseIsRefusedFromInsideAndIdempotent) {
    Runtime runtime(on_loops(1));
    const auto close_it = [](Runtime& whose) -> Coro<std::string> { co_return call_message([&] { whose.close(); }); };
    EXPECT_EQ(runtime.run_until_complete(close_it(runtime)), "!RuntimeError(Cannot close a running event loop)");
    EXPECT_FALSE(runtime.is_closed());
    runtime.close();
    runtime.close();
    EXPECT_TRUE(runtime.is_closed());
}

TEST(Misuse, RunningARunningRuntimeOrASecondOneIsRefusedWithoutASideEffect) {
    Runtime a(on_loops(1));
    Runtime b(on_loops(1));
    const auto nest = [](Runtime& inner) -> Coro<std::string> {
        const std::string error = call_message([&] { inner.run_forever(); });
        co_await sleep(1ms);
        EXPECT_EQ(get_running_loop().is_running(), true);
        co_return error;
    };
    EXPECT_EQ(a.run_until_complete(nest(a)), "!RuntimeError(This event loop is already running)");
    EXPECT_EQ(a.run_until_complete(nest(b)), "!RuntimeError(Cannot run the event loop while another loop is running)");
    EXPECT_EQ(b.run_until_complete(number(2)), 2);
}

TEST(Misuse, RunningUntilAFutureOfAnotherRuntimeIsAValueError) {
    Runtime a(on_loops(1));
    Runtime b(on_loops(1));
    const Future<> future = a.loop(0).create_future();
    EXPECT_EQ(call([&] { b.run_until_complete(future); }), "!ValueError");
}

TEST(Misuse, RunningARuntimeOnAnotherThreadIsRefused) {
    Runtime runtime(on_loops(1));
    std::string error;
    std::thread thread([&] { error = call([&] { runtime.run_until_complete(nothing()); }); });
    thread.join();
    EXPECT_EQ(error, "!RuntimeError");
}

TEST(Misuse, StoppedBeforeItsEndARunSaysSoAndTheTaskGoesOnLater) {
    Runtime runtime(on_loops(1));
    Task<int> task = runtime.loop(0).create_task([]() -> Coro<int> { co_return co_await sleep(10ms, 7); }());
    runtime.loop(0).call_later(1ms, [&] { runtime.stop(); });
    EXPECT_EQ(call_message([&] { runtime.run_until_complete(task); }),
              "!RuntimeError(Event loop stopped before Future completed.)");
    EXPECT_FALSE(task.done());
    EXPECT_EQ(runtime.run_until_complete(task), 7);
}

TEST(Misuse, MovingToALoopOfAnotherRuntimeIsAValueError) {
    Runtime other(on_loops(1));
    const auto body = [](Loop& foreign) -> Coro<> {
        co_await resume_on(foreign);
    };
    EXPECT_EQ(call([&] { run(body(other.loop(0)), on_loops(1)); }), "!ValueError");
}

TEST(Misuse, ARuntimeMayBeMadeAndDestroyedWhileAnotherOneRuns) {
    EXPECT_EQ(run_one([]() -> Coro<int> {
        {
            Runtime other(on_loops(1));
            EXPECT_EQ(other.size(), 1U);
        }
        co_await sleep(1ms);
        co_return 1;
    }), 1);
}

TEST(Misuse, TasksAreNotMadeOnAClosedLoopAndTheirArgumentsAreFreed) {
    const auto shared = std::make_shared<int>(1);
    const auto hold = [](std::shared_ptr<int>) -> Coro<> { co_return; };
    Runtime runtime(on_loops(1));
    runtime.close();
    EXPECT_EQ(call_message([&] { runtime.loop(0).create_task(hold(shared)); }), "!RuntimeError(Event loop is closed)");
    EXPECT_EQ(call_message([&] { runtime.submit(hold(shared)); }), "!RuntimeError(Event loop is closed)");
    EXPECT_EQ(shared.use_count(), 1);
}

}  // namespace
}  // namespace knit::test
