/// ContextVar<T>: a variable of which each task has its own value. Context: a set of such values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "knit/detail/context_state.hpp"

namespace knit {

class Context;

namespace detail {

std::uint64_t new_context_variable() noexcept;
[[noreturn]] void throw_no_context_value(const std::string& name);

/// What ContextVar::reset() needs to know; shared by the copies of a token.
struct TokenState {
    TokenState(std::uint64_t which, ContextState& where, ContextState::Value before) noexcept
        : variable(which), context(&where), old_value(std::move(before)) {
        context->add_ref();
    }
    TokenState(const TokenState&) = delete;
    TokenState& operator=(const TokenState&) = delete;
    ~TokenState() { context->drop_ref(); }

    std::uint64_t variable;
    ContextState* context;
    ContextState::Value old_value;
    bool is_used = false;
};

ContextState::Value get_context_value(std::uint64_t variable) noexcept;
std::shared_ptr<TokenState> set_context_value(std::uint64_t variable, ContextState::Value value);
/// RuntimeError for a token that has been used, ValueError for another variable's or another context's.
void reset_context_value(std::uint64_t variable, TokenState& token, const std::string& name);

}  // namespace detail

/// Usually a global. A task starts with the values that its creator has at that moment, and its own set() is seen by
/// nobody else but the coroutines that it awaits inline; a callback likewise. Copies are the same variable. Any thread;
/// values are copied out, and may be read by several threads at once.
template <class T>
class ContextVar {
public:
    /// What set() gives, for reset(). Copies share it.
    class Token {
    public:
        /// The value before, if there was one.
        std::optional<T> old_value() const {
            const auto* const value = static_cast<const T*>(state_->old_value.get());
            return value != nullptr ? std::optional<T>(*value) : std::nullopt;
        }

    private:
        friend class ContextVar;
        explicit Token(std::shared_ptr<detail::TokenState> state) noexcept : state_(std::move(state)) {}
        std::shared_ptr<detail::TokenState> state_;
    };

    /// Without a default: get() throws where nothing was set.
    explicit ContextVar(std::string name) : name_(std::move(name)) {}
    ContextVar(std::string name, T default_value) : name_(std::move(name)), default_(std::move(default_value)) {}

    const std::string& name() const noexcept { return name_; }
    /// The value of the current context, else the default. LookupError when there is neither.
    T get() const {
        if (const auto value = detail::get_context_value(id_)) {
            return *static_cast<const T*>(value.get());
        }
        if (!default_) {
            detail::throw_no_context_value(name_);
        }
        return *default_;
    }
    /// `fallback` comes before the default.
    T get(T fallback) const {
        const auto value = detail::get_context_value(id_);
        return value != nullptr ? *static_cast<const T*>(value.get()) : std::move(fallback);
    }
    /// Sets it in the current context.
    Token set(T value) { return Token(detail::set_context_value(id_, std::make_shared<const T>(std::move(value)))); }
    /// Back to what it was before that set(). ValueError for a token of another variable or another context,
    /// RuntimeError for one that has been used already.
    void reset(const Token& token) { detail::reset_context_value(id_, *token.state_, name_); }

private:
    friend class Context;

    std::uint64_t id_ = detail::new_context_variable();
    std::string name_;
    std::optional<T> default_;
};

/// A handle to a set of values; copies share it. Made by copy_context().
class Context {
public:
    /// Empty.
    Context() : state_(new detail::ContextState) {}
    /// Takes over one reference; knit's own use.
    explicit Context(detail::ContextState* state) noexcept : state_(state) {}
    Context(const Context& other) noexcept : state_(other.state_) { state_->add_ref(); }
    Context& operator=(const Context& other) noexcept {
        other.state_->add_ref();
        std::exchange(state_, other.state_)->drop_ref();
        return *this;
    }
    ~Context() { state_->drop_ref(); }

    /// Calls `function(args...)` in this context, whose values its set() changes. RuntimeError when this context is
    /// entered already. Not for coroutines: give them to create_task() with TaskOptions::context.
    template <class F, class... A>
    std::invoke_result_t<F, A...> run(F&& function, A&&... args) {
        const Scope scope(*state_);
        return std::invoke(std::forward<F>(function), std::forward<A>(args)...);
    }
    /// The value that `variable` has here; none where it was not set.
    template <class T>
    std::optional<T> get(const ContextVar<T>& variable) const {
        const auto value = state_->find(variable.id_);
        return value != nullptr ? std::optional<T>(*static_cast<const T*>(value.get())) : std::nullopt;
    }
    friend bool operator==(const Context& left, const Context& right) noexcept { return left.state_ == right.state_; }

    /// knit's own use.
    detail::ContextState& state() const noexcept { return *state_; }

private:
    class Scope {
    public:
        explicit Scope(detail::ContextState& state);
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
        ~Scope();

    private:
        detail::ContextState& state_;
        detail::ContextState* before_;
    };

    detail::ContextState* state_;
};

/// A copy of the current context, which changes on its own from then on.
Context copy_context();

}  // namespace knit
