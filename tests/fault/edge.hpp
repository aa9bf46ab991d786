/// The kernel's edge: stands, by the linker's --wrap, between knit and liburing's few functions that enter the kernel,
/// in the tests that are linked with it and nowhere else. By a seed it lets requests fail without being tried, shortens
/// them, holds them back, ends multishot requests early, swaps completions, lets io_uring_enter fail or take less,
/// denies set-up flags and forces tiny queues. It also knows which memory the kernel may write at any moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

namespace knit::fault {

/// What happens how often, of a thousand.
struct Plan {
    std::uint64_t seed = 0;  ///< 0: nothing happens
    unsigned errors = 0;     ///< a request fails with an errno of its manual page
    unsigned shortened = 0;  ///< a transfer is asked for fewer bytes
    unsigned held = 0;       ///< a request reaches the kernel a few enters later
    unsigned ended = 0;      ///< a multishot request becomes a single one: its completion has no F_MORE
    unsigned swapped = 0;    ///< two completions of different requests change places
    unsigned enters = 0;     ///< io_uring_enter says EINTR, EAGAIN or EBUSY and does nothing
    unsigned short_enters = 0;      ///< it takes fewer requests than it was given
    unsigned denied_flags = 0;      ///< set-up flags that are -EINVAL
    bool denies_registered = false; ///< the ring's descriptor cannot be registered
    unsigned sq_entries = 0;        ///< instead of what was asked for; 0: as asked
    unsigned cq_entries = 0;
};

struct Counts {
    std::uint64_t errors = 0, shortened = 0, held = 0, ended = 0, swapped = 0, enters = 0, short_enters = 0, denied = 0;
    std::uint64_t total() const noexcept {
        return errors + shortened + held + ended + swapped + enters + short_enters + denied;
    }
};

/// For the rings that are made from now on. No ring may be in use.
void set_plan(const Plan& plan);
/// Since set_plan(). No ring may be in use.
Counts counts();
/// The errors that requests have failed with since set_plan().
std::set<int> errors_given();

/// Whether a request in the kernel may still read or write any of it.
bool is_owned_by_kernel(const void* bytes, std::size_t size);

}  // namespace knit::fault
