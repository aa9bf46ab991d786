/// What stands in the place of std::atomic and of the fences where the real code is compiled with KNIT_MODEL: every
/// access is a step of the explorer. The value itself stays in its place, so that objects look the same to code that
/// was compiled without.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace knit::detail::model {

/// An atomic object as the explorer sees it.
struct Cell {
    void* where;
    std::size_t size;
};

void made(Cell cell) noexcept;
std::uint64_t load(Cell cell, std::memory_order order) noexcept;
void store(Cell cell, std::uint64_t bits, std::memory_order order) noexcept;
/// The newest value; end_update() follows before any other step, unless the update is given up.
std::uint64_t begin_update(Cell cell) noexcept;
void end_update(Cell cell, std::uint64_t bits, std::memory_order order) noexcept;
/// A compare-exchange has failed: it was a load.
void give_up_update(Cell cell, std::memory_order order) noexcept;
/// Sleeps, unless the newest value is another one, until notify(), and so on.
void wait_for_change(Cell cell, std::uint64_t old) noexcept;
void notify(Cell cell, bool all) noexcept;

void full_fence() noexcept;
void light_fence() noexcept;
void heavy_fence() noexcept;
/// Spinning: somebody else goes on, who can.
void relax() noexcept;

template <class T>
class Atomic {
    static_assert(std::is_trivially_copyable_v<T>);
    static_assert(sizeof(T) <= sizeof(std::uint64_t));

public:
    constexpr Atomic() noexcept : Atomic(T()) {}
    constexpr Atomic(T value) noexcept : value_(value) {
        if (!std::is_constant_evaluated()) {
            made(cell());
        }
    }
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
        return value_of(model::load(cell(), order));
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        model::store(cell(), bits_of(value), order);
    }
    T exchange(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update(order, [value](T) { return value; });
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) noexcept {
        const std::uint64_t found = begin_update(cell());
        if (found == bits_of(expected)) {
            end_update(cell(), bits_of(desired), success);
            return true;
        }
        give_up_update(cell(), failure);
        expected = value_of(found);
        return false;
    }
    bool compare_exchange_strong(T& expected, T desired,
                                 std::memory_order order = std::memory_order_seq_cst) noexcept {
        return compare_exchange_strong(expected, desired, order, order_of_failure(order));
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return compare_exchange_strong(expected, desired, order);
    }
    T fetch_add(T more, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update(order, [more](T value) { return static_cast<T>(value + more); });
    }
    T fetch_sub(T less, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update(order, [less](T value) { return static_cast<T>(value - less); });
    }
    T fetch_or(T more, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update(order, [more](T value) { return static_cast<T>(value | more); });
    }
    T fetch_and(T mask, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update(order, [mask](T value) { return static_cast<T>(value & mask); });
    }
    void wait(T old, std::memory_order = std::memory_order_seq_cst) const noexcept {
        wait_for_change(cell(), bits_of(old));
    }
    void notify_one() noexcept { notify(cell(), false); }
    void notify_all() noexcept { notify(cell(), true); }

private:
    static std::memory_order order_of_failure(std::memory_order order) noexcept {
        return order == std::memory_order_acq_rel   ? std::memory_order_acquire
               : order == std::memory_order_release ? std::memory_order_relaxed
                                                    : order;
    }
    static std::uint64_t bits_of(T value) noexcept {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof(T));
        return bits;
    }
    static T value_of(std::uint64_t bits) noexcept {
        T value;
        std::memcpy(&value, &bits, sizeof(T));
        return value;
    }
    template <class Change>
    T update(std::memory_order order, Change change) noexcept {
        const T before = value_of(begin_update(cell()));
        end_update(cell(), bits_of(change(before)), order);
        return before;
    }
    Cell cell() const noexcept { return {const_cast<T*>(&value_), sizeof(T)}; }

    alignas(sizeof(T)) T value_;
};

}  // namespace knit::detail::model
