/// UringDriver: a loop waits on its io_uring, which also carries the operations of its tasks.
///
///   [bell.rung]  wake: exchange(true) acq_rel, then the write  <->  hear: exchange(false) acq_rel
///                a wake that finds the bell rung writes nothing: the earlier write has not been heard, and when it is,
///                what the later waker had published is seen too
///   [bell.done]  wake: written_ release, its last touch  ->  close: written_ acquire, until it has reached what was
///   heard
///                the driver is not destroyed under a waker that has rung
///
/// User data is an Op's address, or one of two small numbers, which no address is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "buffer_pool.hpp"
#include "driver.hpp"
#include "knit/detail/base.hpp"
#include "knit/io/detail/fd.hpp"
#include "loop_load.hpp"
#include "ring.hpp"

namespace knit::detail {

class Op;

class Worker;

/// The receive buffers of that loop, which is the calling thread's; null when it has none.
BufferPool* buffers_of(Worker& worker) noexcept;

class UringDriver final : public Driver {
public:
    /// Owner thread. Throws std::system_error with the cause and the cure.
    explicit UringDriver(unsigned entries);
    ~UringDriver() override;

    TimePoint now() noexcept override;
    void poll() noexcept override;
    void park(TimePoint deadline) noexcept override;
    void wake() noexcept override;
    void close() noexcept override;
    std::size_t in_flight() const noexcept override { return in_flight_; }

    /// A free submission slot, to be filled before anything else is done with the ring. Never fails: a full queue is
    /// submitted first. Owner thread.
    io_uring_sqe& next_sqe() noexcept;
    /// Submits `op` with the next enter. Its complete() is called once. Owner thread.
    void submit(Op& op) noexcept;
    /// Asks the kernel to end `op`, which is in flight: it completes in any case. Owner thread.
    void cancel(Op& op) noexcept;

    /// The loop's receive buffers, made when first asked for; may throw std::bad_alloc. Owner thread.
    BufferPool& buffers() {
        if (buffers_ == nullptr) [[unlikely]] {
            buffers_ = new BufferPool(&ring_);
        }
        return *buffers_;
    }
    BufferPool* buffers_nowait() const noexcept { return buffers_; }

    const std::string& description() const noexcept { return ring_.description(); }
    /// What servers know of this loop. Any thread.
    LoopLoad& load() noexcept { return load_; }

private:
    enum Token : std::uint64_t { kIgnored = 0, kDoorbell = 1 };

    unsigned collect() noexcept;
    void arm_doorbell() noexcept;
    void hear_doorbell(int result) noexcept;
    void back_off() noexcept;

    Ring ring_;
    BufferPool* buffers_ = nullptr;
    std::size_t in_flight_ = 0;
    bool is_armed_ = false;
    bool is_closed_ = false;
    std::uint64_t bell_count_ = 0;  ///< the kernel writes here while the doorbell is armed
    std::uint64_t heard_ = 0;       ///< writes to the bell that have been read
    Fd bell_;
    LoopLoad load_;
    alignas(kCacheLine) Atomic<bool> rung_{false};  ///< set by any waker, cleared by the owner [bell.rung]
    Atomic<std::uint64_t> written_{0};                  ///< writes to the bell; wakers add, the owner reads [bell.done]
};

}  // namespace knit::detail
