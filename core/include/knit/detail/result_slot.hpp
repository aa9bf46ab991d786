/// ResultSlot: where a coroutine or a future keeps its value or its exception until somebody takes it.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/detail/base.hpp"

namespace knit::detail {

struct SlotBase;
template <class T>
class ResultSlot;

/// The type of a result, for those who do not know it: one for each T, so that the address tells them apart.
struct SlotKind {
    void (*destroy)(SlotBase&) noexcept;  ///< null where there is nothing to destroy but the error
};
template <class T>
const SlotKind& slot_kind() noexcept;

/// Says that the kind will be set later, or never.
struct NoKind {};

/// The part that does not depend on the type: written once by whoever settles, read only after that.
struct SlotBase {
    SlotBase() noexcept {}
    explicit SlotBase(const SlotKind& which) noexcept : kind(&which) {}

    const SlotKind* kind;  ///< where it is a task's or a future's; not set for a coroutine that is awaited inline
    std::exception_ptr error = nullptr;
    bool has_value = false;  ///< only where a value has a destructor
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
    static_assert(alignof(Stored) <= alignof(std::max_align_t),
                  "knit: a result that needs more than the usual alignment: return it by std::unique_ptr");
    static constexpr bool kIsTrivial = std::is_trivially_destructible_v<Stored>;

    ResultSlot() noexcept : SlotBase(slot_kind<T>()) {}
    explicit ResultSlot(NoKind) noexcept {}
    ~ResultSlot() {
        if constexpr (!kIsTrivial) {
            if (has_value) {
                std::destroy_at(&stored_);
            }
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
        if constexpr (!kIsTrivial) {
            has_value = true;
        }
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

    /// Destroys the value, if there is one.
    void clear() noexcept {
        if constexpr (!kIsTrivial) {
            if (std::exchange(has_value, false)) {
                std::destroy_at(&stored_);
            }
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
    static constexpr bool kIsTrivial = true;

    ResultSlot() noexcept : SlotBase(slot_kind<void>()) {}
    explicit ResultSlot(NoKind) noexcept {}
    void emplace() noexcept {}
    void clear() noexcept {}
    void get() const { take(); }
    void take() const {
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    }
};

template <class T>
void destroy_slot(SlotBase& slot) noexcept {
    std::destroy_at(&static_cast<ResultSlot<T>&>(slot));
}
template <class T>
inline constexpr SlotKind kSlotKind{ResultSlot<T>::kIsTrivial ? nullptr : &destroy_slot<T>};
template <class T>
const SlotKind& slot_kind() noexcept {
    return kSlotKind<T>;
}

}  // namespace knit::detail
