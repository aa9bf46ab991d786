/// Barrier: tasks of any loops wait for each other, round after round.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync.hpp"
#include "knit/error.hpp"

namespace knit {
namespace detail {

class BarrierVisit;

}  // namespace detail

/// asyncio's Barrier for tasks of any loops. Who arrives while a round is still leaving belongs to the next one.
/// Constructed anywhere, also as a global; usable in one runtime after another.
class Barrier {
public:
    /// ValueError when there is less than one party.
    constexpr explicit Barrier(std::integral auto parties) : parties_(check(parties)) {}
    Barrier(const Barrier&) = delete;
    Barrier& operator=(const Barrier&) = delete;

    /// Waits until all parties have arrived. Gives each an index of 0..parties-1, in the order of arrival; the last one
    /// goes on without a suspension. BrokenBarrierError after abort(), or when reset() comes meanwhile. From tasks;
    /// resumes on the task's own loop.
    /// Cancelled: CancelledError; the task has left, another one may take its place.
    Coro<int> wait();
    /// The same: as asyncio's scoped form, which does nothing at its end.
    Coro<int> scoped() { return wait(); }
    /// Who waits gets BrokenBarrierError; after that the barrier is empty, and usable again. Never suspends.
    Coro<> reset();
    /// The barrier is broken: BrokenBarrierError for who waits and for who comes, until reset(). Never suspends.
    Coro<> abort();

    std::size_t parties() const noexcept { return parties_; }
    /// How many wait for the round to be complete. Any thread.
    std::size_t n_waiting() const noexcept;
    /// Any thread.
    bool broken() const noexcept;

private:
    friend class detail::BarrierVisit;

    enum class State : std::uint8_t {
        filling,
        draining,   ///< all have arrived, not all have left
        resetting,  ///< reset() came, not all have left
        broken
    };

    static constexpr std::size_t check(std::integral auto parties) {
        if (std::cmp_less(parties, 1)) {
            throw ValueError("parties must be > 0");
        }
        return static_cast<std::size_t>(parties);
    }

    const std::size_t parties_;
    mutable detail::Mutex mutex_;
    // With the mutex.
    State state_ = State::filling;
    std::size_t count_ = 0;                   ///< tasks that have arrived and not left
    detail::BarrierVisit* newest_ = nullptr;  ///< of those who wait for the round to be complete
    detail::SyncWaitList waiters_;            ///< those, and who waits for the next round
};

}  // namespace knit
