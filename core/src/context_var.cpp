#include "knit/context_var.hpp"

#include <algorithm>
#include <mutex>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"

namespace knit {
namespace detail {
namespace {

Atomic<std::uint64_t> g_next_variable{0};  // any thread takes from it; publishes nothing

}  // namespace

std::shared_ptr<const ContextState::Entries> ContextState::entries() noexcept {
    const std::lock_guard lock(mutex_);
    return entries_;
}

ContextState* ContextState::copy() {
    auto* const twin = new ContextState;
    twin->entries_ = entries();
    return twin;
}

ContextState::Value ContextState::find(std::uint64_t variable) noexcept {
    const std::lock_guard lock(mutex_);
    if (entries_ != nullptr) {
        for (const Entry& entry : *entries_) {
            if (entry.variable == variable) {
                return entry.value;
            }
        }
    }
    return nullptr;
}

ContextState::Value ContextState::replace(std::uint64_t variable, Value value) {
    // Made anew outside the mutex; whoever changes the context meanwhile, on another loop, has it made once more.
    for (;;) {
        const std::shared_ptr<const Entries> before = entries();
        auto after = before != nullptr ? std::make_shared<Entries>(*before) : std::make_shared<Entries>();
        Value old;
        const auto place =
            std::ranges::find_if(*after, [&](const Entry& entry) { return entry.variable == variable; });
        if (place != after->end()) {
            old = place->value;
            if (value != nullptr) {
                place->value = value;
            } else {
                after->erase(place);
            }
        } else if (value != nullptr) {
            after->push_back({variable, value});
        }
        const std::lock_guard lock(mutex_);
        if (entries_ == before) {
            entries_ = std::move(after);  // the values before go with `before`, after the mutex
            return old;
        }
    }
}

bool ContextState::enter() noexcept {
    const std::lock_guard lock(mutex_);
    return !std::exchange(is_entered_, true);
}

void ContextState::leave() noexcept {
    const std::lock_guard lock(mutex_);
    is_entered_ = false;
}

ContextState& current_context() {
    if (ContextState* const current = context_slot()) {
        return *current;
    }
    auto* const made = new ContextState;
    Worker* const worker = Worker::current();
    if (TaskCore* const task = worker != nullptr ? worker->current_task() : nullptr) {
        task->set_context(made);
    } else {
        t_context = made;
        keep_thread_context();
    }
    return *made;
}

ContextState* copy_of_current_context() {
    ContextState* const current = context_slot();
    return current != nullptr ? current->copy() : nullptr;
}

std::uint64_t new_context_variable() noexcept {
    return g_next_variable.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: a counter
}

void throw_no_context_value(const std::string& name) { throw LookupError("<ContextVar name='" + name + "'>"); }

ContextState::Value get_context_value(std::uint64_t variable) noexcept {
    ContextState* const current = context_slot();
    return current != nullptr ? current->find(variable) : nullptr;
}

std::shared_ptr<TokenState> set_context_value(std::uint64_t variable, ContextState::Value value) {
    ContextState& context = current_context();
    auto token = std::make_shared<TokenState>(variable, context, nullptr);
    token->old_value = context.replace(variable, std::move(value));
    return token;
}

void reset_context_value(std::uint64_t variable, TokenState& token, const std::string& name) {
    if (token.is_used) {
        throw RuntimeError("Token has already been used once: reset() of <ContextVar name='" + name + "'>");
    }
    if (token.variable != variable) {
        throw ValueError("Token was created by a different ContextVar than <ContextVar name='" + name + "'>");
    }
    if (token.context != context_slot()) {
        throw ValueError("Token was created in a different Context: reset() of <ContextVar name='" + name + "'>");
    }
    token.context->replace(variable, token.old_value);
    token.is_used = true;
}

}  // namespace detail

Context::Scope::Scope(detail::ContextState& state) : state_(state), before_(detail::context_slot()) {
    if (before_ == &state || !state.enter()) {
        throw RuntimeError("cannot enter context: it is already entered");
    }
    detail::context_slot() = &state;
}

Context::Scope::~Scope() {
    detail::context_slot() = before_;
    state_.leave();
}

Context copy_context() {
    detail::ContextState* const copy = detail::copy_of_current_context();
    return copy != nullptr ? Context(copy) : Context();
}

}  // namespace knit
