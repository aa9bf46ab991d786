/// Memory: what each thread of the explorer may see of an atomic object. The model stands at the head of explorer.hpp.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model_atomic.hpp"

namespace knit::detail::model {

/// For each location the position of a store in its history.
using View = std::vector<std::uint32_t>;

/// The value as it stands in its place: the newest.
std::uint64_t value_at(Cell cell);

class Memory {
public:
    static constexpr std::size_t kThreadsMax = 5;

    /// From here on: everybody knows all that there is now.
    void forget();
    void made(Cell cell);
    std::uint64_t load(std::size_t thread, Cell cell, std::memory_order order, bool is_newest);
    void store(std::size_t thread, Cell cell, std::uint64_t bits, std::memory_order order, bool is_update);
    void fence(std::size_t thread);
    void light_fence(std::size_t thread) { knowledge_[thread].not_movable = knowledge_[thread].view; }
    /// A full fence that somebody else has `thread` execute.
    void fence_from_outside(std::size_t thread) { take_fence(thread, View(knowledge_[thread].not_movable)); }

    // Who sleeps in the kernel until somebody notifies that place: the first to come is the first to go.
    void sleep_at(std::size_t thread, Cell cell) { sleepers_.emplace_back(thread, cell.where); }
    bool sleeps(std::size_t thread) const;
    void wake_at(Cell cell, bool all);

protected:
    ~Memory() = default;

private:
    /// Which of so many values a load sees; 0: the newest.
    virtual unsigned choose_age(unsigned count) = 0;
    virtual void note(const char* what, std::size_t location, std::uint64_t bits, std::uint32_t age) = 0;

    struct Store {
        std::uint64_t bits;
        View released;
    };
    /// What a thread knows.
    struct Knowledge {
        View view;
        View to_acquire;   ///< what relaxed loads have brought, for the next full fence
        View fenced;       ///< as of the last full fence: what relaxed stores release
        View not_movable;  ///< as of the last fence of either kind: what the compiler cannot move behind a heavy fence
    };

    std::size_t location_of(Cell cell);
    void take_fence(std::size_t thread, const View& published);

    std::array<Knowledge, kThreadsMax> knowledge_;
    View sequential_;  ///< the newest sequentially consistent store of each location, and what fences have published
    std::unordered_map<void*, std::size_t> locations_;
    std::vector<std::vector<Store>> histories_;
    std::vector<std::pair<std::size_t, const void*>> sleepers_;
};

}  // namespace knit::detail::model
