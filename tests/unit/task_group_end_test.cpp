// TaskGroup: cancel(), and exceptions outside the ordinary hierarchy.

#include <optional>
#include <string>
#include <utility>

#include "groups.hpp"

namespace knit::test {
namespace {

// TASKGROUP-15
TEST(TaskGroupCancel, CollectsErrorsOutsideTheOrdinaryHierarchyInABaseExceptionGroup) {
    std::string outcome;
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task([]() -> Coro<> {
            co_await sleep(2ms);
            throw 42;
        });
        try {
            co_await forever();
        } catch (const CancelledError&) {
            throw Err("body");
        }
    };
    run_one([&]() -> Coro<> { outcome = co_await got_group(TaskGroup::run(body)); });
    EXPECT_EQ(outcome, "BaseExceptionGroup[!unknown() !Err(body)]");
}

// In knit a BaseException of a task comes out of run() as well.
TEST(TaskGroupCancel, CollectsABaseExceptionOfATaskToo) {
    std::string outcome;
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task([]() -> Coro<> {
            co_await sleep(2ms);
            throw BaseErr();
        });
        try {
            co_await forever();
        } catch (const CancelledError&) {
            throw Err("body");
        }
    };
    const auto main = [&]() -> Coro<> { outcome = co_await got_group(TaskGroup::run(body)); };
    EXPECT_EQ(call([&] { run_one(main); }), "!BaseErr");
    EXPECT_EQ(outcome, "BaseExceptionGroup[!BaseErr(BaseErr) !Err(body)]");
}

CO_TEST(TaskGroupCancel, ABaseExceptionOfTheBodyComesOutInABaseExceptionGroup) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "task"));
        co_await sleep(0s);
        throw BaseErr();
    };
    log(co_await got_group(TaskGroup::run(body)));
    EXPECT_TRUE(log.shows({"task", "BaseExceptionGroup[!BaseErr(BaseErr)]"}));
}

// TASKGROUP-14
CO_TEST(TaskGroupCancel, AKeyboardInterruptOfTheBodyComesOutBareAndTheOthersAreReported) {
    Trace log;
    on_error(log);
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task(fail("child"));
        try {
            co_await forever();
        } catch (const CancelledError&) {
            throw KeyboardInterrupt();
        }
    };
    log(co_await got(TaskGroup::run(body)));
    EXPECT_TRUE(
        log.shows({"handler:TaskGroup task exception was not propagated because the TaskGroup body is being "
                   "closed with a BaseException",
                   "!KeyboardInterrupt"}));
}

TEST(TaskGroupCancel, AKeyboardInterruptOfATaskComesOutOfRunAndTheGroupEndsForIt) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task([]() -> Coro<> {
            co_await sleep(1ms);
            throw KeyboardInterrupt();
        });
        co_await leaf(log, "body");
    };
    const auto main = [&]() -> Coro<> { log(co_await got(TaskGroup::run(body))); };
    EXPECT_EQ(call([&] { run_one(main); }), "!KeyboardInterrupt");
    EXPECT_TRUE(log.shows({"body", "!KeyboardInterrupt"}));
}

// TASKGROUP-31
CO_TEST(TaskGroupCancel, OfTheGroupItselfEndsItEarlyAndWithoutAnError) {
    Trace log;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        group.create_task(leaf(log, "child ended"));
        co_await sleep(0s);
        group.cancel();
        co_await sleep(kForever);
        log("never");
    });
    log("after", current_task()->cancelling());
    co_await sleep(1ms);
    EXPECT_TRUE(log.shows({"child ended", "after", "0"}));
}

// TASKGROUP-32
CO_TEST(TaskGroupCancel, OfTheGroupBeforeItsBlockTwiceAndAfterIt) {
    Trace log;
    TaskGroup group;
    group.cancel();
    group.cancel();
    co_await group.scope([&](TaskGroup& same) -> Coro<> {
        log("body starts", call([&] { same.create_task(forever()); }));
        co_await sleep(0s);
        log("never");
    });
    group.cancel();
    co_await sleep(1ms);
    log("after");
    EXPECT_TRUE(log.shows({"body starts", "!RuntimeError", "after"}));
}

CO_TEST(TaskGroupCancel, OfTheGroupGivesNoErrorToABodyThatReturnsAValue) {
    const auto found = co_await TaskGroup::run([](TaskGroup& group) -> Coro<std::optional<int>> {
        group.cancel();
        co_await sleep(0s);
        co_return 1;
    });
    EXPECT_EQ(found, std::nullopt);
    const int kept = co_await TaskGroup::run([](TaskGroup& group) -> Coro<int> {
        group.create_task(forever());
        group.cancel();
        co_return 2;  // without an await nothing stops it
    });
    EXPECT_EQ(kept, 2);
}

// TASKGROUP-33
CO_TEST(TaskGroupCancel, OfTheGroupKeepsTheErrorsOfTheTasks) {
    const auto stubborn = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err("in cleanup");
        }
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(stubborn());
        co_await sleep(0s);
        group.cancel();
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(in cleanup)]");
    EXPECT_EQ(current_task()->cancelling(), 0);
}

// TASKGROUP-34
CO_TEST(TaskGroupCancel, FromOutsideIsNotSwallowedWhileTheGroupCancelsItself) {
    Trace log;
    const auto child = [&]() -> Coro<> {
        co_await got(forever());
        co_await sleep(10ms);
        log("child ended");
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(child());
        co_await sleep(0s);
        group.cancel();
    };
    Task<> parent = create_task(TaskGroup::run(body));
    co_await sleep(3ms);
    parent.cancel("outside");
    log(co_await got_message(parent));
    EXPECT_TRUE(log.shows({"child ended", "!CancelledError(outside)"}));
}

CO_TEST(TaskGroupCancel, OfTheOuterGroupEndsTheInnerOneToo) {
    Trace log;
    co_await TaskGroup::run([&](TaskGroup& outer) -> Coro<> {
        outer.create_task(leaf(log, "outer child"));
        co_await TaskGroup::run([&](TaskGroup& inner) -> Coro<> {
            inner.create_task(leaf(log, "inner child"));
            co_await sleep(0s);
            outer.cancel();
        });
        log("never");
    });
    log("after", current_task()->cancelling());
    EXPECT_TRUE(log.shows({"outer child", "inner child", "after", "0"}));
}

CO_TEST(TaskGroupCancel, OfBothGroupsAtOnceEndsBoth) {
    Trace log;
    co_await TaskGroup::run([&](TaskGroup& outer) -> Coro<> {
        co_await TaskGroup::run([&](TaskGroup& inner) -> Coro<> {
            inner.create_task(leaf(log, "inner child"));
            co_await sleep(0s);
            inner.cancel();
            outer.cancel();
            co_await sleep(kForever);
        });
        log("never");
    });
    log("after", current_task()->cancelling());
    co_await sleep(1ms);
    EXPECT_TRUE(log.shows({"inner child", "after", "0"}));
}

CO_TEST(TaskGroupCancel, OfTheInnerGroupLetsTheOuterGoOn) {
    Trace log;
    co_await TaskGroup::run([&](TaskGroup& outer) -> Coro<> {
        outer.create_task(sleep(1ms));
        co_await TaskGroup::run([&](TaskGroup& inner) -> Coro<> {
            inner.cancel();
            co_await sleep(kForever);
        });
        log("outer goes on", call([&] { outer.create_task(sleep(1ms)); }));
    });
    EXPECT_TRUE(log.shows({"outer goes on", "void"}));
}

// TASKGROUP-35
CO_TEST(TaskGroupCancel, OfTheGroupByOneOfItsTasks) {
    Trace log;
    Task<> child;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        child = group.create_task([&]() -> Coro<> {
            group.cancel();
            co_await sleep(kForever);
            log("never");
        });
        co_await leaf(log, "body");
    });
    log("group exited", child.cancelled());
    EXPECT_TRUE(log.shows({"body", "group exited", "true"}));
}

}  // namespace
}  // namespace knit::test
