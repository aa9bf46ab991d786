// Tasks and futures as text.

#include "co_test.hpp"

#include <string>
#include <thread>
#include <vector>

namespace knit::test {
namespace {

// DEBUG-08
CO_TEST(ToString, OfATaskShowsItsStateItsNameAndWhatItWaitsFor) {
    Future<int> future;
    Task<int> task = create_task([future]() -> Coro<int> { co_return co_await future; }, {.name = "T1"});
    EXPECT_EQ(to_string(task), "<Task pending name='T1' coro=<coro()>>");
    co_await tick();
    EXPECT_EQ(to_string(task), "<Task pending name='T1' coro=<coro()> wait_for=<Future pending>>");
    task.cancel();
    EXPECT_TRUE(to_string(task).starts_with("<Task cancelling name='T1' coro=<coro()> wait_for=<Future cancelled"));
    co_await got(task);
    EXPECT_EQ(to_string(task), "<Task cancelled name='T1' coro=<coro()>>");
}

CO_TEST(ToString, OfAFinishedTaskShowsTheResultOrTheException) {
    Task<int> number = create_task([]() -> Coro<int> { co_return 5; }, {.name = "N"});
    co_await number;
    EXPECT_EQ(to_string(number), "<Task finished name='N' coro=<coro()> result=5>");
    EXPECT_EQ(to_string(TaskRef(number)), "<Task finished name='N' coro=<coro()> result=...>");
    Task<> failed = create_task([]() -> Coro<> {
        throw Err("boom");
        co_return;
    }, {.name = "F"});
    co_await got(failed);
    EXPECT_EQ(to_string(failed), "<Task finished name='F' coro=<coro()> exception=Err('boom')>");
    EXPECT_EQ(to_string(TaskRef(failed)), to_string(failed));
}

CO_TEST(ToString, OfAFutureShowsItsStateAndItsResult) {
    Future<std::string> text;
    EXPECT_EQ(to_string(text), "<Future pending>");
    text.set_result("it's\n");
    EXPECT_EQ(to_string(text), "<Future finished result=\"it's\\n\">");
    Future<> nothing;
    nothing.set_result();
    EXPECT_EQ(to_string(nothing), "<Future finished result=None>");
    Future<bool> flag;
    flag.set_result(true);
    EXPECT_EQ(to_string(flag), "<Future finished result=True>");
    Future<double> real;
    real.set_result(0.5);
    EXPECT_EQ(to_string(real), "<Future finished result=0.5>");
    Future<std::vector<int>> several;
    several.set_result(std::vector<int>{1});
    EXPECT_TRUE(to_string(several).starts_with("<Future finished result=<std::")) << to_string(several);
    Future<> cancelled;
    cancelled.cancel();
    EXPECT_EQ(to_string(cancelled), "<Future cancelled>");
    Future<> failed;
    failed.set_exception(42);
    EXPECT_EQ(to_string(failed), "<Future finished exception=int()>");
    EXPECT_EQ(to_string(Task<>()), "<Task empty>");
    static_cast<void>(failed.exception());
    co_return;
}

// reprlib.repr, as Future's repr uses it: 30 characters, the middle left out.
CO_TEST(ToString, CutsALongTextInTheMiddle) {
    Future<std::string> text;
    text.set_result("abcdefghijklmnopqrstuvwxyz0123456789");
    EXPECT_EQ(to_string(text), "<Future finished result='abcdefghijkl...xyz0123456789'>");
    co_return;
}

CO_TEST(ToString, OfATaskThatAwaitsATaskShowsTheChain) {
    Future<> future;
    Task<> inner = create_task([future]() -> Coro<> { co_await future; }, {.name = "inner"});
    Task<> outer = create_task([inner]() -> Coro<> { co_await inner; }, {.name = "outer"});
    co_await tick(2);
    EXPECT_EQ(to_string(outer),
              "<Task pending name='outer' coro=<coro()> wait_for=<Task pending name='inner' coro=<coro()> "
              "wait_for=<Future pending>>>");
    future.set_result();
    co_await outer;
}

CO_TEST(ToString, OfATaskThatSleepsNamesTheWait) {
    Task<> task = create_task(sleep(1ms), {.name = "S"});
    co_await tick();
    EXPECT_EQ(to_string(task), "<Task pending name='S' coro=<coro()> wait_for=<sleep>>");
    co_await task;
}

CO_TEST(ToString, OnAnotherThreadLeavesOutWhatTheTaskWaitsFor) {
    Future<> future;
    Task<> task = create_task([future]() -> Coro<> { co_await future; }, {.name = "T"});
    co_await tick();
    std::string text;
    std::thread thread([&] { text = to_string(task); });
    thread.join();
    EXPECT_EQ(text, "<Task pending name='T' coro=<coro()>>");
    future.set_result();
    co_await task;
}

TEST(ToString, OfATaskThatOutlivesItsRuntime) {
    Task<int> task;
    run_one([&]() -> Coro<> {
        task = create_task([]() -> Coro<int> { co_return 1; }, {.name = "kept"});
        co_await task;
    });
    EXPECT_EQ(to_string(task), "<Task finished name='kept' coro=<coro()> result=1>");
}

}  // namespace
}  // namespace knit::test
