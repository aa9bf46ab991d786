/// Timers: what a loop has to do later, by deadline; equal deadlines in the order of insertion. One thread's.
///
/// A 4-ary heap in a vector: half the levels of a binary one, and the four children that are compared lie in two or
/// three cache lines, because each entry holds its own key. Each timer knows its place, so removing one needs no
/// search. Invariant: an entry is never before its parent, and entries_[i].timer->index == i for each i.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// Lives with who waits for it; stays where it is while it is in.
struct Timer : Work {
    static constexpr std::uint32_t kNotIn = static_cast<std::uint32_t>(-1);

    bool is_in() const noexcept { return index != kNotIn; }

    std::uint32_t index = kNotIn;  ///< place in the heap; so many would be 96 GiB of it
};

class Timers {
public:
    Timers() = default;
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    /// Throws std::bad_alloc with nothing changed. `timer` must not be in.
    void insert(Timer& timer, TimePoint deadline) {
        KNIT_ASSERT(!timer.is_in());
        KNIT_ASSERT(entries_.size() < Timer::kNotIn);
        const Entry entry{deadline, next_sequence_, &timer};
        entries_.push_back(entry);
        ++next_sequence_;
        rise(entries_.size() - 1, entry);
    }

    /// False when it was not in: it has been given out, removed, or was never inserted.
    bool remove(Timer& timer) noexcept {
        if (!timer.is_in()) {
            return false;
        }
        const std::size_t hole = timer.index;
        KNIT_ASSERT(hole < entries_.size());
        KNIT_ASSERT(entries_[hole].timer == &timer);
        timer.index = Timer::kNotIn;
        const Entry last = entries_.back();
        entries_.pop_back();
        if (hole < entries_.size()) {
            if (hole > 0 && last.is_before(entries_[parent(hole)])) {
                rise(hole, last);
            } else {
                sink(hole, last);
            }
        }
        return true;
    }

    /// The first deadline, or kNever.
    TimePoint next() const noexcept { return entries_.empty() ? kNever : entries_.front().deadline; }

    /// Until when to sleep: the first deadline; where others are due within `slack` of it, the last of them, so that
    /// one wake does for all. Of a crowd only a few are looked at: the end of `slack` then.
    TimePoint wake_time(Duration slack) const noexcept {
        const TimePoint first = next();
        TimePoint last = first;
        std::size_t count = 1;
        const std::size_t end = std::min(entries_.size(), kGlance);
        for (std::size_t index = 1; index < end; ++index) {
            const TimePoint deadline = entries_[index].deadline;
            if (deadline <= after(first, slack)) {
                last = std::max(last, deadline);
                ++count;
            }
        }
        return count == kGlance && last != first ? after(first, slack) : last;
    }

    /// Removes and gives the first timer if its deadline is not after `now`, else null.
    Timer* pop_due(TimePoint now) noexcept {
        if (entries_.empty() || entries_.front().deadline > now) {
            return nullptr;
        }
        Timer* const timer = entries_.front().timer;
        remove(*timer);
        return timer;
    }

    std::size_t size() const noexcept { return entries_.size(); }

private:
    static constexpr std::size_t kChildren = 4;
    static constexpr std::size_t kGlance = 1 + kChildren + kChildren * kChildren;  // three levels of the heap

    struct Entry {
        bool is_before(const Entry& other) const noexcept {
            return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
        }
        TimePoint deadline;
        std::uint64_t sequence;
        Timer* timer;
    };

    static std::size_t parent(std::size_t index) noexcept { return (index - 1) / kChildren; }

    void place(std::size_t index, const Entry& entry) noexcept {
        entries_[index] = entry;
        entry.timer->index = static_cast<std::uint32_t>(index);
    }

    /// Moves the hole at `index` up to where `entry` belongs.
    void rise(std::size_t index, const Entry& entry) noexcept {
        while (index > 0 && entry.is_before(entries_[parent(index)])) {
            place(index, entries_[parent(index)]);
            index = parent(index);
        }
        place(index, entry);
    }

    /// Moves the hole at `index` down to where `entry` belongs.
    void sink(std::size_t index, const Entry& entry) noexcept {
        for (;;) {
            const std::size_t first = index * kChildren + 1;
            const std::size_t end = std::min(first + kChildren, entries_.size());
            if (first >= end) {
                break;
            }
            std::size_t least = first;
            for (std::size_t child = first + 1; child < end; ++child) {
                if (entries_[child].is_before(entries_[least])) {
                    least = child;
                }
            }
            if (!entries_[least].is_before(entry)) {
                break;
            }
            place(index, entries_[least]);
            index = least;
        }
        place(index, entry);
    }

    std::vector<Entry> entries_;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace knit::detail
