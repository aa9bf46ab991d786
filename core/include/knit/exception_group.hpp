/// ExceptionGroup, BaseExceptionGroup: several errors that came at once, as a TaskGroup throws them.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "knit/error.hpp"

namespace knit {
namespace detail {

/// What both kinds of group hold. Copies share it, so that copying cannot throw.
class GroupedErrors {
public:
    /// ValueError without errors.
    GroupedErrors(std::string text, std::vector<std::exception_ptr> each);

    const std::string message;
    const std::vector<std::exception_ptr> errors;
    /// The message and a line for each error, made when it is first asked for: most groups are handled, not printed.
    /// Any thread.
    const char* what() const noexcept;

private:
    mutable std::once_flag once_;
    mutable std::string text_;
};

}  // namespace detail

/// Ordinary errors that came at once. Immutable; copies share what they hold. what() is CPython's line, "unhandled
/// errors in a TaskGroup (2 sub-exceptions)", and a further line for each error; groups may nest.
struct ExceptionGroup : std::exception {
    /// ValueError without errors, TypeError when one of them is no std::exception.
    ExceptionGroup(std::string message, std::vector<std::exception_ptr> errors);

    const std::string& message() const noexcept { return held_->message; }
    /// In the order in which they came.
    const std::vector<std::exception_ptr>& errors() const noexcept { return held_->errors; }
    const char* what() const noexcept override { return held_->what(); }

private:
    std::shared_ptr<const detail::GroupedErrors> held_;
};

/// The same when one of the errors, or more, is no std::exception.
struct BaseExceptionGroup : BaseException {
    /// ValueError without errors.
    BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> errors);

    const std::string& message() const noexcept { return held_->message; }
    /// In the order in which they came.
    const std::vector<std::exception_ptr>& errors() const noexcept { return held_->errors; }
    const char* what() const noexcept override { return held_->what(); }

private:
    std::shared_ptr<const detail::GroupedErrors> held_;
};

/// An ExceptionGroup where it can be one, else a BaseExceptionGroup. ValueError without errors.
std::exception_ptr make_exception_group(std::string message, std::vector<std::exception_ptr> errors);

}  // namespace knit
