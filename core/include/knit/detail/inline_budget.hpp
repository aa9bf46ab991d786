/// InlineBudget: how many coroutines may run inline in tasks of a loop until the loop looks at what has come meanwhile:
/// as many as take some 50 us, going by the last ones. One thread's.
///
/// Where nothing waits they are timed now and then: the clock would cost small ones 2 %. What is timed lies within one
/// turn of the loop, so its sleep does not count as theirs; other tasks that run in the same turn do.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "knit/time.hpp"

namespace knit::detail {

/// So long may what has completed wait behind offered work, or behind coroutines that run inline: until the end of one
/// of them, at least.
inline constexpr Duration kOfferedMost = std::chrono::microseconds(50);

class InlineBudget {
public:
    explicit InlineBudget(unsigned most) noexcept : most_(most) {}

    /// Counts one; true when the budget is spent, and has to be renewed.
    bool spend() noexcept { return ++spent_ >= budget_; }

    bool is_timed() const noexcept { return is_timed_; }
    /// Without a look at the clock.
    void renew() noexcept {
        spent_ = 0;
        timed_from_ = 0;
        budget_ = most_;
    }
    /// In this turn of the loop; `has_waiting`: something is due later, so they are timed from now on.
    void renew(TimePoint time, std::uint64_t turn, bool has_waiting) noexcept {
        const bool was_timed = is_timed_;
        if (was_timed && turn == turn_) {
            const Duration each = std::max((time - since_) / std::max(spent_ - timed_from_, 1U), Duration(1));
            const unsigned most = std::min(2 * budget_, most_);  // a few quick ones say little of the next
            budget_ = static_cast<unsigned>(std::clamp<std::int64_t>(kOfferedMost / each, 1, most));
        } else if (!was_timed) {
            budget_ = std::min(kFirst, most_);
        } else {
            // Of what never spends it in one turn too little would be known for ever.
            budget_ = std::min(budget_, std::max(budget_ / 2, kFirst));
        }
        is_timed_ = budget_ < most_ || !was_timed || has_waiting;
        spent_ = 0;
        resume(time, turn);
    }
    /// What is timed from now on are coroutines again.
    void resume(TimePoint time, std::uint64_t turn) noexcept {
        since_ = time;
        turn_ = turn;
        timed_from_ = spent_;
    }

private:
    // While nothing is known of them.
    static constexpr unsigned kFirst = 4;

    unsigned spent_ = 0;
    unsigned most_;
    unsigned budget_ = std::min(kFirst, most_);
    unsigned timed_from_ = 0;  ///< what had been spent when `since_` was set
    bool is_timed_ = true;     ///< if nothing is known of the present turn's, the budget stays as it was
    std::uint64_t turn_ = UINT64_MAX;
    TimePoint since_{};
};

}  // namespace knit::detail
