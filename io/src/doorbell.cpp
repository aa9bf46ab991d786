#include "doorbell.hpp"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "die.hpp"

namespace knit::detail {

Doorbell::Doorbell() : bell_(eventfd(0, EFD_CLOEXEC)) {
    if (!bell_) {
        throw std::system_error(errno, std::generic_category(), "knit cannot make the eventfd that wakes a loop");
    }
}

void Doorbell::ring() noexcept {
    if (rung_.exchange(true, std::memory_order_acq_rel)) {  // [bell.rung]
        return;
    }
    const std::uint64_t one = 1;
    // EINTR cannot be: the write does not block. EAGAIN neither: the count goes up by one for each time that it is
    // heard.
    const ssize_t written = ::write(bell_.get(), &one, sizeof one);
    if (written != sizeof one) [[unlikely]] {
        die("writing to the eventfd that wakes a loop", errno);
    }
    written_.fetch_add(1, std::memory_order_release);  // [bell.done] the ringer's last touch
}

void Doorbell::listen() noexcept {
    std::uint64_t count = 0;
    ssize_t size = ::read(bell_.get(), &count, sizeof count);
    while (size < 0 && errno == EINTR) {  // ends: signals do not come without end
        size = ::read(bell_.get(), &count, sizeof count);
    }
    if (size != sizeof count) {
        die("reading the eventfd that wakes the loop", errno);
    }
    hear(count);
}

void Doorbell::leave_to_parent() noexcept {
    // Not Fd's close(), which may tell those who wait for a descriptor: another of the parent's threads may have held
    // their mutex, and it has not come along to release it.
    ::close(bell_.release());
    rung_.store(false, std::memory_order_release);  // [bell.rung] there is one thread
}

void Doorbell::wait_for_ringers() const noexcept {
    // Ends: whoever rang is between its write and its next instruction.
    while (written_.load(std::memory_order_acquire) < heard_) {  // [bell.done]
        sched_yield();  // it may need this processor
    }
}

}  // namespace knit::detail
