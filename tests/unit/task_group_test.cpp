// TaskGroup: waiting for the tasks, failures, what may be added and when. Cancellation is in
// task_group_cancel_test.cpp, several loops in task_group_loops_test.cpp.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "groups.hpp"

namespace knit::test {
namespace {

Coro<std::string> give_after(Duration delay, std::string value) {
    co_await sleep(delay);
    co_return value;
}

// TASKGROUP-01
CO_TEST(TaskGroup, WaitsForAllTasksAndThoseAddedMeanwhile) {
    Trace log;
    std::vector<Task<std::string>> tasks;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        tasks.push_back(group.create_task(give_after(10ms, "a")));
        tasks.push_back(group.create_task(give_after(1ms, "b")));
        group.create_task([&]() -> Coro<> {
            co_await sleep(2ms);
            tasks.push_back(group.create_task(give_after(15ms, "late")));
        });
        log("body ends");
        co_return;
    });
    for (const Task<std::string>& task : tasks) {
        log(task.result());
    }
    EXPECT_TRUE(log.shows({"body ends", "a", "b", "late"}));
}

CO_TEST(TaskGroup, GivesWhatTheBodyReturns) {
    int target = 7;
    const auto copy =
        co_await TaskGroup::run([](TaskGroup&) -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(1); });
    int& same = co_await TaskGroup::run([&](TaskGroup& group) -> Coro<int&> {
        group.create_task(tick());
        co_return target;
    });
    EXPECT_EQ(*copy, 1);
    EXPECT_EQ(&same, &target);
}

CO_TEST(TaskGroup, WithoutTasksDoesNotSuspend) {
    bool other_ran = false;
    create_task([&]() -> Coro<> {
        other_ran = true;
        co_return;
    });
    co_await TaskGroup::run([](TaskGroup&) -> Coro<> { co_return; });
    EXPECT_FALSE(other_ran);
    co_await tick();
}

CO_TEST(TaskGroup, RunsItsBodyInTheCurrentTaskWithoutATurn) {
    const auto outside = *current_task();
    bool is_same = false;
    co_await TaskGroup::run([&](TaskGroup&) -> Coro<> {
        is_same = *current_task() == outside;
        co_return;
    });
    EXPECT_TRUE(is_same);
}

CO_TEST(TaskGroup, EndsTwoTurnsAfterItsLastTask) {
    Trace log;
    const auto count = [&]() -> Coro<> {
        for (int turn = 1; turn < 6; ++turn) {
            log(turn);
            co_await sleep(0s);
        }
    };
    const Task<> counter = create_task(count());
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        group.create_task([&]() -> Coro<> {
            log("task");
            co_return;
        });
        co_return;
    });
    log("group");
    co_await counter;
    // CPython: the task, its done callback, the wake-up of the parent: a turn each.
    EXPECT_TRUE(log.shows({"1", "task", "2", "3", "group", "4", "5"}));
}

CO_TEST(TaskGroup, KeepsItsCallablesUntilTheLastTaskHasEnded) {
    const auto token = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = token;
    bool lives = false;
    auto body = [token = std::move(token), &watch, &lives](TaskGroup& group) -> Coro<> {
        group.create_task([&watch, &lives]() -> Coro<> {
            co_await sleep(1ms);
            lives = !watch.expired();
        });
        co_return;
    };
    co_await TaskGroup::run(std::move(body));
    EXPECT_TRUE(lives);
}

CO_TEST(TaskGroup, TakesAnythingThatCanBeAwaited) {
    Future<int> future;
    const TimePoint start = get_running_loop().time();
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        group.create_task(sleep(5ms));
        group.spawn(sleep(6ms));
        group.create_task(sleep(1ms, 3));
        const Task<int> waiter = group.create_task(future);
        future.set_result(4);
        EXPECT_EQ(co_await waiter, 4);
    });
    EXPECT_EQ(get_running_loop().time() - start, 6ms);
}

// TASKGROUP-04
CO_TEST(TaskGroup, CollectsAllErrorsInTheOrderOfFailing) {
    const auto late = []() -> Coro<> {
        std::exception_ptr error;
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            error = std::current_exception();
        }
        co_await sleep(2ms);
        throw Err2("late");
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(late());
        group.create_task(fail_after(2ms, "bad"));
        co_return;
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(bad) !Err2(late)]");
}

CO_TEST(TaskGroup, TellsItsErrorsInWhat) {
    std::string what;
    try {
        co_await TaskGroup::run([](TaskGroup& group) -> Coro<> {
            group.create_task(fail("one"));
            group.create_task(fail("two"));
            co_return;
        });
    } catch (const ExceptionGroup& group) {
        what = group.what();
    }
    EXPECT_EQ(what,
              "unhandled errors in a TaskGroup (2 sub-exceptions)\n  knit::test::Err: one\n  knit::test::Err: two");
}

CO_TEST(TaskGroup, RethrowsTheVeryExceptionOfTheTask) {
    Task<> child;
    std::exception_ptr member;
    try {
        co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
            child = group.create_task(fail("x"));
            co_return;
        });
    } catch (const ExceptionGroup& group) {
        member = group.errors().at(0);
    }
    EXPECT_EQ(member, child.exception());
}

CO_TEST(TaskGroup, ReportsNoFailureOfItsTasksAsUnretrieved) {
    Trace log;
    on_error(log);
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task(fail());
        co_return;
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err()]");
    co_await tick(3);
    EXPECT_TRUE(log.shows({}));
}

// TASKGROUP-02
CO_TEST(TaskGroup, AFailureCancelsTheBodyWhereItWaits) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(fail_after(2ms));
        co_await leaf(log, "body cancelled");
    };
    log(co_await got_group(TaskGroup::run(body)), current_task()->cancelling());
    co_await sleep(1ms);  // nothing of the cancellation is left
    EXPECT_TRUE(log.shows({"body cancelled", "ExceptionGroup[!Err()]", "0"}));
}

// TASKGROUP-03
CO_TEST(TaskGroup, CancelsTheTasksInTheOrderOfCreation) {
    Trace log;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        for (const char* const name : {"1", "2", "3", "4", "5"}) {
            group.create_task(leaf(log, name));
        }
        group.create_task(fail_after(1ms));
        group.create_task(leaf(log, "6"));
        co_await leaf(log, "body");
    };
    log(co_await got_group(TaskGroup::run(body)));
    EXPECT_TRUE(log.shows({"1", "2", "3", "4", "5", "6", "body", "ExceptionGroup[!Err()]"}));
}

// TASKGROUP-07
CO_TEST(TaskGroup, AnErrorOfTheBodyCancelsTheTasksAndComesOutInAGroup) {
    std::vector<Task<>> tasks;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        tasks.push_back(group.create_task(forever()));
        tasks.push_back(group.create_task(forever()));
        throw Err("body");
        co_return;
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(body)]");
    EXPECT_TRUE(tasks[0].cancelled());
    EXPECT_TRUE(tasks[1].cancelled());
}

// TASKGROUP-13
CO_TEST(TaskGroup, PutsTheErrorOfTheBodyLast) {
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task(fail_after(2ms, "child"));
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err2("body");
        }
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(child) !Err2(body)]");
    EXPECT_EQ(current_task()->cancelling(), 0);
}

// TASKGROUP-16
CO_TEST(TaskGroup, ForgetsTasksThatHaveEnded) {
    co_await TaskGroup::run([](TaskGroup& group) -> Coro<> {
        for (int count = 0; count < 50; ++count) {
            group.create_task(tick());
            co_await sleep(0s);
            EXPECT_LE(group.size(), 4U);
        }
        co_await tick(3);
        EXPECT_EQ(group.size(), 0U);
    });
}

// TASKGROUP-17
CO_TEST(TaskGroup, EndsAlthoughItsTasksKeepAddingTasks) {
    struct Hydra {
        TaskGroup& group;
        int& count;
        Coro<> head() const {
            ++count;
            co_await sleep(1ms);
            for (int heads = 0; heads < 2; ++heads) {
                group.create_task(head());
            }
        }
    };
    int count = 0;
    std::string text;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        const Hydra hydra{group, count};
        group.create_task(hydra.head());
        while (count < 10) {
            co_await sleep(1ms);
        }
        throw Err("hercules");
    };
    text = co_await got_group(TaskGroup::run(body));
    EXPECT_NE(text.find("!Err(hercules)"), std::string::npos) << text;
    EXPECT_GE(count, 10);
}

// TASKGROUP-18
CO_TEST(TaskGroup, TakesTheOptionsOfCreateTask) {
    TaskOptions named;
    named.name = "yolo";
    const auto own_name = []() -> Coro<std::string> { co_return current_task()->name(); };
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        EXPECT_EQ(co_await group.create_task(own_name(), named), "yolo");
        EXPECT_EQ(co_await group.spawn(own_name(), named), "yolo");
    });
}

// TASKGROUP-19
CO_TEST(TaskGroup, TakesNoTaskOnceOneHasFailed) {
    Trace log;
    LogCapture capture;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task([&]() -> Coro<> {
            try {
                co_await sleep(kForever);
            } catch (const CancelledError&) {
                log(call_message([&] { group.create_task(forever()); }));
                log(call([&] { group.spawn(forever()); }));
            }
        });
        group.create_task(fail());
        co_return;
    };
    log(co_await got_group(TaskGroup::run(body)));
    EXPECT_TRUE(log.shows({"!RuntimeError(TaskGroup <TaskGroup tasks=1 errors=1 cancelling> is shutting down)",
                           "!RuntimeError", "ExceptionGroup[!Err()]"}));
    EXPECT_TRUE(capture.records().empty());
}

// TASKGROUP-20
CO_TEST(TaskGroup, TakesNoTaskBeforeItIsEnteredOrAfterItsEnd) {
    TaskGroup group;
    const std::string before = call_message([&] { group.create_task(forever()); });
    co_await group.scope([](TaskGroup&) -> Coro<> { co_return; });
    const std::string after = call_message([&] { group.create_task(forever()); });
    EXPECT_EQ(before, "!RuntimeError(TaskGroup <TaskGroup> has not been entered)");
    EXPECT_TRUE(after.starts_with("!RuntimeError(TaskGroup <TaskGroup entered> is finished")) << after;
    EXPECT_NE(after.find("is shutting down"), std::string::npos) << after;
}

// TASKGROUP-21
CO_TEST(TaskGroup, IsEnteredOnce) {
    TaskGroup group;
    const auto nothing = [](TaskGroup&) -> Coro<> { co_return; };
    std::string nested;
    co_await group.scope([&](TaskGroup& same) -> Coro<> {
        EXPECT_EQ(&same, &group);
        nested = co_await got_message(group.scope(nothing));
    });
    const std::string again = co_await got_message(group.scope(nothing));
    EXPECT_NE(nested.find("has already been entered"), std::string::npos) << nested;
    EXPECT_NE(again.find("has already been entered"), std::string::npos) << again;
}

CO_TEST(TaskGroup, RefusesAnEmptyCoroutineAndGoesOn) {
    co_await TaskGroup::run([](TaskGroup& group) -> Coro<> {
        EXPECT_EQ(call([&] { group.create_task(Coro<>()); }), "!ValueError");
        EXPECT_EQ(group.size(), 0U);
        EXPECT_EQ(co_await group.create_task(give_after(1ms, "x")), "x");
    });
}

// TASKGROUP-37
CO_TEST_ON_LOOPS(TaskGroup, NestsToAnyDepthAndWidth) {
    struct Tree {
        std::atomic<int> count{0};
        Coro<> node(int depth) {
            ++count;
            if (depth == 0) {
                co_return;
            }
            co_await TaskGroup::run([this, depth](TaskGroup& group) -> Coro<> {
                for (int child = 0; child < 5; ++child) {
                    if (child % 2 == 0) {
                        group.create_task(node(depth - 1));
                    } else {
                        group.spawn(node(depth - 1));
                    }
                }
                co_return;
            });
        }
    };
    Tree tree;
    co_await tree.node(4);
    EXPECT_EQ(tree.count, 781);
    co_await tick(2);
    EXPECT_EQ(all_tasks().size(), 1U);
}

}  // namespace
}  // namespace knit::test
