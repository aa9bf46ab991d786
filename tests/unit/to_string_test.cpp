// Tasks and futures as text.

#include "co_test.hpp"

#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace knit::test {
namespace {

Coro<int> waits(Future<int> future) { co_return co_await future; }
Coro<> follows(Task<int> task) { co_await task; }
Coro<int> five() { co_return 5; }
Coro<> fails() {
    throw Err("boom");
    co_return;
}

/// What compilers call a function differs in its namespace alone: "coro=<knit::test::(anonymous namespace)::five()>".
std::string plain(std::string text) {
    for (const std::string_view space : {"knit::test::(anonymous namespace)::", "knit::test::{anonymous}::"}) {
        for (std::size_t at = text.find(space); at != std::string::npos; at = text.find(space)) {
            text.erase(at, space.size());
        }
    }
    return text;
}
template <class Handle>
std::string shown(const Handle& handle) {
    return plain(to_string(handle));
}

// DEBUG-08
CO_TEST(ToString, OfATaskShowsItsStateItsNameAndWhatItWaitsFor) {
    Future<int> future;
    Task<int> task = create_task(waits(future), {.name = "T1"});
    EXPECT_EQ(shown(task), "<Task pending name='T1' coro=<waits()>>");
    co_await tick();
    EXPECT_EQ(shown(task), "<Task pending name='T1' coro=<waits()> wait_for=<Future pending>>");
    task.cancel();
    EXPECT_TRUE(shown(task).starts_with("<Task cancelling name='T1' coro=<waits()> wait_for=<Future cancelled"));
    co_await got(task);
    EXPECT_EQ(shown(task), "<Task cancelled name='T1' coro=<waits()>>");
}

CO_TEST(ToString, OfAFinishedTaskShowsTheResultOrTheException) {
    Task<int> number = create_task(five(), {.name = "N"});
    co_await number;
    EXPECT_EQ(shown(number), "<Task finished name='N' coro=<five()> result=5>");
    EXPECT_EQ(shown(TaskRef(number)), "<Task finished name='N' coro=<five()> result=...>");
    Task<> failed = create_task(fails(), {.name = "F"});
    co_await got(failed);
    EXPECT_EQ(shown(failed), "<Task finished name='F' coro=<fails()> exception=Err('boom')>");
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
    Future<int> future;
    Task<int> inner = create_task(waits(future), {.name = "inner"});
    Task<> outer = create_task(follows(inner), {.name = "outer"});
    co_await tick(2);
    EXPECT_EQ(shown(outer),
              "<Task pending name='outer' coro=<follows()> wait_for=<Task pending name='inner' coro=<waits()> "
              "wait_for=<Future pending>>>");
    future.set_result(1);
    co_await outer;
}

CO_TEST(ToString, OfATaskMadeOfACallableNamesTheCallablesCoroutineOnceItRuns) {
    const Task<int> task = create_task([] { return five(); }, {.name = "C"});
    co_await task;
    EXPECT_EQ(shown(task), "<Task finished name='C' coro=<five()> result=5>");
}

CO_TEST(ToString, OfATaskThatSleepsNamesTheWait) {
    Task<> task = create_task(sleep(1ms), {.name = "S"});
    co_await tick();
    EXPECT_TRUE(to_string(task).starts_with("<Task pending name='S' coro=<knit::"));
    EXPECT_TRUE(to_string(task).ends_with("()> wait_for=<sleep>>"));
    co_await task;
}

CO_TEST(ToString, OnAnotherThreadLeavesOutWhatTheTaskWaitsFor) {
    Future<int> future;
    Task<int> task = create_task(waits(future), {.name = "T"});
    co_await tick();
    std::string text;
    std::thread thread([&] { text = shown(task); });
    thread.join();
    EXPECT_EQ(text, "<Task pending name='T' coro=<waits()>>");
    future.set_result(1);
    co_await task;
}

TEST(ToString, OfATaskThatOutlivesItsRuntime) {
    Task<int> task;
    run_one([&]() -> Coro<> {
        task = create_task(five(), {.name = "kept"});
        co_await task;
    });
    EXPECT_EQ(shown(task), "<Task finished name='kept' coro=<five()> result=5>");
}

}  // namespace
}  // namespace knit::test
