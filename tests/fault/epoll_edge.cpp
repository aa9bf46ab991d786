// The edge below the epoll driver: the system calls that it makes.

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <iterator>
#include <span>
#include <vector>

#include "edge_state.hpp"

extern "C" {
int __real_epoll_create1(int flags);
int __real_epoll_ctl(int set, int operation, int number, epoll_event* event);
int __real_epoll_wait(int set, epoll_event* events, int size, int timeout);
int __real_epoll_pwait2(int set, epoll_event* events, int size, const timespec* timeout, const sigset_t* signals);
int __real_accept4(int listener, sockaddr* address, socklen_t* size, int flags);
int __real_connect(int number, const sockaddr* address, socklen_t size);
ssize_t __real_recv(int number, void* bytes, size_t size, int flags);
ssize_t __real_sendto(int number, const void* bytes, size_t size, int flags, const sockaddr* address, socklen_t length);
ssize_t __real_preadv2(int number, const iovec* parts, int count, off_t offset, int flags);
ssize_t __real_pwritev2(int number, const iovec* parts, int count, off_t offset, int flags);
ssize_t __real_sendfile(int target, int source, off_t* offset, size_t size);
int __real_openat(int folder, const char* path, int flags, ...);
int __real_fsync(int number);
ssize_t __real_read(int number, void* bytes, size_t size);
ssize_t __real_write(int number, const void* bytes, size_t size);
}

namespace knit::fault {
namespace {

constexpr std::uint64_t kBell = UINT64_MAX;  // EpollSet's
constexpr unsigned kHeldWaits = 3;
constexpr timespec kShortWait{0, 1'000'000};

/// What has happened to a descriptor and is not told yet.
struct HeldEvent {
    int set;
    unsigned waits;
    epoll_event event;
};

std::vector<HeldEvent>& held_events() {
    static std::vector<HeldEvent> instance;
    return instance;
}

bool is_on() { return shared().plan.is_epoll && shared().plan.seed != 0; }

/// Minus one, when it is time for one of the errors; `errno` is set then.
int fail(std::span<const int> errors) {
    const std::lock_guard lock(shared().mutex);
    if (!is_on() || !shared().happens(shared().plan.errors)) {
        return 0;
    }
    ++shared().counts.errors;
    errno = errors[shared().random() % errors.size()];
    shared().errors.insert(errno);
    return -1;
}

std::size_t shortened(std::size_t size) {
    const std::lock_guard lock(shared().mutex);
    if (!is_on() || size < 2 || !shared().happens(shared().plan.shortened)) {
        return size;
    }
    ++shared().counts.shortened;
    return 1 + shared().random() % (size - 1);
}

/// A part of one, where it is cut.
iovec cut(const iovec* parts, int count) {
    return {parts->iov_base, count == 1 ? shortened(parts->iov_len) : parts->iov_len};
}

/// Whether nothing is waited for, and how many events are taken at most.
struct Wait {
    bool is_interrupted = false;
    bool must_be_short = false;
    int size;
};

Wait begin_wait(int set, int size) {
    const std::lock_guard lock(shared().mutex);
    Wait wait{.size = size};
    if (is_on()) {
        wait.is_interrupted = shared().happens(shared().plan.enters);
        shared().counts.enters += wait.is_interrupted ? 1 : 0;
        wait.must_be_short =
            std::ranges::any_of(held_events(), [set](const HeldEvent& held) { return held.set == set; });
        wait.size = shared().happens(shared().plan.short_enters) ? 1 : size - 2;  // room for two of ours
    }
    return wait;
}

/// Holds back, repeats and swaps; gives the new number of events, at most `size`.
int change_events(int set, epoll_event* events, int count, const Wait& wait, int size) {
    const std::lock_guard lock(shared().mutex);
    if (!is_on() || count < 0) {
        return count;
    }
    Counts& counts = shared().counts;
    const Plan& plan = shared().plan;
    counts.short_enters += wait.size == 1 && count == 1 ? 1 : 0;
    std::vector<epoll_event> told;
    std::vector<HeldEvent> later;
    for (HeldEvent& held : held_events()) {
        if (held.set == set && --held.waits == 0 && static_cast<int>(told.size()) + count < size) {
            told.push_back(held.event);
        } else {
            held.waits += held.set == set && held.waits == 0 ? 1 : 0;
            later.push_back(held);
        }
    }
    for (const epoll_event& event : std::span(events, static_cast<std::size_t>(count))) {
        const bool is_bell = event.data.u64 == kBell;
        if (!is_bell && shared().happens(plan.held)) {
            ++counts.held;
            later.push_back({set, 1 + static_cast<unsigned>(shared().random() % kHeldWaits), event});
            continue;
        }
        told.push_back(event);
        if (!is_bell && static_cast<int>(told.size()) + count < size && shared().happens(plan.doubled)) {
            ++counts.doubled;
            told.push_back(event);
        }
    }
    for (std::size_t index = 1; index < told.size(); ++index) {
        if (shared().happens(plan.swapped)) {
            ++counts.swapped;
            std::swap(told[index - 1], told[index]);
        }
    }
    held_events() = std::move(later);
    std::ranges::copy(told, events);
    return static_cast<int>(told.size());
}

}  // namespace
}  // namespace knit::fault

using knit::fault::shared;
namespace fault = knit::fault;

extern "C" int __wrap_epoll_create1(int flags) {
    const int set = __real_epoll_create1(flags);
    const std::lock_guard lock(shared().mutex);
    // The number of one that was closed.
    std::erase_if(fault::held_events(), [set](const fault::HeldEvent& held) { return held.set == set; });
    return set;
}

/// For want of memory what is not registered yet is not: a descriptor that is, is EEXIST first.
extern "C" int __wrap_epoll_ctl(int set, int operation, int number, epoll_event* event) {
    const int result = __real_epoll_ctl(set, operation, number, event);
    if (result != 0 || operation != EPOLL_CTL_ADD || event->data.u64 == fault::kBell) {
        return result;
    }
    const std::lock_guard lock(shared().mutex);
    if (!fault::is_on() || !shared().happens(shared().plan.refused)) {
        return 0;
    }
    __real_epoll_ctl(set, EPOLL_CTL_DEL, number, nullptr);
    ++shared().counts.refused;
    errno = shared().random() % 2 == 0 ? ENOMEM : ENOSPC;
    shared().errors.insert(errno);
    return -1;
}

extern "C" int __wrap_epoll_wait(int set, epoll_event* events, int size, int timeout) {
    const fault::Wait wait = fault::begin_wait(set, size);
    if (wait.is_interrupted) {
        errno = EINTR;
        return -1;
    }
    const int count = __real_epoll_wait(set, events, wait.size, wait.must_be_short && timeout != 0 ? 1 : timeout);
    return fault::change_events(set, events, count, wait, size);
}

extern "C" int __wrap_epoll_pwait2(int set, epoll_event* events, int size, const timespec* timeout,
                                   const sigset_t* signals) {
    const fault::Wait wait = fault::begin_wait(set, size);
    if (wait.is_interrupted) {
        errno = EINTR;
        return -1;
    }
    const bool is_shorter =
        wait.must_be_short && (timeout->tv_sec != 0 || timeout->tv_nsec > fault::kShortWait.tv_nsec);
    const int count = __real_epoll_pwait2(set, events, wait.size, is_shorter ? &fault::kShortWait : timeout, signals);
    return fault::change_events(set, events, count, wait, size);
}

extern "C" int __wrap_accept4(int listener, sockaddr* address, socklen_t* size, int flags) {
    return fault::fail(fault::kAcceptErrors) < 0 ? -1 : __real_accept4(listener, address, size, flags);
}

extern "C" int __wrap_connect(int number, const sockaddr* address, socklen_t size) {
    if (fault::fail(fault::kConnectErrors) == 0) {
        return __real_connect(number, address, size);
    }
    if (errno == EINTR) {  // goes on without the caller
        const int result = __real_connect(number, address, size);
        errno = result < 0 && errno == EINPROGRESS ? EINTR : errno;
        return result;
    }
    return -1;
}

extern "C" ssize_t __wrap_recv(int number, void* bytes, size_t size, int flags) {
    return fault::fail(fault::kReadErrors) < 0 ? -1 : __real_recv(number, bytes, fault::shortened(size), flags);
}

extern "C" ssize_t __wrap_sendto(int number, const void* bytes, size_t size, int flags, const sockaddr* address,
                                 socklen_t length) {
    return fault::fail(fault::kWriteErrors) < 0
               ? -1
               : __real_sendto(number, bytes, fault::shortened(size), flags, address, length);
}

extern "C" ssize_t __wrap_preadv2(int number, const iovec* parts, int count, off_t offset, int flags) {
    const bool is_cold = shared().plan.is_cold || (!shared().plan.is_epoll && shared().plan.passing != 0);
    if (is_cold && offset >= 0 && (flags & RWF_NOWAIT) != 0) {  // it is not in the page cache: a request is needed
        errno = EAGAIN;
        return -1;
    }
    const iovec part = fault::cut(parts, count);
    return fault::fail(fault::kReadErrors) < 0
               ? -1
               : __real_preadv2(number, count == 1 ? &part : parts, count, offset, flags);
}

extern "C" ssize_t __wrap_pwritev2(int number, const iovec* parts, int count, off_t offset, int flags) {
    const iovec part = fault::cut(parts, count);
    return fault::fail(fault::kWriteErrors) < 0
               ? -1
               : __real_pwritev2(number, count == 1 ? &part : parts, count, offset, flags);
}

extern "C" ssize_t __wrap_sendfile(int target, int source, off_t* offset, size_t size) {
    const std::lock_guard lock(shared().mutex);
    ++shared().counts.sendfiles;
    if (shared().plan.sendfile_error != 0) {
        errno = shared().plan.sendfile_error;
        return -1;
    }
    return __real_sendfile(target, source, offset, size);
}

extern "C" int __wrap_openat(int folder, const char* path, int flags, unsigned mode) {
    return fault::fail(fault::kOpenErrors) < 0 ? -1 : __real_openat(folder, path, flags, mode);
}

extern "C" int __wrap_fsync(int number) {
    return fault::fail(fault::kSyncErrors) < 0 ? -1 : __real_fsync(number);
}

// The doorbell's: the only ones of eight bytes here.
extern "C" ssize_t __wrap_read(int number, void* bytes, size_t size) {
    if (size == sizeof(std::uint64_t)) {
        const std::lock_guard lock(shared().mutex);
        if (fault::is_on() && shared().happens(shared().plan.bells_failed)) {
            ++shared().counts.bells_failed;
            errno = EINTR;
            return -1;
        }
    }
    return __real_read(number, bytes, size);
}

/// A ringer is between its mark and its write, where the loop's end has to wait for it.
extern "C" ssize_t __wrap_write(int number, const void* bytes, size_t size) {
    bool is_late = false;
    bool is_slow = false;
    if (size == sizeof(std::uint64_t)) {
        const std::lock_guard lock(shared().mutex);
        is_late = shared().happens(shared().plan.bells_late);
        is_slow = shared().happens(shared().plan.bells_slow);
        shared().counts.bells_late += is_late || is_slow ? 1 : 0;
    }
    if (is_late) {
        fault::let_others_go_on();
    }
    const ssize_t written = __real_write(number, bytes, size);
    if (is_slow) {
        fault::let_others_go_on();
    }
    return written;
}
