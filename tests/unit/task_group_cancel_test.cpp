// TaskGroup: cancellation from outside, of its tasks, through nested groups. cancel() of its own and exceptions outside
// the ordinary hierarchy are in task_group_end_test.cpp.

#include <string>
#include <utility>
#include <vector>

#include "groups.hpp"

namespace knit::test {
namespace {

// TASKGROUP-05
CO_TEST(TaskGroupCancel, CancelsTheTasksAndWaitsForThem) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        for (const char* const name : {"1", "2", "3"}) {
            group.create_task(leaf(log, name));
        }
        co_return;
    };
    Task<> parent = create_task(TaskGroup::run(body));
    co_await tick(2);
    parent.cancel("test");
    log(co_await got_message(parent));
    EXPECT_TRUE(parent.cancelled());
    EXPECT_TRUE(log.shows({"1", "2", "3", "!CancelledError(test)"}));
}

// TASKGROUP-06
CO_TEST(TaskGroupCancel, ReachesTheBodyFirstThenTheTasks) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "task"));
        co_await leaf(log, "body");
    };
    Task<> parent = create_task(TaskGroup::run(body));
    co_await tick(2);
    parent.cancel("m");
    log(co_await got_message(parent));
    EXPECT_TRUE(log.shows({"body", "task", "!CancelledError(m)"}));
}

/// It is no member yet when the group is cancelled.
CO_TEST(TaskGroupCancel, ReachesATaskWhoseFirstStepCancelsTheGroup) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        const auto member = [&]() -> Coro<> {
            group.cancel();
            co_await leaf(log, "late");
        };
        TaskOptions options;
        options.eager_start = true;
        group.create_task(member, options);
        co_return;
    };
    const TimePoint start = get_running_loop().time();
    co_await TaskGroup::run(body);
    EXPECT_EQ(get_running_loop().time(), start);
    EXPECT_TRUE(log.shows({"late"}));
}

// TASKGROUP-08
CO_TEST(TaskGroupCancel, UnwindsTheInnerGroupThenTheOuter) {
    Trace log;
    const auto inner = [&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "inner child"));
        co_await forever();
    };
    const auto outer = [&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "outer child"));
        co_await TaskGroup::run(inner);
    };
    Task<> parent = create_task(TaskGroup::run(outer));
    co_await tick(2);
    parent.cancel();
    log(co_await got(parent));
    EXPECT_TRUE(log.shows({"inner child", "outer child", "!CancelledError"}));
}

// TASKGROUP-09
CO_TEST(TaskGroupCancel, AFailureInTheOuterGroupEndsTheInnerOneWithoutATrace) {
    bool was_cancelled = false;
    const auto outer = [&](TaskGroup& group) -> Coro<> {
        group.create_task(fail_after(2ms, "bad"));
        Task<> child;
        const auto inner = [&](TaskGroup& within) -> Coro<> {
            child = within.create_task(forever());
            co_return;
        };
        const Result<> result = co_await as_result(TaskGroup::run(inner));
        was_cancelled = child.cancelled();
        result.value();
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(outer)), "ExceptionGroup[!Err(bad)]");
    EXPECT_TRUE(was_cancelled);
    EXPECT_EQ(current_task()->cancelling(), 0);
}

// TASKGROUP-10
CO_TEST(TaskGroupCancel, AnErrorOfTheInnerGroupNestsInTheOuter) {
    const auto inner = [](TaskGroup& group) -> Coro<> {
        group.create_task(fail("inner"));
        co_await forever();
    };
    const auto outer = [&](TaskGroup& group) -> Coro<> {
        group.create_task(forever());
        co_await TaskGroup::run(inner);
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(outer)), "ExceptionGroup[ExceptionGroup[!Err(inner)]]");
}

// TASKGROUP-11
CO_TEST(TaskGroupCancel, AFailureWinsOverACancellationFromOutside) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(fail_after(15ms));
        bool is_cancelled = false;
        try {
            co_await forever();
        } catch (const CancelledError&) {
            log("cleanup");
            is_cancelled = true;
        }
        if (is_cancelled) {
            co_await leaf(log, "cleanup cancelled");
        }
    };
    Task<> parent = create_task(TaskGroup::run(body));
    co_await sleep(5ms);
    parent.cancel();
    log(co_await got_group(parent));
    EXPECT_TRUE(log.shows({"cleanup", "cleanup cancelled", "ExceptionGroup[!Err()]"}));
}

// TASKGROUP-12
CO_TEST(TaskGroupCancel, FromOutsideIsDueAgainAfterTheErrorsOfTheGroup) {
    Trace log;
    const auto stubborn = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err("in cleanup");
        }
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(stubborn());
        co_return;
    };
    const auto main = [&]() -> Coro<> {
        log(co_await got_group(TaskGroup::run(body)), current_task()->cancelling());
        log(co_await got(sleep(1ms)), current_task()->cancelling());
    };
    Task<> parent = create_task(main());
    co_await tick(2);
    parent.cancel();
    co_await parent;
    EXPECT_TRUE(log.shows({"ExceptionGroup[!Err(in cleanup)]", "1", "!CancelledError", "1"}));
}

CO_TEST(TaskGroupCancel, FromOutsideThatIsDueAgainIsNotSwallowedByATimeout) {
    const auto stubborn = []() -> Coro<> {
        co_await got(sleep(kForever));
        throw Err("in cleanup");
    };
    Task<> parent = create_task([&]() -> Coro<> {
        const std::string ended = co_await got_group(TaskGroup::run([&](TaskGroup& group) -> Coro<> {
            group.create_task(stubborn());
            co_return;
        }));
        EXPECT_EQ(ended, "ExceptionGroup[!Err(in cleanup)]");
        co_await timeout_scope_at(TimePoint(), [](Timeout&) -> Coro<> { co_await sleep(kForever); });
    });
    co_await tick(2);
    parent.cancel();
    EXPECT_EQ(co_await got(parent), "!CancelledError");
}

CO_TEST(TaskGroupCancel, WhileItEndsForTheErrorOfItsBodyComesAfterTheGroup) {
    Trace log;
    const auto slow = [&]() -> Coro<> {
        co_await got(forever());
        co_await sleep(10ms);
        log("slow");
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(slow());
        co_await sleep(0s);
        throw Err("body");
    };
    const auto main = [&]() -> Coro<> {
        log(co_await got_group(TaskGroup::run(body)));
        log(co_await got(sleep(0s)));
    };
    Task<> parent = create_task(main());
    co_await sleep(5ms);
    parent.cancel();
    co_await parent;
    EXPECT_TRUE(log.shows({"slow", "ExceptionGroup[!Err(body)]", "!CancelledError"}));
}

CO_TEST(TaskGroupCancel, AgainWhileItEndsIsNotLostAndKeepsTheFirstMessage) {
    Trace log;
    const auto slow = [&]() -> Coro<> {
        co_await got(forever());
        co_await sleep(10ms);
        log("slow");
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(slow());
        co_return;
    };
    Task<> parent = create_task(TaskGroup::run(body));
    co_await tick(2);
    parent.cancel("first");
    co_await tick(2);
    parent.cancel("second");
    log(co_await got_message(parent), parent.cancelling());
    EXPECT_TRUE(log.shows({"slow", "!CancelledError(first)", "2"}));
}

// TASKGROUP-26
CO_TEST(TaskGroupCancel, WaitsForATaskThatSwallowsItsCancellation) {
    Trace log;
    const auto slow = [&]() -> Coro<> {
        co_await got(forever());
        co_await sleep(5ms);
        log("slow child finished normally");
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(slow());
        co_await sleep(0s);
        group.create_task(fail());
    };
    log(co_await got_group(TaskGroup::run(body)));
    EXPECT_TRUE(log.shows({"slow child finished normally", "ExceptionGroup[!Err()]"}));
}

// TASKGROUP-27
CO_TEST(TaskGroupCancel, OfOneTaskDoesNotTouchTheOthers) {
    Trace log;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        Task<> one = group.create_task(forever());
        Task<> other = group.create_task(sleep(5ms));
        co_await sleep(0s);
        one.cancel();
        log(co_await got(one), co_await got(other));
    });
    EXPECT_TRUE(log.shows({"!CancelledError", "void"}));
}

// TASKGROUP-28
CO_TEST(TaskGroupCancel, ATaskThatThrowsCancelledErrorHasNotFailed) {
    Task<> thrower;
    Task<int> other;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        thrower = group.create_task([]() -> Coro<> {
            throw CancelledError();
            co_return;
        });
        other = group.create_task(sleep(0s, 1));
        co_return;
    });
    EXPECT_TRUE(thrower.cancelled());
    EXPECT_EQ(other.result(), 1);
}

CO_TEST(TaskGroupCancel, ABodyThatThrowsCancelledErrorCancelsTheTasks) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "task"));
        co_await sleep(0s);
        throw CancelledError("mine");
    };
    log(co_await got_message(TaskGroup::run(body)));
    EXPECT_TRUE(log.shows({"task", "!CancelledError(mine)"}));
}

// TASKGROUP-24
CO_TEST(TaskGroupCancel, ByBothGroupsAtOnceStaysCountedUntilTheOuterEnds) {
    Trace log;
    const auto outer = [&](TaskGroup& group) -> Coro<> {
        const auto inner = [&](TaskGroup& within) -> Coro<> {
            within.create_task(fail("inner"));
            group.create_task(fail("outer"));
            co_return;
        };
        log(co_await got_group(TaskGroup::run(inner)), current_task()->cancelling());
        co_await sleep(0s);
        log("never");
    };
    log(co_await got_group(TaskGroup::run(outer)), current_task()->cancelling());
    EXPECT_TRUE(log.shows({"ExceptionGroup[!Err(inner)]", "1", "ExceptionGroup[!Err(outer)]", "0"}));
}

CO_TEST(TaskGroupCancel, AtTheTurnInWhichTheLastTaskEndsIsDelivered) {
    Trace log;
    Task<> parent;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task([&]() -> Coro<> {
            // Two turns on, the task's end has been told and the parent is about to resume.
            get_running_loop().call_soon([&] { get_running_loop().call_soon([&] { parent.cancel("late"); }); });
            co_return;
        });
        co_return;
    };
    parent = create_task(TaskGroup::run(body));
    log(co_await got_message(parent));
    EXPECT_TRUE(log.shows({"!CancelledError(late)"}));
}

CO_TEST(TaskGroupCancel, BeforeTheTasksHaveStartedTheyNeverDo) {
    bool started = false;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task([&]() -> Coro<> {
            started = true;
            co_return;
        });
        throw Err("at once");
        co_return;
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(at once)]");
    EXPECT_FALSE(started);
}

}  // namespace
}  // namespace knit::test
