/// UringDriver: a loop waits on its io_uring, which also carries the operations of its tasks.
///
/// User data is an Op's address, whose low bits are clear, or carries a token there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io_driver.hpp"
#include "knit/detail/base.hpp"
#include "ring.hpp"

namespace knit::detail {

class Op;

class UringDriver final : public IoDriver {
public:
    /// Owner thread. Throws std::system_error with the cause and the cure.
    explicit UringDriver(unsigned entries);
    ~UringDriver() override;

    void poll() noexcept override;
    void park(TimePoint deadline) noexcept override;
    void close() noexcept override;
    DriverReport report() const override;

    /// A free submission slot, to be filled before anything else is done with the ring. Never fails: a full queue is
    /// submitted first. Owner thread.
    io_uring_sqe& next_sqe() noexcept;
    // submit() and cancel(), for a ring.
    void begin(Op& op) noexcept;
    void end(Op& op) noexcept;

    /// User data of a request whose completion nobody wants.
    static constexpr std::uint64_t kUnwanted = 3;

private:
    // User data: an operation's address, that with kCancel for the cancel of it, or one of kDoorbell and kUnwanted.
    static constexpr std::uint64_t kDoorbell = 1;
    static constexpr std::uint64_t kCancel = 2;

    struct Fetch;
    unsigned collect() noexcept;
    void arm_doorbell() noexcept;
    void hear_doorbell(int result) noexcept;
    void back_off() noexcept;

    Ring ring_;
    bool is_armed_ = false;
    unsigned busy_polls_ = 0;  ///< that came to nothing
    std::uint64_t bell_count_ = 0;  ///< the kernel writes here while the doorbell is armed
};

}  // namespace knit::detail
