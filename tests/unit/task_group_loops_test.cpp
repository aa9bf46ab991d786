// TaskGroup on several loops: spawned tasks, tasks that add tasks on other loops, a parent that moves.

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "groups.hpp"

namespace knit::test {
namespace {

Coro<int> fibonacci(int number) {
    if (number < 2) {
        co_return number;
    }
    Task<int> one;
    Task<int> other;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        one = group.spawn(fibonacci(number - 1));
        other = group.spawn(fibonacci(number - 2));
        co_return;
    });
    co_return one.result() + other.result();
}

Loop& other_loop() {
    Runtime& runtime = get_runtime();
    return runtime.loop((get_running_loop().id() + 1) % runtime.size());
}

TaskOptions on(Loop& loop) {
    TaskOptions options;
    options.loop = &loop;
    return options;
}

CO_TEST_ON_LOOPS(TaskGroupLoops, JoinsSpawnedTasks) { EXPECT_EQ(co_await fibonacci(10), 55); }

CO_TEST_ON_LOOPS(TaskGroupLoops, ResumesItsParentOnItsOwnLoop) {
    const Loop* const home = &get_running_loop();
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        for (int count = 0; count < 8; ++count) {
            group.spawn(sleep(1ms));
        }
        group.create_task(sleep(1ms), on(other_loop()));
        co_return;
    });
    EXPECT_EQ(&get_running_loop(), home);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, AFailureOnAnyLoopCancelsTheTasksOnAllLoopsAndTheBody) {
    std::atomic<int> cancelled{0};
    const auto member = [&]() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            ++cancelled;
            throw;
        }
    };
    const auto body = [&](TaskGroup& group) -> Coro<> {
        std::vector<Task<>> tasks;
        for (int count = 0; count < 4; ++count) {
            group.spawn(member);
            group.create_task(member, on(other_loop()));
        }
        co_await sleep(1ms);
        group.spawn(fail("x"));
        co_await member();
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(x)]");
    EXPECT_EQ(cancelled, 9);
    EXPECT_EQ(current_task()->cancelling(), 0);
    co_await sleep(1ms);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, ATaskOnAnotherLoopMayAddTasksThere) {
    std::atomic<int> ended{0};
    std::atomic<bool> is_on_its_loop{true};
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        const auto adder = [&]() -> Coro<> {
            const Loop* const home = &get_running_loop();
            group.create_task([&ended, &is_on_its_loop, home]() -> Coro<> {
                is_on_its_loop = is_on_its_loop && home == &get_running_loop();
                co_await sleep(2ms);
                ++ended;
            });
            group.spawn([&ended]() -> Coro<> {
                co_await sleep(3ms);
                ++ended;
            });
            co_return;
        };
        for (int count = 0; count < 4; ++count) {
            group.create_task(adder, on(other_loop()));
            group.spawn(adder);
        }
        co_return;
    });
    EXPECT_EQ(ended, 16);
    EXPECT_TRUE(is_on_its_loop);
}

// The failing task was made on another loop, so the parent's cancellation travels: it must not come after the block.
CO_TEST_ON_LOOPS(TaskGroupLoops, AFailureOfATaskThatAnotherLoopAddedLeavesNoCancellationBehind) {
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task(
            [&group]() -> Coro<> {
                group.create_task(fail("there"));
                co_return;
            },
            on(other_loop()));
        co_return;
    };
    for (int count = 0; count < 3; ++count) {
        EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(there)]");
        EXPECT_EQ(current_task()->cancelling(), 0);
        co_await sleep(1ms);
    }
}

CO_TEST_ON_LOOPS(TaskGroupLoops, AFailureOfATaskThatAnotherLoopAddedCancelsTheBody) {
    bool was_cancelled = false;
    const auto body = [&](TaskGroup& group) -> Coro<> {
        group.create_task(
            [&group]() -> Coro<> {
                group.create_task(fail("there"));
                co_return;
            },
            on(other_loop()));
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            was_cancelled = true;
            throw;
        }
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(there)]");
    EXPECT_TRUE(was_cancelled);
    EXPECT_EQ(current_task()->cancelling(), 0);
    co_await sleep(1ms);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, CanBeCancelledFromAnotherLoop) {
    co_await TaskGroup::run([](TaskGroup& group) -> Coro<> {
        group.spawn(forever());
        group.create_task(
            [&group]() -> Coro<> {
                group.cancel();
                co_await sleep(kForever);
            },
            on(other_loop()));
        co_await sleep(kForever);
    });
    EXPECT_EQ(current_task()->cancelling(), 0);
    co_await sleep(1ms);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, ItsBodyMayMoveToAnotherLoop) {
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.create_task(sleep(2ms));
        co_await resume_on(other_loop());
        group.create_task(sleep(3ms));
        group.spawn(sleep(1ms));
    };
    const TimePoint start = get_running_loop().time();
    co_await TaskGroup::run(body);
    EXPECT_GE(get_running_loop().time() - start, 3ms);

    const auto failing = [](TaskGroup& group) -> Coro<> {
        group.create_task(fail_after(2ms, "left behind"));
        co_await resume_on(other_loop());
        co_await reschedule();
        co_await sleep(kForever);
    };
    EXPECT_EQ(co_await got_group(TaskGroup::run(failing)), "ExceptionGroup[!Err(left behind)]");
    EXPECT_EQ(current_task()->cancelling(), 0);
    co_await sleep(1ms);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, AFailureFindsAParentThatKeepsMoving) {
    for (int count = 0; count < 3; ++count) {
        const auto body = [count](TaskGroup& group) -> Coro<> {
            group.create_task([count]() -> Coro<> {
                co_await tick(count);
                throw Err("x");
            });
            for (;;) {
                co_await reschedule();
                co_await resume_on(other_loop());
            }
        };
        EXPECT_EQ(co_await got_group(TaskGroup::run(body)), "ExceptionGroup[!Err(x)]");
        EXPECT_EQ(current_task()->cancelling(), 0);
    }
    co_await sleep(1ms);
}

/// What the frames of the tasks hold is gone when the group has ended: it may be lent from the body's frame.
CO_TEST_ON_LOOPS(TaskGroupLoops, TheFramesOfItsTasksHaveGoneBeforeItEnds) {
    struct Loan {
        explicit Loan(std::atomic<int>& all) noexcept : count(&all) { ++all; }
        Loan(Loan&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
        ~Loan() {
            if (count != nullptr) {
                --*count;
            }
        }
        std::atomic<int>* count;
    };
    const auto hold = [](Loan loan) -> Coro<> {
        static_cast<void>(loan);
        co_await sleep(1ms);
    };
    std::atomic<int> loans{0};
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        for (int count = 0; count < 8; ++count) {
            group.spawn(hold(Loan(loans)));
            group.create_task(hold(Loan(loans)), on(other_loop()));
        }
        co_return;
    });
    EXPECT_EQ(loans, 0);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, APlainThreadMayAddTasksOfANamedLoop) {
    Loop& here = get_running_loop();
    bool ran = false;
    co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
        const std::string refused = co_await to_thread([&]() -> std::string {
            group.create_task(
                [&]() -> Coro<> {
                    co_await sleep(1ms);
                    ran = true;
                },
                on(here));
            return call_message([&] { group.create_task(forever()); });
        });
        EXPECT_EQ(refused, "!RuntimeError(no running event loop)");
    });
    EXPECT_TRUE(ran);
}

CO_TEST_ON_LOOPS(TaskGroupLoops, EndsWithTheRunThatCancelsIt) {
    const auto body = [](TaskGroup& group) -> Coro<> {
        group.spawn(forever());
        group.create_task(forever(), on(other_loop()));
        co_return;
    };
    create_task(TaskGroup::run(body));
    create_task(TaskGroup::run(body), on(other_loop()));
    co_await tick(2);
}

}  // namespace
}  // namespace knit::test
