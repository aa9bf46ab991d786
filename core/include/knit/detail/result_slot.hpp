/// ResultSlot: where a coroutine or a future keeps its value or its exception until somebody takes it.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/detail/base.hpp"

namespace knit::detail {

/// Stands for the type of a result: its address is what counts.
using SlotType = const char*;
template <class T>
inline constexpr char kSlotTag = 0;
template <class T>
constexpr SlotType slot_type() noexcept {
    return &kSlotTag<T>;
}

/// The part that does not depend on the type: written once by whoever settles, read only after that.
struct SlotBase {
    explicit SlotBase(SlotType which) noexcept : type(which) {}

    const SlotType type;
    std::exception_ptr error = nullptr;
    bool has_value = false;
    bool is_taken = false;  ///< a value that cannot be copied has been moved out; see claim_value()

    /// Whether the caller is the first to take it. Any thread.
    bool claim_value() noexcept {
        // relaxed: one winner, that is all; the value was published with the state
        return !__atomic_exchange_n(&is_taken, true, __ATOMIC_RELAXED);
    }
};

/// Value or exception of a T; a reference is kept as a pointer, void as nothing.
template <class T>
class ResultSlot : public SlotBase {
    using Stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_const_t<T>>;

public:
    ResultSlot() noexcept : SlotBase(slot_type<T>()) {}
    ~ResultSlot() {
        if (has_value) {
            std::destroy_at(&stored_);
        }
    }
    ResultSlot(const ResultSlot&) = delete;
    ResultSlot& operator=(const ResultSlot&) = delete;

    template <class U>
    void emplace(U&& value) {
        if constexpr (std::is_reference_v<T>) {
            std::construct_at(&stored_, std::addressof(static_cast<T>(value)));
        } else {
            std::construct_at(&stored_, std::forward<U>(value));
        }
        has_value = true;
    }

    /// The value, left in place. Rethrows the error.
    auto& get() {
        rethrow_error();
        return value();
    }

    /// The value, which must be there.
    auto& value() noexcept {
        if constexpr (std::is_reference_v<T>) {
            return *stored_;
        } else {
            return stored_;
        }
    }

    /// The value, moved out. Rethrows the error.
    T take() {
        rethrow_error();
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*stored_);
        } else {
            return std::move(stored_);
        }
    }

private:
    void rethrow_error() const {
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    }

    union {
        Stored stored_;
    };
};

template <>
class ResultSlot<void> : public SlotBase {
public:
    ResultSlot() noexcept : SlotBase(slot_type<void>()) {}
    void emplace() noexcept { has_value = true; }
    void get() const { take(); }
    void take() const {
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    }
};

}  // namespace knit::detail
