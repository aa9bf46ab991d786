/// IoDriver: what every driver of io can do: take operations, end them, be woken. Which driver it is, is told by a
/// field and not by a virtual call: on the way of every operation stands one branch that always goes the same way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "buffer_pool.hpp"
#include "doorbell.hpp"
#include "driver.hpp"
#include "knit/io/detail/op.hpp"
#include "loop_load.hpp"

namespace knit::detail {

class Ring;
class Worker;

/// The receive buffers of that loop, which is the calling thread's; null when it has none.
BufferPool* buffers_of(Worker& worker) noexcept;

class IoDriver : public Driver {
public:
    enum class Kind : std::uint8_t { uring, epoll, parents };

    TimePoint now() noexcept final;
    void wake() noexcept final { bell_.ring(); }
    std::size_t in_flight() const noexcept final { return in_flight_; }
    void leave_to_parent() noexcept final;
    Kind kind() const noexcept { return kind_; }

    /// Begins `op` with the next poll(). Its complete() is called once, or more often with IORING_CQE_F_MORE. Owner
    /// thread.
    void submit(Op& op) noexcept;
    /// Asks for the end of `op`, which is in flight: it completes in any case. Owner thread.
    void cancel(Op& op) noexcept;

    /// The loop's receive buffers, made when first asked for; may throw std::bad_alloc. Owner thread.
    BufferPool& buffers() {
        if (buffers_ == nullptr) [[unlikely]] {
            buffers_ = new BufferPool(buffer_ring_);
        }
        return *buffers_;
    }
    BufferPool* buffers_nowait() const noexcept { return buffers_; }
    /// What servers know of this loop. Any thread.
    LoopLoad& load() noexcept { return *load_; }
    const std::shared_ptr<LoopLoad>& shared_load() const noexcept { return load_; }

protected:
    /// `buffer_ring`: which picks the receive buffers; null: whoever receives does.
    IoDriver(Kind kind, Ring* buffer_ring) : kind_(kind), buffer_ring_(buffer_ring) {}
    ~IoDriver() override;

    /// First in poll() and park().
    void check_not_parents() const noexcept {
        if (kind_ == Kind::parents) [[unlikely]] {
            die_if_fork_child();
        }
    }

    // What a driver does with an operation: Op knows IoDriver alone.
    static void prepare(Op& op, io_uring_sqe& sqe) noexcept { op.prepare(sqe); }
    static void complete(Op& op, int result, std::uint32_t flags) noexcept { op.complete(result, flags); }
    /// Of one that is in flight, ahead of its completion.
    static void prefetch_task(const Op& op) noexcept { op.task_->prefetch(); }
    static void refuse(Op& op, int result) noexcept { op.complete(result, Op::kNeverBegun); }
    /// A cancel of `op` is under way, and it stays until answer_cancel().
    static void expect_answer(Op& op) noexcept { op.is_cancel_out_ = true; }
    static void answer_cancel(Op& op, int result) noexcept { op.cancel_answered(result); }
    /// The driver's word in an operation that is in flight.
    static Work*& slot(Op& op) noexcept { return op.next; }
    static Descriptor* descriptor(const Op& op) noexcept { return op.descriptor_; }

    std::size_t in_flight_ = 0;
    Kind kind_;  ///< parents: this is a forked child, and what there is here belongs to the process that forked it
    bool is_closed_ = false;
    Ring* const buffer_ring_;
    BufferPool* buffers_ = nullptr;
    Doorbell bell_;
    const std::shared_ptr<LoopLoad> load_ = std::make_shared<LoopLoad>();
};

}  // namespace knit::detail
