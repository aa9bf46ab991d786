/// What the C++ side of each pair uses: a registry of programs, and asyncio-like names and text for what they log. The
/// same names stand in support.py. Text is Python's, so that traces can be compared: True, None, [1, 2], !ValueError.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/core.hpp"

namespace knit::pairs {

using namespace std::chrono_literals;

inline constexpr std::chrono::hours kForever{1};

/// A program is a coroutine that run() runs on one loop, or a plain function.
struct Program {
    Program(const char* name_, Coro<> (*body_)()) : name(name_), coroutine(body_) {}
    Program(const char* name_, void (*body_)()) : name(name_), plain(body_) {}
    const char* name;
    Coro<> (*coroutine)() = nullptr;
    void (*plain)() = nullptr;
};

/// Registers the programs of a family: one static object in its file.
struct Family {
    Family(const char* name, std::initializer_list<Program> programs);
};

/// The seeds that programs with random choices take: first to last.
std::pair<std::uint64_t, std::uint64_t> seeds();

/// Adds a line to the trace.
void log_line(const std::string& line);

// Ordinary errors of a user, and one outside the ordinary hierarchy.
struct Err : std::runtime_error {
    explicit Err(const std::string& message = "") : std::runtime_error(message) {}
};
struct Err2 : std::runtime_error {
    explicit Err2(const std::string& message = "") : std::runtime_error(message) {}
};
struct BaseErr : BaseException {
    const char* what() const noexcept override { return ""; }
};

/// The exception as "!Type", or as "!Type(message)".
std::string error_text(const std::exception_ptr& error, bool with_message = false);

// show(): a value as Python's str() gives it.
inline std::string show(bool value) { return value ? "True" : "False"; }
inline std::string show(std::string_view value) { return std::string(value); }
inline std::string show(const std::string& value) { return value; }
inline std::string show(const char* value) { return value; }
inline std::string show(Unit) { return "None"; }
inline std::string show(std::nullptr_t) { return "None"; }
inline std::string show(std::nullopt_t) { return "None"; }
inline std::string show(const std::exception_ptr& error) { return error == nullptr ? "None" : error_text(error); }
template <class T>
    requires std::is_arithmetic_v<T>
std::string show(T value) {
    return std::to_string(value);
}
template <class T>
std::string show(const std::optional<T>& value) {
    return value ? show(*value) : "None";
}
template <class T>
std::string show(const Result<T>& result) {
    if (!result) {
        return error_text(result.error());
    }
    if constexpr (std::is_void_v<T>) {
        return "None";
    } else {
        return show(result.value());
    }
}
template <class T>
std::string show(const std::vector<T>& values);
template <class... T>
std::string show(const std::tuple<T...>& values) {
    std::string text;
    std::apply([&](const auto&... item) { ((text += (text.empty() ? "" : ", ") + show(item)), ...); }, values);
    return "[" + text + "]";
}
template <class T>
std::string show(const std::vector<T>& values) {
    std::string text;
    for (const auto& item : values) {
        text += (text.empty() ? "" : ", ") + show(item);
    }
    return "[" + text + "]";
}

/// One line of the trace.
template <class... A>
void log(const A&... values) {
    std::string line;
    ((line += (line.empty() ? "" : " ") + show(values)), ...);
    log_line(line);
}

/// What `function()` gives, or the exception that it throws, as text.
template <class F>
std::string call(F&& function, bool with_message = false) {
    try {
        if constexpr (std::is_void_v<decltype(function())>) {
            function();
            return "None";
        } else {
            return show(function());
        }
    } catch (...) {
        return error_text(std::current_exception(), with_message);
    }
}
template <class F>
std::string call_message(F&& function) {
    return call(std::forward<F>(function), true);
}

template <class A>
Coro<std::string> got(A awaitable, bool with_message = false) {
    try {
        if constexpr (std::is_void_v<await_result_t<A>>) {
            co_await std::move(awaitable);
            co_return "None";
        } else {
            auto value = co_await std::move(awaitable);
            co_return show(value);
        }
    } catch (...) {
        co_return error_text(std::current_exception(), with_message);
    }
}
template <class A>
Coro<std::string> got_message(A awaitable) {
    return got(std::move(awaitable), true);
}

/// Lets the loop turn `count` times.
Coro<> tick(int count = 1);

/// How many turns of the loop pass until the task is done.
template <class T>
Coro<int> turns_until_done(Task<T> task) {
    int count = 0;
    while (!task.done()) {
        co_await sleep(0s);
        ++count;
    }
    co_return count;
}

inline Loop& loop() { return get_running_loop(); }
template <class T = int>
Future<T> fut() {
    return loop().create_future<T>();
}
inline TaskRef me() { return current_task().value(); }
/// Milliseconds since the program's loop was made.
std::int64_t now();
/// Shows the calling loop's reports in the trace.
void on_error();
/// run() on one loop, whose clock begins at 0 as far as now() tells.
RunOptions one_loop();
template <class F>
auto run_one(F main, RunOptions options = one_loop()) {
    return run(std::move(main), std::move(options));
}

/// A few of one type as a vector, without the braces that GCC 12 cannot take in a coroutine.
template <class T, class... A>
std::vector<T> list_of(A&&... items) {
    std::vector<T> values;
    values.reserve(sizeof...(A));
    (values.push_back(std::forward<A>(items)), ...);
    return values;
}

/// The generator of support.py.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 2654435761U + 12345) {}
    int operator()(int bound) {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<int>((state_ >> 33) % static_cast<std::uint64_t>(bound));
    }

private:
    std::uint64_t state_;
};

}  // namespace knit::pairs
