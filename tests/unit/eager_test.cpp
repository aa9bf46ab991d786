// Eager start: a task's first step inside create_task().

#include "co_test.hpp"

#include <cstdint>
#include <string>

namespace knit::test {
namespace {

Coro<> two_steps(Trace& log) {
    log("first step");
    co_await yield();
    log("second step");
}
Coro<int> gives(int value) { co_return value; }
Coro<> fails(std::string text) {
    throw Err(text);
    co_return;
}
Coro<std::string> own_name() { co_return current_task()->name(); }

/// create_task() starts at once, for as long as this lives.
class EagerLoop {
public:
    EagerLoop() { get_running_loop().set_eager_start(true); }
    ~EagerLoop() { get_running_loop().set_eager_start(false); }
    EagerLoop(const EagerLoop&) = delete;
    EagerLoop& operator=(const EagerLoop&) = delete;
};

// EAGER-01
CO_TEST(Eager, TheFirstStepRunsInsideCreateTask) {
    Trace log;
    const EagerLoop eager;
    EXPECT_TRUE(get_running_loop().get_eager_start());
    const Task<> task = create_task(two_steps(log));
    log("created", task.done());
    co_await task;
    EXPECT_TRUE(log.shows({"first step", "created", "false", "second step"}));
}

// EAGER-02
CO_TEST(Eager, ACoroutineThatNeverSuspendsGivesATaskThatIsDone) {
    Trace log;
    const EagerLoop eager;
    get_running_loop().call_soon([&] { log("loop ran"); });
    const Task<int> task = create_task(gives(5));
    log(task.done(), co_await task);
    co_await yield();
    EXPECT_TRUE(log.shows({"true", "5", "loop ran"}));
}

// EAGER-06
CO_TEST(Eager, CancelReachesTheSuspensionOfTheFirstStep) {
    Trace log;
    const EagerLoop eager;
    Task<int> quick = create_task(gives(1));
    EXPECT_FALSE(quick.cancel());
    EXPECT_EQ(co_await quick, 1);
    const auto slow = [&]() -> Coro<> {
        log("started");
        co_await sleep(kForever);
    };
    Task<> task = create_task(slow());
    task.cancel("msg");
    log(co_await got_message(task));
    EXPECT_TRUE(log.shows({"started", "!CancelledError(msg)"}));
}

// EAGER-07
CO_TEST(Eager, AnErrorOfTheFirstStepStaysInTheTask) {
    const EagerLoop eager;
    const Task<> task = create_task(fails("x"));
    EXPECT_TRUE(task.done());
    EXPECT_EQ(co_await got_message(task), "!Err(x)");
}

// EAGER-08
CO_TEST(Eager, AGatherOfCoroutinesThatCompleteEagerlyIsDoneAtOnce) {
    const EagerLoop eager;
    auto both = gather(gives(1), gives(2));
    EXPECT_TRUE(both.done());
    const auto [a, b] = co_await both;
    EXPECT_EQ(a + b, 3);
}

// EAGER-09
CO_TEST(Eager, AGroupOfTasksThatCompleteEagerlyDoesNotSuspend) {
    Trace log;
    const EagerLoop eager;
    get_running_loop().call_soon([&] { log("loop ran"); });
    int sum = 0;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        for (int i = 0; i < 3; ++i) {
            sum += group.create_task(gives(i)).result();
        }
        co_return;
    };
    co_await TaskGroup::run(body);
    log(sum);
    co_await yield();
    EXPECT_TRUE(log.shows({"3", "loop ran"}));
}

// EAGER-10
CO_TEST(Eager, EachTaskMayChooseForItself) {
    Trace log;
    const auto body = [&]() -> Coro<> {
        log("body");
        co_return;
    };
    const Task<> eager = create_task(body(), {.eager_start = true});
    log("created", eager.done());
    co_await eager;
    const EagerLoop loop;
    const Task<> lazy = create_task(body(), {.eager_start = false});
    log("created", lazy.done());
    co_await lazy;
    EXPECT_TRUE(log.shows({"body", "created", "true", "created", "false", "body"}));
}

// EAGER-11
CO_TEST(Eager, TheNameIsSetBeforeTheFirstStep) {
    const Task<std::string> task = create_task(own_name(), {.name = "test name", .eager_start = true});
    EXPECT_EQ(task.result(), "test name");
    co_return;
}

// EAGER-12
TEST(Eager, OnALoopThatDoesNotRunTasksWait) {
    Trace log;
    Runtime runtime(on_loops(1));
    runtime.loop(0).set_eager_start(true);
    const auto body = [&]() -> Coro<> {
        log("body");
        co_return;
    };
    const Task<> task = runtime.loop(0).create_task(body());
    log("created", task.done());
    runtime.run_until_complete(task);
    EXPECT_TRUE(log.shows({"created", "false", "body"}));
}

CO_TEST(Eager, TheCreatorIsTheCurrentTaskAgainAfterwards) {
    const TaskRef creator = *current_task();
    const auto nested = [&]() -> Coro<std::uint64_t> {
        const TaskRef outer = *current_task();
        const Task<std::string> inner = create_task(own_name(), {.eager_start = true});
        EXPECT_EQ(inner.result(), inner.name());
        EXPECT_TRUE(*current_task() == outer);
        co_return outer.id();
    };
    const Task<std::uint64_t> task = create_task(nested(), {.eager_start = true});
    EXPECT_TRUE(task.done());
    EXPECT_EQ(task.result(), task.id());
    EXPECT_TRUE(*current_task() == creator);
    co_return;
}

CO_TEST(Eager, InACallbackNoTaskIsCurrentAfterwards) {
    Future<bool> has_none;
    get_running_loop().call_soon([&] {
        create_task(gives(1), {.eager_start = true});
        has_none.set_result(!current_task().has_value());
    });
    EXPECT_TRUE(co_await has_none);
}

CO_TEST(Eager, TheFirstStepSeesACopyOfTheContext) {
    ContextVar<int> var("var", 0);
    var.set(1);
    const auto body = [&]() -> Coro<int> {
        const int seen = var.get();
        var.set(2);
        co_return seen;
    };
    EXPECT_EQ(create_task(body(), {.eager_start = true}).result(), 1);
    EXPECT_EQ(var.get(), 1);
    co_return;
}

CO_TEST_ON_LOOPS(Eager, AnotherLoopStartsItInItsOwnTurn) {
    Loop& last = get_runtime().loop(get_runtime().size() - 1);
    const bool is_here = &last == &get_running_loop();
    const Task<int> task = create_task(gives(3), {.loop = &last, .eager_start = true});
    EXPECT_EQ(task.done(), is_here);
    EXPECT_EQ(co_await task, 3);
}

}  // namespace
}  // namespace knit::test
