#include "knit/exception_group.hpp"

#include <algorithm>
#include <utility>

#include "report.hpp"

namespace knit {
namespace {

bool is_ordinary(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception&) {
        return true;
    } catch (...) {
        return false;  // only asked for its kind, the error stays with the group
    }
}

/// A line for each error; those of a nested group stand deeper.
std::string list_errors(const std::string& message, const std::vector<std::exception_ptr>& errors) {
    std::string text = message + " (" + std::to_string(errors.size()) + " sub-exception";
    text += errors.size() == 1 ? ")" : "s)";
    for (const std::exception_ptr& error : errors) {
        text += "\n  ";
        for (const char letter : detail::describe(error)) {
            text += letter;
            if (letter == '\n') {
                text += "  ";
            }
        }
    }
    return text;
}

}  // namespace

detail::GroupedErrors::GroupedErrors(std::string text, std::vector<std::exception_ptr> each)
    : message(std::move(text)), errors(std::move(each)) {
    if (errors.empty()) {
        throw ValueError("an exception group needs a non-empty sequence of exceptions");
    }
}

const char* detail::GroupedErrors::what() const noexcept {
    std::call_once(once_, [this] { text_ = list_errors(message, errors); });
    return text_.c_str();
}

ExceptionGroup::ExceptionGroup(std::string message, std::vector<std::exception_ptr> errors)
    : held_(std::make_shared<const detail::GroupedErrors>(std::move(message), std::move(errors))) {
    if (!std::ranges::all_of(held_->errors, is_ordinary)) {
        throw TypeError("Cannot nest BaseExceptions in an ExceptionGroup");
    }
}

BaseExceptionGroup::BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> errors)
    : held_(std::make_shared<const detail::GroupedErrors>(std::move(message), std::move(errors))) {}

std::exception_ptr make_exception_group(std::string message, std::vector<std::exception_ptr> errors) {
    if (std::ranges::all_of(errors, is_ordinary)) {
        return std::make_exception_ptr(ExceptionGroup(std::move(message), std::move(errors)));
    }
    return std::make_exception_ptr(BaseExceptionGroup(std::move(message), std::move(errors)));
}

}  // namespace knit
