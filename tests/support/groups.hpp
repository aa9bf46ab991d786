/// For the tests of task groups: exception groups as text.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "co_test.hpp"

namespace knit::test {

inline std::string group_text(const std::exception_ptr& error);

inline std::string members_text(const char* kind, const std::vector<std::exception_ptr>& errors) {
    std::string text = kind;
    for (const char* separator = "["; const std::exception_ptr& error : errors) {
        text += separator + group_text(error);
        separator = " ";
    }
    return text + "]";
}

/// "!Err", or "ExceptionGroup[!Err BaseExceptionGroup[!BaseErr]]".
inline std::string group_text(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const ExceptionGroup& group) {
        return members_text("ExceptionGroup", group.errors());
    } catch (const BaseExceptionGroup& group) {
        return members_text("BaseExceptionGroup", group.errors());
    } catch (...) {
        return error_text(std::current_exception(), true);
    }
}

/// Awaits; its value as text, or what it threw, as group_text().
template <class A>
Coro<std::string> got_group(A awaitable) {
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
    co_return group_text(error);
}

// The members of a group, as coroutines.

inline Coro<> fail(std::string what = "") {
    throw Err(what);
    co_return;
}
inline Coro<> fail_after(Duration delay, std::string what = "") {
    co_await sleep(delay);
    throw Err(what);
}
inline Coro<> forever() { co_await sleep(kForever); }
/// Logs its name when it is cancelled.
inline Coro<> leaf(Trace& log, std::string name) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name);
        throw;
    }
}

}  // namespace knit::test
