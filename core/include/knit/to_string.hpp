/// to_string(): tasks and futures as text, in the form of asyncio's repr().
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include "knit/result.hpp"
#include "knit/task.hpp"

namespace knit {
namespace detail {

/// The function of the task's outermost coroutine.
std::string coroutine_name(const TaskCore& task);
/// `result`: of one that has ended with a value.
std::string core_text(const FutureCore* core, bool is_task, std::string_view result);
/// In single quotes, with what cannot be printed escaped; cut in the middle when it is long.
std::string quoted_text(std::string_view text);
/// "<std::vector<int>>"
std::string type_text(const std::type_info& type);

template <class T>
std::string value_text(const T& value) {
    if constexpr (std::is_same_v<T, Unit>) {
        return "None";
    } else if constexpr (std::is_same_v<T, bool>) {
        return value ? "True" : "False";
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
        return quoted_text(value);
    } else if constexpr (std::is_same_v<T, char>) {
        return quoted_text({&value, 1});
    } else if constexpr (std::is_arithmetic_v<T>) {
        char digits[64];
        return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    } else if constexpr (requires {
                             { to_string(value) } -> std::convertible_to<std::string>;
                         }) {
        return to_string(value);
    } else {
        return type_text(typeid(T));
    }
}

template <class T>
std::string result_text(const Future<T>& future) {
    if (!future || future.ref()->state() != State::value) {
        return {};
    }
    if constexpr (std::is_void_v<T>) {
        return "None";
    } else {
        return value_text<std::remove_cvref_t<T>>(slot_of<T>(*future.ref()).value());
    }
}

}  // namespace detail

/// `<Future pending>`, `<Future finished result=5>`, `<Future finished exception=Err('text')>`, `<Future cancelled>`;
/// for a task `<Task pending name='T1' coro=<w()> wait_for=<Future pending>>`, where `cancelling` stands for `pending`
/// once it has been asked to end. Any thread; what a task waits for is shown on the task's loop alone.
template <class T>
std::string to_string(const Future<T>& future) {
    return detail::core_text(future.ref().get(), false, detail::result_text(future));
}
template <class T>
std::string to_string(const Task<T>& task) {
    return detail::core_text(task.ref().get(), true, detail::result_text<T>(task));
}
/// Without the value of a result, whose type is not known here.
inline std::string to_string(const TaskRef& task) { return detail::core_text(task.ref().get(), true, "..."); }

}  // namespace knit
