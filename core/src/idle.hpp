/// Idle: who sleeps, who searches. One word for all loops of a runtime.
///
/// word = sleeping << 32 | searching. A loop that runs out of work searches for a while, then announces itself as
/// sleeping, looks everywhere once more, and parks. Whoever makes work visible wakes one sleeper, but only if nobody
/// searches: the searcher will find it, and the last searcher that finds something passes the wake on.
///
///   [idle.word]  offer: the work visible (deque bottom, injector), fence, word load
///                  <->  announce: word RMW, heavy fence when a deque is unfenced, look at all deques and the injector
///                work is seen by the loop that goes to sleep, or the sleeper is seen by the loop that made the work
///                  <->  end_search: word RMW, fence, heavy fence likewise, look at all deques and the injector
///                work is seen by the last searcher, or the loop that made it sees that nobody searches
///
/// Invariants: `sleeping` counts the loops whose sleep word is `parked`; whoever moves a sleep word away from `parked`,
/// the sleeper or a waker, takes it off (so it cannot drift; a waker may do so a moment before it is put on).
/// `searching` counts the loops that search, for no longer than a slow steal as well, and those that have been woken
/// to: who wakes one counts it as searching first, then claims it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class Idle {
public:
    static constexpr std::uint64_t kSearching = 1;
    static constexpr std::uint64_t kSleeping = std::uint64_t{1} << 32;

    static std::uint64_t searching(std::uint64_t word) noexcept { return word & (kSleeping - 1); }
    static std::uint64_t sleeping(std::uint64_t word) noexcept { return word >> 32; }
    /// Whether work that has just become visible needs somebody woken for it.
    static bool needs_wake(std::uint64_t word) noexcept { return sleeping(word) != 0 && searching(word) == 0; }

    std::uint64_t load() const noexcept { return word_.load(std::memory_order_seq_cst); }  // [idle.word]

    void begin_search() noexcept { word_.fetch_add(kSearching, std::memory_order_seq_cst); }  // [idle.word]
    /// True when this was the last searcher, who looks for work once more.
    bool end_search() noexcept {
        const std::uint64_t before = word_.fetch_sub(kSearching, std::memory_order_seq_cst);  // [idle.word]
        full_fence();                                                                         // [idle.word]
        KNIT_ASSERT(searching(before) > 0);
        return searching(before) == 1;
    }
    /// The loop has set its sleep word to parked; a searcher stops being one in the same step.
    void announce_sleep(bool was_searching) noexcept {
        word_.fetch_add(kSleeping - (was_searching ? kSearching : 0), std::memory_order_seq_cst);  // [idle.word]
        full_fence();                                                                              // [idle.word]
    }
    /// Somebody has moved a sleep word away from parked; `to_search`: that loop now counts as searching.
    void end_sleep(bool to_search) noexcept {
        word_.fetch_sub(kSleeping - (to_search ? kSearching : 0), std::memory_order_seq_cst);  // [idle.word]
    }

    const Atomic<std::uint64_t>& word() const noexcept { return word_; }

private:
    alignas(kCacheLine) Atomic<std::uint64_t> word_{0};  ///< every loop and submitter reads and writes it; see the head
};

/// How long offered work usually runs until it suspends or ends: a moving average. Any thread; a hint, so that two who
/// note at a time may lose one of the two.
class UsualTime {
public:
    void note(Duration sample) noexcept {
        const std::int64_t before = nanoseconds_.load(std::memory_order_relaxed);  // relaxed: a hint
        const std::int64_t now = std::chrono::nanoseconds(std::min<Duration>(sample, kMost)).count();
        nanoseconds_.store(before + (now - before) / 8, std::memory_order_relaxed);  // relaxed: a hint
    }
    Duration value() const noexcept {
        return std::chrono::nanoseconds(nanoseconds_.load(std::memory_order_relaxed));  // relaxed: a hint
    }

private:
    static constexpr std::chrono::milliseconds kMost{10};  // one that is long beyond measure is soon forgotten
    Atomic<std::int64_t> nanoseconds_{0};  ///< every loop reads and writes it; publishes nothing
};

}  // namespace knit::detail
