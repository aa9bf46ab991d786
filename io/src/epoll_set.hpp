/// EpollSet: which descriptors a loop hears of, and who waits for them.
///
/// Registrations are edge-triggered and stay, so that a busy connection costs no epoll_ctl(2) for each operation. The
/// kernel keys a registration by the open file AND the number; a number alone tells nothing, because between two
/// operations it may have been closed and given to another file, or its owner may have used it on another loop. So:
///
///   (1) A registration is trusted only for the Descriptor that it was made for: the Descriptor owns its number and
///       carries the ticket (this set, this generation of the number's watch), which the next registration of the
///       number, here or by another loop's set, makes worthless. Everybody else pays one epoll_ctl.
///   (2) A request waits only after a try ended with EAGAIN, and either the registration was in force before that try,
///       so that whatever came later is an edge; or it was made, or renewed (EPOLL_CTL_MOD), after it, and both tell at
///       once what is there already. No wake-up is lost.
///   (3) An event carries the generation. One of an older generation comes from a file that outlived its number here
///       (passed to another process, duplicated, inherited by a fork): it wakes nobody. Such a registration cannot be
///       removed, the number that names it is gone; each of its events costs a wake. After as many as there are
///       registrations the whole set is made anew, without it: so they cost a bounded factor, and nothing spins.
///   (4) Edges of a descriptor for which nobody waits, twice in a row (its owner uses it on another loop now, or is
///       slower than its peer): it is removed, and registered again when somebody waits.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <span>
#include <vector>

#include "epoll_request.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class EpollSet {
public:
    /// `bell`: a descriptor that is always listened to, level-triggered. Throws std::system_error.
    explicit EpollSet(int bell);
    EpollSet(const EpollSet&) = delete;
    EpollSet& operator=(const EpollSet&) = delete;

    /// Whether the registration of `number` for `owner`, which may be null, is in force.
    bool is_watched(int number, const Descriptor* owner) const noexcept;
    /// From now on edges in `events` (EPOLLIN, EPOLLOUT, EPOLLPRI) of `number` are told. 0, or an errno; EPERM: such a
    /// file is never waited for.
    int watch(int number, Descriptor* owner, std::uint32_t events) noexcept;

    /// Who waits for `number`, which watch() has been called for.
    EpollRequestList& waiters(int number, Want want) noexcept {
        return watches_[static_cast<std::size_t>(number)].waiters[static_cast<std::size_t>(want)];
    }

    /// Waits, at most `timeout` (Duration::max(): no limit). Gives the events; none after a signal.
    std::span<const epoll_event> wait(Duration timeout) noexcept;
    static bool is_bell(const epoll_event& event) noexcept { return event.data.u64 == kBell; }
    /// The descriptor whose waiters are to be tried again, or -1 when the event concerns nobody.
    int take(const epoll_event& event) noexcept;
    /// Whether wait() gave as much as it could: there may be more.
    bool is_full() const noexcept { return is_full_; }

    /// Registrations, as far as is known; for tests.
    std::size_t size() const noexcept { return size_; }
    /// How often the set was made anew; for tests.
    unsigned rebuilds() const noexcept { return rebuilds_; }
    /// Calls of epoll_ctl; for tests.
    std::uint64_t control_count() const noexcept { return control_count_; }

private:
    static constexpr std::uint64_t kBell = UINT64_MAX;
    static constexpr std::size_t kEventsMax = 256;

    struct Watch {
        EpollRequestList waiters[3];  ///< by Want
        std::uint32_t generation = 0;
        std::uint32_t events = 0;     ///< what is registered; 0: nothing
        unsigned idle_edges = 0;      ///< in a row, while nobody waited
        bool has_waiters() const noexcept {
            return !waiters[0].empty() || !waiters[1].empty() || !waiters[2].empty();
        }
    };

    std::uint64_t ticket(const Watch& watch) const noexcept {
        return std::uint64_t{set_id_} << 32 | watch.generation;
    }
    int control(int operation, int number, std::uint32_t events, std::uint64_t data) noexcept;
    int add(int number, Watch& watch, std::uint32_t events) noexcept;
    void forget(int number, Watch& watch) noexcept;
    void note_stray() noexcept;
    void rebuild() noexcept;
    int wait_in_kernel(Duration timeout) noexcept;

    Fd set_;
    const int bell_;
    std::uint32_t set_id_;  ///< unique in the process, also among those that have gone
    std::size_t size_ = 0;
    std::size_t strays_ = 0;  ///< events of registrations that cannot be removed, since the last rebuild
    unsigned rebuilds_ = 0;
    std::uint64_t control_count_ = 0;
    bool is_full_ = false;
    bool has_nanoseconds_ = true;  ///< epoll_pwait2(2), Linux 5.11
    std::vector<Watch> watches_;   ///< by number
    std::vector<epoll_event> events_;
};

}  // namespace knit::detail
