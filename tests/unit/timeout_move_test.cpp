// A timeout's body that goes to other loops: the deadline comes along.

#include "time_test.hpp"

#include <string>
#include <vector>

namespace knit::test {
namespace {

Loop& loop_at(unsigned number) {
    Runtime& runtime = get_runtime();
    return runtime.loop(number % runtime.size());
}

CO_TEST_ON_LOOPS(TimeoutMove, FiresOnTheLoopThatTheBodyIsOn) {
    Timeout deadline = timeout(5ms);
    const std::string result = co_await outcome(timeout_scope(deadline, [](Timeout& given) -> Coro<> {
        co_await resume_on(loop_at(1));
        EXPECT_EQ(co_await got(sleep(kForever)), "!CancelledError");
        EXPECT_EQ(&get_running_loop(), &loop_at(1));
        EXPECT_TRUE(given.expired());
        throw CancelledError();
    }));
    EXPECT_EQ(result, "!TimeoutError");
    EXPECT_TRUE(deadline.expired());
    EXPECT_EQ(&get_running_loop(), &loop_at(1));
    EXPECT_EQ(cancelling(), 0);
    co_await resume_on(loop_at(0));
    co_await tick(3);
    EXPECT_EQ(timers(), 0U);
}

CO_TEST_ON_LOOPS(TimeoutMove, IsUndoneFromWhereTheBodyEnds) {
    Loop& start = get_running_loop();
    const int value = co_await timeout_scope(1h, [](Timeout&) -> Coro<int> {
        co_await resume_on(loop_at(1));
        co_await sleep(1ms);
        co_await resume_on(loop_at(2));
        co_return 3;
    });
    EXPECT_EQ(value, 3);
    co_await resume_on(start);
    co_await sleep(1ms);  // the message that takes the timer back has come
    EXPECT_EQ(timers(), 0U);
}

CO_TEST_ON_LOOPS(TimeoutMove, DueAsTheBodyLeavesIsHarmless) {
    // The alarm and the body's moves meet in every order: each round moves one of them a little.
    for (int round = 0; round < 20; ++round) {
        const TimePoint due = now() + 3ms;
        Timeout deadline = timeout_at(due);
        const std::string result = co_await outcome(timeout_scope(deadline, [&](Timeout&) -> Coro<int> {
            co_await sleep_until(due - 1ms);
            co_await resume_on(loop_at(1));
            co_await sleep_until(due - (round % 2 == 0 ? 0ns : 1ns));
            for (int move = 0; move < round / 4; ++move) {
                co_await resume_on(loop_at(static_cast<unsigned>(move)));
            }
            co_return 1;
        }));
        EXPECT_TRUE(result == (deadline.expired() ? "!TimeoutError" : "1")) << result;
        EXPECT_EQ(cancelling(), 0);
        co_await resume_on(loop_at(0));
        co_await tick(round % 3);
        EXPECT_EQ(cancelling(), 0);
    }
}

CO_TEST_ON_LOOPS(TimeoutMove, IsRescheduledOnTheNewLoop) {
    const TimePoint start = now();
    const std::string result = co_await outcome(timeout_scope(1h, [&](Timeout& given) -> Coro<> {
        co_await resume_on(loop_at(1));
        given.reschedule(start + 5ms);
        EXPECT_GE(timers(), 1U);
        co_await resume_on(loop_at(2));
        co_await sleep(kForever);
    }));
    EXPECT_EQ(result, "!TimeoutError");
    EXPECT_EQ(now() - start, 5ms);
}

CO_TEST_ON_LOOPS(TimeoutMove, FollowsABodyThatOffersItself) {
    const auto body = [](Timeout&) -> Coro<> {
        for (;;) {
            co_await reschedule();
            co_await sleep(100us);
        }
    };
    const auto restless = [](Timeout&) -> Coro<> {
        const TimePoint end = now() + 1s;
        while (now() < end) {
            co_await reschedule();
            co_await sleep(1us);
            if (now() > end - 990ms) {
                co_await sleep(kForever);
            }
        }
    };
    std::vector<Task<std::string>> tasks;
    for (int number = 0; number < 4; ++number) {
        tasks.push_back(create_task(outcome(timeout_scope(5ms, body))));
        tasks.push_back(spawn(outcome(timeout_scope(1ms * number, restless))));
    }
    for (Task<std::string>& task : tasks) {
        EXPECT_EQ(co_await task, "!TimeoutError");
    }
}

CO_TEST_ON_LOOPS(TimeoutMove, RescheduleFromAnotherLoopThanTheBodysIsRefused) {
    if (get_runtime().size() == 1) {
        co_return;
    }
    co_await timeout_scope(1h, [](Timeout& given) -> Coro<> {
        Loop& other = loop_at(get_running_loop().id() + 1);
        const std::string refused = co_await create_task(
            [&]() -> Coro<std::string> { co_return call([&] { given.reschedule(std::nullopt); }); },
            TaskOptions{.name = {}, .loop = &other});
        EXPECT_EQ(refused, "!RuntimeError");
    });
}

CO_TEST_ON_LOOPS(TimeoutMove, NestedScopesEachKeepTheirDeadline) {
    const TimePoint start = now();
    const std::string result = co_await outcome(timeout_scope(20ms, [&](Timeout&) -> Coro<> {
        co_await resume_on(loop_at(1));
        const std::string inner = co_await outcome(timeout_scope(5ms, [&](Timeout&) -> Coro<> {
            co_await resume_on(loop_at(2));
            co_await sleep(kForever);
        }));
        EXPECT_EQ(inner, "!TimeoutError");
        EXPECT_EQ(now() - start, 5ms);
        co_await resume_on(loop_at(3));
        co_await sleep(kForever);
    }));
    EXPECT_EQ(result, "!TimeoutError");
    EXPECT_EQ(now() - start, 20ms);
}

TEST(TimeoutMove, OfATaskThatIsAbandonedIsDropped) {
    if (KNIT_ASAN) {
        GTEST_SKIP() << "what a task leaves that is abandoned is leaked on purpose";
    }
    LogCapture log;
    RunOptions options = on_loops(2);
    options.grace = 5ms;
    run(
        [] {
            return []() -> Coro<> {
                create_task([]() -> Coro<> {
                    co_await timeout_scope(1h, [](Timeout&) -> Coro<> {
                        co_await resume_on(loop_at(1));
                        for (;;) {
                            const std::string swallowed = co_await got(sleep(1min));
                        }
                    });
                });
                co_await sleep(1ms);
            }();
        },
        options);
    EXPECT_TRUE(log.has(LogLevel::warning, "abandoned") || log.has(LogLevel::error, "abandoned"));
}

/// As an operation that has completed before it could be cancelled.
class ResultAtTheNextTurn {
public:
    using knit_awaiter = void;
    bool await_ready() const noexcept { return false; }
    template <detail::KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        task_ = &handle.promise().task();
        task_->suspend(handle, nullptr);
        task_->wake();
    }
    void await_resume() const noexcept { task_->resumed_keep_cancel(); }

private:
    detail::TaskCore* task_ = nullptr;
};

Coro<> enter_expired(Timeout& deadline) {
    co_await timeout_scope(deadline, [](Timeout&) -> Coro<> { co_await sleep(kForever); });
}

CO_TEST(Timeout, DoesNotSwallowACancellationThatAnOperationHasKept) {
    Timeout deadline(TimePoint{});
    Task<> task = create_task([&]() -> Coro<> {
        co_await ResultAtTheNextTurn();
        co_await enter_expired(deadline);
    });
    co_await tick();
    task.cancel();
    EXPECT_EQ(co_await outcome(task), "!CancelledError");
    EXPECT_TRUE(deadline.expired());
}

CO_TEST(Timeout, TellsACancellationFromOutsideFromAnEarlierOneOfItsTasksOwn) {
    Timeout deadline(TimePoint{});
    Task<> task = create_task([&]() -> Coro<> {
        current_task()->cancel();
        co_await got(sleep(1ms));
        co_await ResultAtTheNextTurn();
        co_await enter_expired(deadline);
    });
    while (task.cancelling() == 0) {
        co_await yield();
    }
    co_await tick();
    task.cancel();
    EXPECT_EQ(co_await outcome(task), "!CancelledError");
}

// As CPython has it: the scope takes the request for one that has been delivered.
CO_TEST(Timeout, TakesHoldWhereItsTaskHadCancelledItself) {
    Timeout deadline(TimePoint{});
    Task<int> task = create_task([&]() -> Coro<int> {
        current_task()->cancel();
        EXPECT_EQ(co_await outcome(enter_expired(deadline)), "!TimeoutError");
        co_return cancelling();
    });
    EXPECT_EQ(co_await task, 1);
}

}  // namespace
}  // namespace knit::test
