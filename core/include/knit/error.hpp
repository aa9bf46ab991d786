/// Every exception type of knit. What the system refuses is a plain std::system_error.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace knit {

/// Root of what ordinary handlers must not swallow: no std::exception, so `catch (const std::exception&)` lets it pass.
/// Thrown in a task it is stored there and, CancelledError apart, also comes out of run().
struct BaseException {
    BaseException() = default;
    BaseException(const BaseException&) = default;
    BaseException& operator=(const BaseException&) = default;
    virtual ~BaseException() = default;
    virtual const char* what() const noexcept { return "BaseException"; }
};

/// Thrown at the await where a task is suspended when it is cancelled.
struct CancelledError : BaseException {
    explicit CancelledError(std::string message = {}) : message_(std::move(message)) {}
    /// What was given to cancel(); empty: nothing.
    const std::string& message() const noexcept { return message_; }
    const char* what() const noexcept override { return message_.empty() ? "CancelledError" : message_.c_str(); }

private:
    std::string message_;
};

/// What run() throws after a SIGINT that cancelled main.
struct KeyboardInterrupt : BaseException {
    const char* what() const noexcept override { return "KeyboardInterrupt"; }
};

struct ValueError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};
struct TypeError : std::logic_error {
    using std::logic_error::logic_error;
};
struct LookupError : std::out_of_range {
    using std::out_of_range::out_of_range;
};
/// A future was asked for what it has not, or set twice.
struct InvalidStateError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct RuntimeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct TimeoutError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct QueueEmpty : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct QueueFull : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct QueueShutDown : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct BrokenBarrierError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The stream ended before all the bytes asked for had come; partial() is what came.
struct IncompleteReadError : std::runtime_error {
    using std::runtime_error::runtime_error;
    IncompleteReadError(const std::string& what, std::string partial)
        : std::runtime_error(what), partial_(std::move(partial)) {}
    /// With asyncio's text; `expected` is nothing where a separator was looked for.
    IncompleteReadError(std::string partial, std::optional<std::size_t> expected)
        : std::runtime_error(std::to_string(partial.size()) + " bytes read on a total of " +
                             (expected ? std::to_string(*expected) : "undefined") + " expected bytes"),
          partial_(std::move(partial)),
          expected_(expected) {}
    const std::string& partial() const noexcept { return partial_; }
    /// How many bytes were asked for.
    std::optional<std::size_t> expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::optional<std::size_t> expected_;
};

/// A separator was not found within a reader's limit; consumed() bytes are there that do not have it, and stay.
struct LimitOverrunError : std::runtime_error {
    LimitOverrunError(const std::string& what, std::size_t consumed) : std::runtime_error(what), consumed_(consumed) {}
    std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

}  // namespace knit
