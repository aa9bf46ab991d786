#include "epoll_set.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <new>
#include <system_error>

#include "die.hpp"

namespace knit::detail {
namespace {

// Fewer stray events than this are not worth a new set.
constexpr std::size_t kStraysMin = 16;
constexpr unsigned kIdleEdgesMax = 2;

Atomic<std::uint32_t> g_next_set_id{1};  // any thread takes from it; publishes nothing

std::uint32_t take_set_id() noexcept {
    return g_next_set_id.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter
}

std::string why_no_set(int error) {
    switch (error) {
        case EMFILE:
            return "each loop needs two descriptors and the process has too many open: raise the limit (ulimit -n), or "
                   "set KNIT_LOOPS lower";
        case ENFILE: return "the whole system is out of descriptors: raise the sysctl fs.file-max";
        case ENOMEM: return "the kernel has no memory for it";
        default: return "an error that epoll_create1(2) does not tell of";
    }
}

}  // namespace

EpollSet::EpollSet(int bell) : set_(epoll_create1(EPOLL_CLOEXEC)), bell_(bell), set_id_(take_set_id()) {
    if (!set_) {
        const int error = errno;
        throw std::system_error(error, std::generic_category(), "knit cannot make an epoll set: " + why_no_set(error));
    }
    events_.resize(kEventsMax);
    if (const int error = control(EPOLL_CTL_ADD, bell_, EPOLLIN, kBell); error != 0) {
        throw std::system_error(error, std::generic_category(), "epoll does not take a loop's eventfd");
    }
}

bool EpollSet::is_watched(int number, const Descriptor* owner) const noexcept {
    const auto index = static_cast<std::size_t>(number);
    if (owner == nullptr || owner->number() != number || index >= watches_.size()) {
        return false;
    }
    const Watch& watch = watches_[index];
    return watch.events != 0 && owner->watch_ticket() == ticket(watch);
}

int EpollSet::watch(int number, Descriptor* owner, std::uint32_t events) noexcept {
    if (number < 0) {
        return EBADF;
    }
    const auto index = static_cast<std::size_t>(number);
    if (index >= watches_.size()) {
        try {
            watches_.resize(std::max(index + 1, watches_.size() * 2));
        } catch (const std::bad_alloc&) {
            return ENOMEM;
        }
    }
    Watch& watch = watches_[index];
    events |= EPOLLIN | EPOLLRDHUP | EPOLLET;
    const bool is_known = is_watched(number, owner);
    if (is_known && (watch.events & events) == events) {
        return 0;  // (1), the steady state
    }
    const int error = is_known ? control(EPOLL_CTL_MOD, number, watch.events | events,
                                         std::uint64_t{watch.generation} << 32 | index)
                               : add(number, watch, events);
    if (error != 0) {
        return error;
    }
    watch.events |= events;
    if (owner != nullptr && owner->number() == number) {
        owner->set_watch_ticket(ticket(watch));
    }
    return 0;
}

/// A registration that nobody can vouch for is made anew, or renewed where there is one of this very file.
int EpollSet::add(int number, Watch& watch, std::uint32_t events) noexcept {
    const bool had = watch.events != 0;
    events |= watch.has_waiters() ? watch.events : 0;
    ++watch.generation;
    const std::uint64_t data = std::uint64_t{watch.generation} << 32 | static_cast<std::uint32_t>(number);
    int error = control(EPOLL_CTL_ADD, number, events, data);
    if (error == EEXIST) {
        error = control(EPOLL_CTL_MOD, number, events, data);
    }
    watch.events = error == 0 ? events : 0;
    watch.idle_edges = 0;
    size_ = size_ + (watch.events != 0 ? 1 : 0) - (had ? 1 : 0);
    return error;
}

int EpollSet::control(int operation, int number, std::uint32_t events, std::uint64_t data) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    ++control_count_;
    return epoll_ctl(set_.get(), operation, number, &event) == 0 ? 0 : errno;
}

int EpollSet::take(const epoll_event& event) noexcept {
    const auto index = static_cast<std::size_t>(event.data.u64 & UINT32_MAX);
    Watch& watch = watches_[index];
    const int number = static_cast<int>(index);
    if (watch.events == 0 || watch.generation != event.data.u64 >> 32) {
        note_stray();  // (3)
        return -1;
    }
    if (watch.has_waiters()) {
        watch.idle_edges = 0;
        return number;
    }
    if (++watch.idle_edges >= kIdleEdgesMax) {
        forget(number, watch);  // (4)
    }
    return -1;
}

void EpollSet::forget(int number, Watch& watch) noexcept {
    // ENOENT, EBADF: the number names another file by now, or none.
    const bool is_gone = control(EPOLL_CTL_DEL, number, 0, 0) == 0;
    ++watch.generation;  // tickets of this registration are worthless
    watch.events = 0;
    watch.idle_edges = 0;
    --size_;
    if (!is_gone) {
        note_stray();
    }
}

void EpollSet::note_stray() noexcept {
    if (++strays_ >= std::max(size_, kStraysMin)) {
        rebuild();
        strays_ = 0;
    }
}

void EpollSet::rebuild() noexcept {
    Fd fresh(epoll_create1(EPOLL_CLOEXEC));
    if (!fresh) {
        return;  // out of descriptors: after as many strays again
    }
    const Fd old = std::exchange(set_, std::move(fresh));
    if (control(EPOLL_CTL_ADD, bell_, EPOLLIN, kBell) != 0) {
        die("epoll_ctl: a loop's eventfd cannot be added to a new set", errno);
    }
    set_id_ = take_set_id();
    ++rebuilds_;
    for (std::size_t index = 0; index < watches_.size(); ++index) {
        Watch& watch = watches_[index];
        if (watch.has_waiters()) {
            // Not to be waited for any more? Then its number was closed under those who wait: as without a rebuild.
            static_cast<void>(add(static_cast<int>(index), watch, watch.events));
        } else if (watch.events != 0) {
            ++watch.generation;
            watch.events = 0;
            --size_;
        }
    }
}

std::span<const epoll_event> EpollSet::wait(Duration timeout) noexcept {
    const int count = wait_in_kernel(timeout);
    if (count >= 0) {
        is_full_ = static_cast<std::size_t>(count) == events_.size();
        return std::span(events_).first(static_cast<std::size_t>(count));
    }
    is_full_ = false;
    switch (errno) {
        case EINTR: return {};  // a signal; the caller looks at everything again anyway
        case EBADF: die("epoll_wait: somebody closed the loop's epoll set", EBADF);
        case EFAULT: die("epoll_wait: bad address", EFAULT);
        case EINVAL: die("epoll_wait: the descriptor is no epoll set", EINVAL);
        default: die("epoll_wait: an error that its manual does not tell of", errno);
    }
}

int EpollSet::wait_in_kernel(Duration timeout) noexcept {
    const int size = static_cast<int>(events_.size());
    if (timeout == Duration::max() || timeout <= Duration::zero()) {
        return epoll_wait(set_.get(), events_.data(), size, timeout <= Duration::zero() ? 0 : -1);
    }
    if (has_nanoseconds_) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
        const timespec time{static_cast<time_t>(seconds.count()), static_cast<long>((timeout - seconds).count())};
        const int count = epoll_pwait2(set_.get(), events_.data(), size, &time, nullptr);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        has_nanoseconds_ = false;  // an old kernel, or a filter that knows the old calls alone
    }
    // Up: a loop that woke before its timer is due would have to wait once more.
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    const int whole = static_cast<int>(std::min<std::int64_t>(milliseconds, INT_MAX));
    return epoll_wait(set_.get(), events_.data(), size, whole);
}

}  // namespace knit::detail
