/// Doorbell: how any thread makes a loop that sleeps in its driver return.
///
///   [bell.rung]  ring: exchange(true) acq_rel, then the write  <->  hear: exchange(false) acq_rel
///                a ring that finds the bell rung writes nothing: the earlier write has not been heard, and when it is,
///                what the later ringer had published is seen too
///   [bell.done]  ring: written_ release, its last touch  ->  wait_for_ringers: written_ acquire, until it has reached
///                what was heard
///                the driver is not destroyed under a ringer
#pragma once

#include <cstdint>

#include "knit/detail/base.hpp"
#include "knit/io/detail/fd.hpp"

namespace knit::detail {

class Doorbell {
public:
    /// Throws std::system_error.
    Doorbell();

    /// The eventfd to wait for; a read from it gives what hear() wants, and blocks while nobody has rung.
    int number() const noexcept { return bell_.get(); }
    /// Any thread; idempotent until it is heard.
    void ring() noexcept;
    /// Reads, blocking while nobody has rung. Owner.
    void listen() noexcept;
    /// `count` has been read. Owner.
    void hear(std::uint64_t count) noexcept {
        heard_ += count;  // the kernel adds up what was written since the last read
        rung_.exchange(false, std::memory_order_acq_rel);  // [bell.rung]
    }
    /// How many rings have been heard. Owner.
    std::uint64_t heard() const noexcept { return heard_; }
    /// Owner, at the end, after a ring of its own has been heard: whoever rang has left.
    void wait_for_ringers() const noexcept;

    /// In a forked child: the parent's goes on, this process's number of it ends, and ring() ends the process.
    void leave_to_parent() noexcept;

private:
    Fd bell_;
    std::uint64_t heard_ = 0;  ///< writes to the bell that have been read
    alignas(kCacheLine) Atomic<bool> rung_{false};  ///< set by any ringer, cleared by the owner [bell.rung]
    Atomic<std::uint64_t> written_{0};  ///< writes to the bell; ringers add, the owner reads [bell.done]
};

}  // namespace knit::detail
