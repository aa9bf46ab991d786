/// The kernel's edge: stands, by the linker's --wrap, between knit and the functions that enter the kernel (liburing's
/// for a ring; epoll's and the system calls that its driver makes), in the tests that are linked with it and nowhere
/// else. By a seed it lets requests fail without being tried, shortens them, holds them back, takes away F_MORE, swaps
/// completions, lets io_uring_enter fail or take less, denies set-up flags and forces tiny queues. It also knows which
/// memory the kernel may write at any moment.
///
/// The doorbell that wakes a loop is an eventfd, a counter in the kernel. So it cannot be lost: a write that has
/// succeeded stays readable until a read has said so. What can happen to it does: the read fails and the count stays,
/// is late, or finds what was written twice; a write comes late; the loop wakes though nobody rang.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace knit::fault {

/// What happens how often, of a thousand.
struct Plan {
    std::uint64_t seed = 0;  ///< 0: nothing happens
    unsigned errors = 0;     ///< a request fails with an errno of its manual page
    unsigned passing = 0;    ///< a request fails with what its operation has to go on after, without a word
    unsigned emptied = 0;    ///< a write to a file takes nothing
    unsigned shortened = 0;  ///< a transfer is asked for fewer bytes
    unsigned held = 0;       ///< a request reaches the kernel a few enters later; epoll: an event comes later
    unsigned ended = 0;      ///< a request whose completion would have F_MORE becomes one without
    unsigned swapped = 0;    ///< two completions of different requests change places
    unsigned enters = 0;     ///< io_uring_enter says EINTR, EAGAIN or EBUSY and does nothing; epoll_wait says EINTR
    unsigned short_enters = 0;      ///< it takes fewer requests than it was given; gives fewer events than there are
    unsigned doubled = 0;           ///< epoll: an event comes twice
    unsigned refused = 0;           ///< epoll: a descriptor cannot be registered
    unsigned bells_failed = 0;      ///< the read of the doorbell fails, and reads nothing
    unsigned bells_doubled = 0;     ///< the doorbell is rung once more, or without a reason
    unsigned rings_late = 0;        ///< a plain thread that wakes a loop takes a while before it comes to the doorbell
    unsigned bells_late = 0;        ///< whoever rings it takes a while, before the write
    unsigned bells_slow = 0;        ///< or after it
    unsigned denied_flags = 0;      ///< set-up flags that are -EINVAL
    bool denies_registered = false; ///< the ring's descriptor cannot be registered
    bool denies_buffers = false;    ///< nor can buffers
    bool misses_cancels = false;    ///< the first cancel of a request finds it nowhere
    unsigned busy_ms = 0;           ///< so long from its first call on io_uring_enter says EAGAIN
    bool is_busy_for_waits = false; ///< only to those that wait
    bool has_one_request = false;   ///< it says so to requests while a transfer is in the kernel
    bool is_cold = false;           ///< no file is in the page cache
    int sendfile_error = 0;         ///< what sendfile(2) fails with
    bool interrupts_cancelled = false;  ///< what is cancelled ends with EINTR, as a thread of the kernel's ends
    unsigned sq_entries = 0;        ///< instead of what was asked for; 0: as asked
    unsigned cq_entries = 0;
    bool is_epoll = false;  ///< the loops wait with epoll
};

struct Counts {
    std::uint64_t errors = 0, shortened = 0, held = 0, ended = 0, swapped = 0, enters = 0, short_enters = 0, denied = 0,
                  doubled = 0, refused = 0, bells_failed = 0, bells_doubled = 0, bells_late = 0;
    std::uint64_t sendfiles = 0;  ///< calls, as such
    std::uint64_t busy_enters = 0;  ///< that met with Plan::busy_ms
    std::uint64_t overflows = 0;  ///< enters that left completions behind a full queue: no fault, but what one brings
    std::uint64_t rings_in_vain = 0;  ///< the loop, and its ring, had gone when the late one came: a fault of ours

    std::uint64_t total() const noexcept;
    Counts& operator+=(const Counts& more) noexcept;
    /// "12 errors, 7 shortened, ..."
    std::string to_string() const;
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
