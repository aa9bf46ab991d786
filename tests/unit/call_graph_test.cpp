// Who awaits whom, as a call graph.

#include "co_test.hpp"

#include <array>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "stack.hpp"

namespace knit::test {
namespace {

/// "inner" of "knit::Coro<> knit::test::(anonymous namespace)::inner()"; none of knit's own, nor of a lambda.
std::optional<std::string> short_function(std::string_view function) {
    const std::string name(detail::short_name(function));
    const std::string last = name.substr(name.rfind(':') + 1);
    if (name.starts_with("knit::detail::") || last.find("operator") != std::string::npos ||
        last.find('}') != std::string::npos) {
        return std::nullopt;
    }
    return last;
}

/// [name [functions] [awaiters]], as the catalogue writes it.
std::string shape(const CallGraph& graph) {
    std::string text = "[" + graph.name + " [";
    for (const char* separator = ""; const Frame& frame : graph.stack) {
        if (const auto name = short_function(frame.function)) {
            text += separator + *name;
            separator = " ";
        }
    }
    text += "] [";
    for (const char* separator = ""; const CallGraph& awaiter : graph.awaited_by) {
        text += separator + shape(awaiter);
        separator = " ";
    }
    return text + "]]";
}
std::string my_shape() { return shape(capture_call_graph()); }

/// The graph's awaiters alone.
std::string my_awaiters() {
    std::string text;
    for (const CallGraph& awaiter : capture_call_graph().awaited_by) {
        text += shape(awaiter);
    }
    return text;
}

void name_me(const char* name) { current_task()->set_name(name); }

Coro<> inner(Trace& log) {
    co_await sleep(0s);
    log(my_shape());
}
Coro<> c1(Trace& log) { co_await inner(log); }
Coro<> c2(Trace& log) { co_await create_task(c1(log), {.name = "child"}); }
Coro<> outer(Trace& log) {
    name_me("main");
    co_await c2(log);
}

// GRAPH-01
TEST(CallGraph, OfATaskHasItsStackAndTheAwaitingTaskWithItsStack) {
    Trace log;
    run(outer(log), on_loops(1));
    EXPECT_TRUE(log.shows({"[child [inner c1] [[main [c2 outer] []]]]"}));
}

Coro<> deep(Trace& log) {
    co_await sleep(0s);
    log(my_awaiters());
}
Coro<> several(Trace& log) {
    name_me("main");
    co_await gather(deep(log), sleep(0s));
    co_await shield(deep(log));
    std::vector<Task<>> tasks;
    tasks.push_back(create_task(deep(log)));
    co_await wait(tasks);
}

// GRAPH-03
TEST(CallGraph, IsNotCutByGatherShieldAndWait) {
    Trace log;
    run(several(log), on_loops(1));
    EXPECT_TRUE(log.shows({"[main [several] []]", "[main [several] []]", "[main [several] []]"}));
}

Coro<> in_handles(Trace& log) {
    name_me("main");
    auto inside = gather(deep(log));
    auto outside = gather(shield(inside.future()));
    const auto together = outside.future();
    co_await together;
}

TEST(CallGraph, IsNotCutByGathersAndShieldsThatAreHandles) {
    Trace log;
    run(in_handles(log), on_loops(1));
    EXPECT_TRUE(log.shows({"[main [in_handles] []]"}));
}

Coro<> in_timeouts(Trace& log) {
    name_me("main");
    Task<> task = create_task(deep(log));
    co_await wait_for(task, 1h);
    Task<> other = create_task(deep(log));
    co_await with_timeout(1h, other);
}

TEST(CallGraph, IsNotCutByTimeouts) {
    Trace log;
    run(in_timeouts(log), on_loops(1));
    EXPECT_TRUE(log.shows({"[main [in_timeouts] []]", "[main [in_timeouts] []]"}));
}

Coro<> at_the_end_of_a_group(Trace& log) {
    name_me("main");
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        group.create_task(deep(log));
        co_return;
    });
}
Coro<> in_the_body_of_a_group(Trace& log) {
    name_me("main");
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        group.create_task(deep(log));
        co_await tick(3);
        log("body");
    });
}

TEST(CallGraph, HasTheParentOfATaskGroupAsAwaiterOfItsTasks) {
    Trace log;
    run(at_the_end_of_a_group(log), on_loops(1));
    run(in_the_body_of_a_group(log), on_loops(1));
    const std::vector<std::string> lines = log.lines();
    EXPECT_EQ(lines.size(), 3U);
    EXPECT_TRUE(lines[0].starts_with("[main [") && lines[0].find("at_the_end_of_a_group") != std::string::npos)
        << lines[0];
    EXPECT_TRUE(lines[1].starts_with("[main [") && lines[1].find("tick") != std::string::npos) << lines[1];
    EXPECT_EQ(lines[2], "body");
}

Coro<> as_they_complete(Trace& log) {
    name_me("main");
    std::vector<Task<>> tasks;
    tasks.push_back(create_task(deep(log)));
    auto results = as_completed(tasks);
    while (auto next = results.next()) {
        co_await *next;
    }
}

TEST(CallGraph, IsNotCutByAsCompleted) {
    Trace log;
    run(as_they_complete(log), on_loops(1));
    EXPECT_TRUE(log.shows({"[main [as_they_complete] []]"}));
}

Coro<> await_it(Task<> task) { co_await task; }
Coro<> await_future(Future<> future) { co_await future; }
Coro<> gather_it(Task<> task) { co_await gather(task, sleep(0s)); }

CO_TEST(CallGraph, ListsTheAwaitersInTheOrderOfTheirAwaits) {
    Trace log;
    Future<> go;
    Task<> target = create_task(await_future(go), {.name = "target"});
    co_await tick();
    Task<> late = create_task([&]() -> Coro<> {
        co_await tick(2);
        co_await target;
    }, {.name = "made first"});
    Task<> second = create_task(gather_it(target), {.name = "second"});
    Task<> first = create_task(await_it(target), {.name = "third"});
    co_await tick(4);
    const CallGraph graph = capture_call_graph(target);
    EXPECT_EQ(graph.awaited_by.size(), 3U);
    std::string names;
    for (const CallGraph& awaiter : graph.awaited_by) {
        names += awaiter.name + ",";
    }
    EXPECT_EQ(names, "second,third,made first,");
    go.set_result();
    co_await gather(late, second, first);
}

CO_TEST(CallGraph, OfAFutureHasNoStackAndItsAwaiters) {
    Future<> future;
    Task<> first = create_task(await_future(future), {.name = "first"});
    Task<> second = create_task(await_future(future), {.name = "second"});
    co_await tick();
    EXPECT_EQ(shape(capture_call_graph(future)),
              "[Future [] [[first [await_future] []] [second [await_future] []]]]");
    future.set_result();
    EXPECT_EQ(shape(capture_call_graph(future)), "[Future [] []]");
    co_await gather(first, second);
}

CO_TEST(CallGraph, OfATaskThatHasEndedIsItsName) {
    Task<> task = create_task(sleep(0s), {.name = "over"});
    co_await task;
    EXPECT_EQ(shape(capture_call_graph(task)), "[over [] []]");
}

CO_TEST(CallGraph, OfNothingIsRefused) {
    EXPECT_EQ(call([] { capture_call_graph(Future<>(detail::CoreRef())); }), "!InvalidStateError");
    EXPECT_EQ(call([] { capture_call_graph(TaskRef()); }), "!InvalidStateError");
    co_return;
}

TEST(CallGraph, OfTheCurrentTaskNeedsOne) {
    EXPECT_EQ(call([] { capture_call_graph(); }), "!RuntimeError");
    run_one([]() -> Coro<> {
        std::string outcome;
        get_running_loop().call_soon([&] { outcome = call_message([] { capture_call_graph(); }); });
        co_await tick(2);
        EXPECT_EQ(outcome, "!RuntimeError(capture_call_graph() is called outside of a running task)");
    });
}

Coro<> wait_for_either(const Task<>& task, Future<> stop) {
    std::vector<Future<>> both;
    both.push_back(task);
    both.push_back(stop);
    co_await wait(both, {.timeout = {}, .return_when = FIRST_COMPLETED});
}

// GRAPH-06
CO_TEST(CallGraph, WithACycleIsAnErrorThatNamesTheTasks) {
    Future<> stop;
    std::array<Task<>, 2> tasks;
    tasks[0] = create_task(wait_for_either(tasks[1], stop), {.name = "Task-2"});
    tasks[1] = create_task(wait_for_either(tasks[0], stop), {.name = "Task-3"});
    co_await tick(2);
    const std::string expected = "!RuntimeError(await-graph contains cycles: Task-2 -> Task-3 -> Task-2)";
    EXPECT_EQ(call_message([&] { capture_call_graph(tasks[0]); }), expected);
    EXPECT_EQ(call_message([&] { capture_call_graph(tasks[1]); }), expected);
    EXPECT_NE(dump_tasks().find("await-graph contains cycles: Task-2 -> Task-3 -> Task-2\n"), std::string::npos);
    EXPECT_NE(dump_tasks().find("Task-3: waiting for wait since"), std::string::npos);
    stop.set_result();
    co_await gather(tasks[0], tasks[1]);
}

CO_TEST_ON_LOOPS(CallGraph, LeadsFromLoopToLoop) {
    const std::size_t last = get_runtime().size() - 1;
    name_me("main");
    const Task<std::string> far = create_task([]() -> Coro<std::string> {
        co_await sleep(1ms);
        co_return my_shape();
    }, {.name = "far", .loop = &get_runtime().loop(last)});
    const std::string seen = co_await far;
    EXPECT_TRUE(seen.starts_with("[far [")) << seen;
    EXPECT_NE(seen.find("[[main ["), std::string::npos) << seen;
}

CO_TEST(CallGraph, IsFormattedAsAsyncioDoes) {
    Future<> go;
    Task<> target = create_task(await_future(go), {.name = "target"});
    Task<> awaiter = create_task(await_it(target), {.name = "awaiter"});
    co_await tick(2);
    const std::string text = format_call_graph(target);
    EXPECT_TRUE(text.starts_with("* Task(name='target')\n  + Call stack:\n  |   File '")) << text;
    EXPECT_NE(text.find("await_future()\n  + Awaited by:\n    * Task(name='awaiter')\n      + Call stack:\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(format_call_graph(capture_call_graph(target)), text);
    EXPECT_TRUE(format_call_graph(go).starts_with("* Future\n  + Awaited by:\n    * Task(name='target')\n"));
    std::ostringstream out;
    print_call_graph(out);
    EXPECT_EQ(out.str(), format_call_graph());
    go.set_result();
    co_await awaiter;
}

CO_TEST(CallGraph, CanBeCapturedByAnotherThread) {
    Future<> go;
    Task<> target = create_task(await_future(go), {.name = "target"});
    Task<> awaiter = create_task(await_it(target), {.name = "awaiter"});
    co_await tick(2);
    EXPECT_EQ(co_await to_thread([&] { return shape(capture_call_graph(target)); }),
              "[target [await_future] [[awaiter [await_it] []]]]");
    go.set_result();
    co_await awaiter;
}

}  // namespace
}  // namespace knit::test
