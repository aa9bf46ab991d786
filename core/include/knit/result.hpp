/// Result<T>: a value or the exception that came instead; Unit, which stands for void in tuples and vectors of results.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/error.hpp"

namespace knit {

/// The value of something that has none.
struct Unit {
    friend bool operator==(Unit, Unit) = default;
};

/// A T or an exception, as `gather(return_exceptions, ...)` and `as_result()` give it. Not thread-safe.
template <class T = void>
class [[nodiscard]] Result {
    static_assert(!std::is_reference_v<T>, "knit::Result holds values: use a pointer or std::reference_wrapper");

public:
    using value_type = T;

    Result(T value) : value_(std::move(value)) {}
    Result(std::exception_ptr error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; rethrows the exception where there is none.
    T& value() & {
        check();
        return *value_;
    }
    const T& value() const& {
        check();
        return *value_;
    }
    T value() && {
        check();
        return std::move(*value_);
    }

    /// The exception, null for a value.
    std::exception_ptr error() const noexcept { return error_; }

    T value_or(T fallback) const& { return value_ ? *value_ : std::move(fallback); }
    T value_or(T fallback) && { return value_ ? std::move(*value_) : std::move(fallback); }

    /// Throws the exception; InvalidStateError for a value.
    [[noreturn]] void rethrow() const {
        if (error_ == nullptr) {
            throw InvalidStateError("Result holds a value, there is nothing to rethrow");
        }
        std::rethrow_exception(error_);
    }

private:
    void check() const {
        if (!value_) {
            std::rethrow_exception(error_);
        }
    }

    std::optional<T> value_;
    std::exception_ptr error_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    Result(Unit) {}
    Result(std::exception_ptr error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return error_ == nullptr; }
    explicit operator bool() const noexcept { return has_value(); }
    /// Rethrows the exception where there is one.
    void value() const {
        if (error_ != nullptr) {
            std::rethrow_exception(error_);
        }
    }
    std::exception_ptr error() const noexcept { return error_; }
    [[noreturn]] void rethrow() const {
        if (error_ == nullptr) {
            throw InvalidStateError("Result holds a value, there is nothing to rethrow");
        }
        std::rethrow_exception(error_);
    }

private:
    std::exception_ptr error_;
};

/// First argument of gather(): exceptions become results.
struct return_exceptions_t {};
inline constexpr return_exceptions_t return_exceptions{};

}  // namespace knit
