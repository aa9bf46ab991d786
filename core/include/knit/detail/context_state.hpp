/// ContextState: the values of context variables as one task, callback or thread sees them.
///
/// A task gets a copy of its creator's state: the same immutable entries, replaced as a whole when either side sets a
/// variable. A task that has no state sees no value but defaults, which costs nothing.
///
///   threads   any: two tasks on different loops may share one by TaskOptions::context
///   [context.refs] drop: release  ->  the last drop: acquire     all use happens before the end
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/detail/mutex.hpp"

namespace knit::detail {

class ContextState {
public:
    using Value = std::shared_ptr<const void>;

    ContextState() = default;
    ContextState(const ContextState&) = delete;
    ContextState& operator=(const ContextState&) = delete;

    /// A new one with the same values, and one reference.
    ContextState* copy();
    /// Null: not set here.
    Value find(std::uint64_t variable) noexcept;
    /// Sets, or with null unsets; gives what was there.
    Value replace(std::uint64_t variable, Value value);
    /// For Context::run(): false when somebody is in it already.
    bool enter() noexcept;
    void leave() noexcept;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [context.refs]
            delete this;
        }
    }

private:
    struct Entry {
        std::uint64_t variable;
        Value value;
    };
    using Entries = std::vector<Entry>;

    std::shared_ptr<const Entries> entries() noexcept;

    Mutex mutex_;                             ///< guards the two below
    std::shared_ptr<const Entries> entries_;  ///< immutable; null: none
    bool is_entered_ = false;
    Atomic<std::uint32_t> refs_{1};  ///< tasks, callbacks, Contexts; any thread [context.refs]
};

/// What the code that runs now sees: the task's own, or outside a task the callback's or the thread's. May be null. Not
/// to be kept over an await.
inline ContextState*& context_slot() noexcept;
/// The same, made where there is none.
ContextState& current_context();
/// A copy of it for a new task or callback; null where there is none. Throws std::bad_alloc: so it is made before a
/// task is counted and takes its coroutine.
ContextState* copy_of_current_context();
/// The same, where there usually is none.
[[nodiscard]] inline ContextState* context_for_task();

}  // namespace knit::detail
