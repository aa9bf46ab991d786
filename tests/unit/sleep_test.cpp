// sleep(), sleep_until(), yield().

#include "co_test.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace knit::test {
namespace {

CO_TEST(Sleep, OfZeroOrLessIsOneTurnOfTheLoop) {
    Trace log;
    get_running_loop().call_soon([&] { log("scheduled before"); });
    log("a");
    co_await sleep(0s);
    log("b");
    get_running_loop().call_soon([&] { log("again"); });
    co_await sleep(-5s);
    log("c");
    EXPECT_EQ(get_running_loop().timer_count(), 0U);
    EXPECT_TRUE(log.shows({"a", "scheduled before", "b", "again", "c"}));
}

CO_TEST(Sleep, SleepersWakeInTheOrderOfTheirDeadlines) {
    Trace log;
    const auto body = [&](Duration delay, std::string name) -> Coro<> {
        co_await sleep(delay);
        log(name);
    };
    co_await gather(body(30ms, "c"), body(10ms, "a"), body(20ms, "b"));
    EXPECT_TRUE(log.shows({"a", "b", "c"}));
}

CO_TEST(Sleep, EqualSleepsEndInTheOrderOfTheirStart) {
    Trace log;
    const auto body = [&](int number) -> Coro<> {
        co_await sleep(5ms);
        log(number);
    };
    std::vector<Coro<>> coros;
    for (int i = 0; i < 5; ++i) {
        coros.push_back(body(i));
    }
    co_await gather(std::move(coros));
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4"}));
}

CO_TEST(Sleep, OfNaNIsAValueError) {
    const auto delay = std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(call([&] { static_cast<void>(sleep(delay)); }), "!ValueError");
    EXPECT_EQ(call([&] { static_cast<void>(sleep(delay, 1)); }), "!ValueError");
    co_return;
}

template <class Sleep>
Coro<std::string> error_of_a_second_await(Sleep once) {
    co_await once;
    try {
        co_await once;
    } catch (const RuntimeError& error) {
        co_return error.what();
    }
    co_return "none";
}

CO_TEST(Sleep, IsAwaitedOnce) {
    const std::string expected = "a sleep() was awaited before: call sleep() again for another one";
    EXPECT_EQ(co_await error_of_a_second_await(sleep(1ms)), expected);
    EXPECT_EQ(co_await error_of_a_second_await(sleep(0ms)), expected);
    EXPECT_EQ(co_await error_of_a_second_await(sleep(1ms, 1)), expected);
    EXPECT_EQ(co_await error_of_a_second_await(sleep_until(get_running_loop().time())), expected);
}

CO_TEST(Sleep, CancelledItLeavesNoTimer) {
    Trace log;
    Task<> task = create_task([&]() -> Coro<> {
        try {
            co_await sleep(1h);
        } catch (const CancelledError&) {
            log("woken");
            throw;
        }
    });
    co_await tick();
    task.cancel();
    log("requested");
    EXPECT_EQ(get_running_loop().timer_count(), 0U);
    co_await got(task);
    EXPECT_TRUE(log.shows({"requested", "woken"}));
}

CO_TEST_ON_LOOPS(Sleep, ManyAtOnceTakeAsLongAsTheLongest) {
    const TimePoint start = get_running_loop().time();
    std::vector<Task<>> sleepers;
    for (int i = 1; i <= 50; ++i) {
        sleepers.push_back(create_task(sleep(std::chrono::milliseconds(i))));
    }
    co_await gather(sleepers);
    EXPECT_EQ(get_running_loop().time() - start, 50ms);
}

CO_TEST(Sleep, TimersRunBehindWhatWasReady) {
    Trace log;
    Loop& loop = get_running_loop();
    loop.call_at(loop.time(), [&] { log("timer"); });
    loop.call_soon([&] { log("soon"); });
    co_await tick(2);
    EXPECT_TRUE(log.shows({"soon", "timer"}));
}

CO_TEST(Sleep, GivesTheValueWhenItIsOver) {
    EXPECT_EQ(co_await sleep(1ms, 5), 5);
    const std::unique_ptr<int> moved = co_await sleep(0s, std::make_unique<int>(6));
    EXPECT_EQ(*moved, 6);
    const std::string text = co_await sleep(1ms, "text");
    EXPECT_EQ(text, "text");
}

CO_TEST(Sleep, UntilATimeOfTheLoopsClock) {
    Loop& loop = get_running_loop();
    const TimePoint when = loop.time() + 7ms;
    co_await sleep_until(when);
    EXPECT_EQ(loop.time(), when);
    co_await sleep_until(when - 1h);
    EXPECT_EQ(loop.time(), when);
}

CO_TEST(Sleep, TakesAnyDurationAndSaturates) {
    Loop& loop = get_running_loop();
    const TimePoint start = loop.time();
    co_await sleep(std::chrono::duration<double>(0.5));
    EXPECT_EQ(loop.time() - start, 500ms);
    Task<> for_ever = create_task(sleep(std::chrono::hours::max()));
    co_await sleep(1h);
    EXPECT_FALSE(for_ever.done());
    for_ever.cancel();
    EXPECT_EQ(co_await got(for_ever), "!CancelledError");
}

CO_TEST(Yield, LetsEverythingThatIsReadyRunOnce) {
    Trace log;
    const auto body = [&](std::string name) -> Coro<> {
        for (int i = 0; i < 2; ++i) {
            log(name);
            co_await yield();
        }
    };
    co_await gather(body("a"), body("b"));
    EXPECT_TRUE(log.shows({"a", "b", "a", "b"}));
}

}  // namespace
}  // namespace knit::test
