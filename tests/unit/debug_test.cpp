// asyncio's debug mode, on the virtual clock: a step "takes" time when the clock is moved.

#include "co_test.hpp"

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace knit::test {
namespace {

/// Blocks the loop: time passes within the step.
void block(Duration time) { testing::pass_time(time); }

std::vector<std::string> slow_steps(const LogCapture& capture) {
    std::vector<std::string> messages;
    for (const LogRecord& record : capture.records()) {
        if (record.level == LogLevel::warning && record.message.find(" took ") != std::string::npos) {
            messages.push_back(record.message);
        }
    }
    return messages;
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Coro<> slow_main() {
    get_running_loop().slow_callback_duration = 10ms;
    co_await sleep(0s);
    block(20ms);
    co_await sleep(0s);
}

RunOptions debug_options(bool on, unsigned loops = 1) {
    RunOptions options = on_loops(loops);
    options.debug = on;
    return options;
}

// DEBUG-01
TEST(Debug, ASlowStepIsLoggedWithTheTasksNameAndCoroutine) {
    const LogCapture capture;
    run(slow_main(), debug_options(true));
    const std::vector<std::string> messages = slow_steps(capture);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_TRUE(messages[0].starts_with("Executing <Task pending name='Task-")) << messages[0];
    EXPECT_TRUE(has(messages[0], "coro=<")) << messages[0];
    EXPECT_TRUE(has(messages[0], "slow_main()>")) << messages[0];
    EXPECT_TRUE(messages[0].ends_with(" took 0.020 seconds")) << messages[0];
}

TEST(Debug, ASlowStepThatEndsItsTaskIsLoggedToo) {
    const LogCapture capture;
    run([]() -> Coro<> {
        create_task([]() -> Coro<> {
            block(1500ms);
            co_return;
        }, {.name = "last step"});
        co_await tick(2);
    }, debug_options(true));
    const std::vector<std::string> messages = slow_steps(capture);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_TRUE(messages[0].starts_with("Executing <Task finished name='last step' coro=<")) << messages[0];
    EXPECT_TRUE(messages[0].ends_with(" took 1.500 seconds")) << messages[0];
}

TEST(Debug, ASlowStepOfASpawnedTaskIsLogged) {
    for (const unsigned loops : {1U, 2U}) {
        const LogCapture capture;
        run([]() -> Coro<> {
            co_await spawn([]() -> Coro<> {
                block(150ms);
                co_return;
            });
        }, debug_options(true, loops));
        const std::vector<std::string> messages = slow_steps(capture);
        ASSERT_EQ(messages.size(), 1U);
        EXPECT_TRUE(messages[0].starts_with("Executing <Task finished name='Task-")) << messages[0];
    }
}

void slow_function() { block(200ms); }

TEST(Debug, ASlowCallbackIsLoggedByItsType) {
    const LogCapture capture;
    run([]() -> Coro<> {
        get_running_loop().call_soon([] { block(200ms); });
        get_running_loop().call_later(1ms, &slow_function);
        co_await sleep(5ms);
        Future<> future;
        future.add_done_callback([](Future<>) { block(200ms); });
        future.set_result();
        co_await tick();
    }, debug_options(true));
    const std::vector<std::string> messages = slow_steps(capture);
    ASSERT_EQ(messages.size(), 3U);
    for (const std::string& message : messages) {
        EXPECT_TRUE(message.starts_with("Executing <Handle ")) << message;
        EXPECT_TRUE(message.ends_with("> took 0.200 seconds")) << message;
    }
    EXPECT_TRUE(has(messages[0], "lambda")) << messages[0];
    EXPECT_TRUE(has(messages[1], "void (*)()")) << messages[1];
}

TEST(Debug, AStepThatTakesJustTheDurationIsSlowAndAShorterOneIsNot) {
    const LogCapture capture;
    run([]() -> Coro<> {
        block(99ms);
        co_await tick();
        block(100ms);
        co_await tick();
    }, debug_options(true));
    EXPECT_EQ(slow_steps(capture).size(), 1U);
}

// DEBUG-02
TEST(Debug, WithoutItNothingIsMeasuredAndTheDefaultIsATenthOfASecond) {
    const LogCapture capture;
    run([]() -> Coro<> {
        EXPECT_EQ(get_running_loop().slow_callback_duration, 100ms);
        co_await slow_main();
    }, debug_options(false));
    EXPECT_TRUE(slow_steps(capture).empty());
}

TEST(Debug, ADurationOfZeroForSlowTasksIsOff) {
    const LogCapture capture;
    RunOptions options = debug_options(true);
    options.slow_task = 0ms;
    run([]() -> Coro<> {
        block(1h);
        co_await tick();
    }, options);
    EXPECT_TRUE(slow_steps(capture).empty());
}

// DEBUG-03
CO_TEST(Debug, CallsFromAnotherThreadAreRefused) {
    Loop& loop = get_running_loop();
    for (const bool on : {true, false}) {
        loop.set_debug(on);
        const std::string refused = co_await to_thread([&] {
            return call_message([&] { loop.call_soon([] {}); }) + call([&] { loop.call_later(60s, [] {}); }) +
                   call([&] { loop.call_at(loop.time() + 60s, [] {}); });
        });
        EXPECT_TRUE(refused.starts_with(
            "!RuntimeError(Non-thread-safe operation invoked on an event loop other than the current one"))
            << refused;
        EXPECT_TRUE(refused.ends_with("!RuntimeError!RuntimeError")) << refused;
    }
}

Coro<> bad() {
    throw Err("bad");
    co_return;
}

// DEBUG-05
TEST(Debug, AReportHasThePlaceWhereTheTaskWasMade) {
    for (const bool on : {true, false}) {
        Trace log;
        RunOptions options = debug_options(on);
        options.exception_handler = [&](const ExceptionContext& context) {
            log(context.source.empty() ? "no place" : context.source.substr(context.source.rfind('/') + 1));
        };
        run([]() -> Coro<> {
            create_task(bad());
            co_await tick(2);
        }, options);
        EXPECT_EQ(log.size(), 1U);
        EXPECT_EQ(log.lines()[0].starts_with(on ? "debug_test.cpp:" : "no place"), true) << log.lines()[0];
    }
}

// DEBUG-06
TEST(Debug, IsSwitchedOnByTheEnvironmentUnlessAnOptionSaysOtherwise) {
    const auto debug_with = [](const char* value, std::optional<bool> option) {
        setenv("KNIT_DEBUG", value, 1);
        RunOptions options = on_loops(1);
        options.debug = option;
        const bool is_on = run([]() -> Coro<bool> { co_return get_running_loop().get_debug(); }, options);
        unsetenv("KNIT_DEBUG");
        return is_on;
    };
    EXPECT_TRUE(debug_with("1", std::nullopt));
    EXPECT_FALSE(debug_with("", std::nullopt));
    EXPECT_FALSE(debug_with("1", false));
    EXPECT_TRUE(debug_with("", true));
}

// DEBUG-07
TEST(Debug, CanBeSwitchedWhileTheLoopRuns) {
    const LogCapture capture;
    run([]() -> Coro<> {
        Loop& loop = get_running_loop();
        EXPECT_FALSE(loop.get_debug());
        block(1s);
        co_await tick();
        loop.set_debug(true);
        EXPECT_TRUE(loop.get_debug());
        co_await tick();
        block(2s);
        co_await tick();
        loop.set_debug(false);
        EXPECT_FALSE(loop.get_debug());
        co_await tick();
        block(3s);
        co_await tick();
    }, debug_options(false));
    const std::vector<std::string> messages = slow_steps(capture);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_TRUE(messages[0].ends_with("took 2.000 seconds")) << messages[0];
}

// DEBUG-08
CO_TEST(Debug, ATaskAsTextShowsItsStateAndWhatItWaitsFor) {
    Future<> future;
    Task<> task = create_task([&]() -> Coro<> { co_await future; }, {.name = "T1"});
    co_await tick();
    const std::string pending = to_string(task);
    task.cancel();
    const std::string cancelling = to_string(task);
    co_await got(task);
    EXPECT_TRUE(has(pending, "pending name='T1'")) << pending;
    EXPECT_TRUE(has(pending, "wait_for=<Future pending")) << pending;
    EXPECT_TRUE(has(cancelling, "cancelling name='T1'")) << cancelling;
    EXPECT_TRUE(has(to_string(task), "cancelled name='T1'")) << to_string(task);
}

TEST(Debug, DoesNotChangeWhatSpawnedTasksDo) {
    const auto fib = [](auto& self, int n) -> Coro<long> {
        if (n < 2) {
            co_return n;
        }
        auto [one, other] = co_await gather(spawn(self(self, n - 1)), spawn(self(self, n - 2)));
        co_return one + other;
    };
    for (const unsigned loops : {1U, 4U}) {
        EXPECT_EQ(run(fib(fib, 12), debug_options(true, loops)), 144);
    }
}

}  // namespace
}  // namespace knit::test
