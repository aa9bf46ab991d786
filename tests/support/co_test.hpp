/// What the tests of core share: test bodies that are coroutines, traces, and exceptions as text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fake_driver.hpp"
#include "knit/core.hpp"

/// CO_TEST(Suite, Name) { ... co_await ...; co_return; } is a TEST whose body is a Coro<>, run by knit::run() on one
/// loop of the fake driver. EXPECT_ macros work in it; ASSERT_ macros do not, because they `return`.
/// CO_TEST_ON_LOOPS is the same for 1, 2 and 4 loops, each with several seeds.
#define CO_TEST(suite, name) KNIT_TEST_COROUTINE(suite, name, ::knit::test::run_on_one_loop)
#define CO_TEST_ON_LOOPS(suite, name) KNIT_TEST_COROUTINE(suite, name, ::knit::test::run_on_loops)
#define KNIT_TEST_COROUTINE(suite, name, runner)          \
    static ::knit::Coro<> suite##_##name##_body();        \
    TEST(suite, name) { runner(&suite##_##name##_body); } \
    static ::knit::Coro<> suite##_##name##_body()

namespace knit::test {

using namespace std::chrono_literals;

/// Longer than any test: a sleep that only a cancellation ends.
inline constexpr std::chrono::hours kForever{1000};
inline constexpr std::uint64_t kSeedsMax = 5;

inline RunOptions on_loops(unsigned loops) {
    RunOptions options;
    options.loops = loops;
    return options;
}

/// Runs `main`, anything that run() takes, on one loop.
template <class F>
auto run_one(F main) {
    return run(std::move(main), on_loops(1));
}

inline void run_on_one_loop(Coro<> (*body)()) { run(body(), on_loops(1)); }

inline void run_on_loops(Coro<> (*body)()) {
    const std::uint64_t seed_before = testing::seed();
    for (const unsigned loops : {1U, 2U, 4U}) {
        for (std::uint64_t seed = 1; seed <= (loops == 1 ? 1 : kSeedsMax); ++seed) {
            SCOPED_TRACE(std::to_string(loops) + " loops, seed " + std::to_string(seed));
            testing::set_seed(seed);
            run(body(), on_loops(loops));
        }
    }
    testing::set_seed(seed_before);
}

/// Ordinary errors of a user, and one outside the ordinary hierarchy.
struct Err : std::runtime_error {
    explicit Err(const std::string& text = "") : std::runtime_error(text) {}
};
struct Err2 : std::runtime_error {
    explicit Err2(const std::string& text = "") : std::runtime_error(text) {}
};
struct BaseErr : BaseException {
    const char* what() const noexcept override { return "BaseErr"; }
};

template <class T>
std::string text(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        return value ? "true" : "false";
    } else if constexpr (std::is_arithmetic_v<T>) {
        return std::to_string(value);
    } else if constexpr (std::is_same_v<T, Unit>) {
        return "unit";
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
        return std::string(std::string_view(value));
    } else {
        return "value";
    }
}

/// The exception as "!Type", or as "!Type(message)".
inline std::string error_text(const std::exception_ptr& error, bool with_message = false) {
    const auto named = [&](const char* type, const char* message) {
        return "!" + std::string(type) + (with_message ? "(" + std::string(message) + ")" : "");
    };
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError& e) {
        return named("CancelledError", e.message().c_str());
    } catch (const KeyboardInterrupt& e) {
        return named("KeyboardInterrupt", e.what());
    } catch (const BaseErr& e) {
        return named("BaseErr", e.what());
    } catch (const Err& e) {
        return named("Err", e.what());
    } catch (const Err2& e) {
        return named("Err2", e.what());
    } catch (const InvalidStateError& e) {
        return named("InvalidStateError", e.what());
    } catch (const RuntimeError& e) {
        return named("RuntimeError", e.what());
    } catch (const ValueError& e) {
        return named("ValueError", e.what());
    } catch (const TypeError& e) {
        return named("TypeError", e.what());
    } catch (const std::exception& e) {
        return named("exception", e.what());
    } catch (...) {
        return named("unknown", "");
    }
}

/// Runs `body` on two loops, with many seeds.
template <class F>
void on_two_loops(F body) {
    const std::uint64_t seed_before = testing::seed();
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        testing::set_seed(seed);
        run(body, on_loops(2));
    }
    testing::set_seed(seed_before);
}

/// What `function()` gives, as text, or the exception that it throws.
template <class F>
std::string call(F&& function, bool with_message = false) {
    try {
        if constexpr (std::is_void_v<decltype(function())>) {
            function();
            return "void";
        } else {
            return text(function());
        }
    } catch (...) {
        return error_text(std::current_exception(), with_message);
    }
}
template <class F>
std::string call_message(F&& function) {
    return call(std::forward<F>(function), true);
}

/// The same for what is awaited; CancelledError too becomes text.
template <class A>
Coro<std::string> got(A awaitable, bool with_message = false) {
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<await_result_t<A>>) {
            co_await std::move(awaitable);
            co_return "void";
        } else {
            auto value = co_await std::move(awaitable);
            co_return text(value);
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_return error_text(error, with_message);
}
template <class A>
Coro<std::string> got_message(A awaitable) {
    return got(std::move(awaitable), true);
}

/// Lets the loop turn `count` times.
inline Coro<> tick(int count = 1) {
    for (int turn = 0; turn < count; ++turn) {
        co_await sleep(0s);
    }
}

/// How many turns of the calling loop pass until the task is done.
template <class T>
Coro<int> turns_until_done(Task<T> task) {
    int count = 0;
    while (!task.done()) {
        co_await sleep(0s);
        ++count;
    }
    co_return count;
}

/// What happened, in order. Any thread may add to it.
class Trace {
public:
    template <class... A>
    void operator()(const A&... what) {
        const std::lock_guard lock(mutex_);
        (lines_.push_back(text(what)), ...);
    }
    std::vector<std::string> lines() const {
        const std::lock_guard lock(mutex_);
        return lines_;
    }
    std::size_t size() const { return lines().size(); }
    std::size_t count(std::string_view line) const {
        const std::vector<std::string> now = lines();
        return static_cast<std::size_t>(std::ranges::count(now, line));
    }

    /// EXPECT_TRUE(log.shows({"a", "b"})): these lines and no others.
    ::testing::AssertionResult shows(const std::vector<std::string>& expected) const {
        const std::vector<std::string> now = lines();
        if (now == expected) {
            return ::testing::AssertionSuccess();
        }
        return ::testing::AssertionFailure() << "the trace is " << ::testing::PrintToString(now) << ", expected "
                                             << ::testing::PrintToString(expected);
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

/// Shows the calling loop's reports in the trace, as "handler:<message>".
inline void on_error(Trace& log) {
    get_running_loop().set_exception_handler(
        [&log](const ExceptionContext& context) { log("handler:" + context.message); });
}

/// What goes to the log instead of to an exception handler, for as long as this lives.
class LogCapture {
public:
    LogCapture() {
        set_log_sink([this](const LogRecord& record) { records_.push_back(record); });
    }
    ~LogCapture() { set_log_sink({}); }
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;

    const std::vector<LogRecord>& records() const { return records_; }
    bool has(LogLevel level, std::string_view part) const {
        return std::ranges::any_of(records_, [&](const LogRecord& record) {
            return record.level == level && record.message.find(part) != std::string::npos;
        });
    }

private:
    std::vector<LogRecord> records_;
};

}  // namespace knit::test
