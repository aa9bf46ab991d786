/// Op: an operation in flight. It is the awaiter itself, so it lives in the awaiting coroutine's frame and allocates
/// nothing; its address is the kernel's user data.
///
///   stage       entered by                                    left by
///   fresh       the constructor                               start: submitted, or cancelled before it was
///   in_flight   submit                                        the kernel's last completion, never earlier
///   in_flight,  its cancel was answered by ENOENT             run_again: the cancel is sent again
///     queued
///   again       a completion that is not the whole of it      run_again: submitted anew, or given up
///   ended       settled, and a cancel of it is still unanswered       the answer
///   done        settled                                               await_resume
///
/// A request may have several completions (IORING_CQE_F_MORE on all but the last): absorb() sees the first of them, and
/// the operation is in flight until the last, which for a zero-copy send tells that the buffer is free again.
///
/// After the first there is nothing left to cancel, so none is sent: a cancelled operation waits for its last. On a
/// descriptor that is being closed the connection is broken, which makes the last one come.
///
/// The frame is not resumed, and so the buffer not freed, before the last completion, cancelled or not. Hence an
/// address is unique among the operations in flight, and a cancel that names it cannot hit another. Nor is it resumed
/// before the cancel has been answered: ENOENT is what the kernel says of a request that it is just trying anew, too,
/// and then the cancel has to be sent again, or the operation would never end.
#pragma once

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "knit/detail/task_core.hpp"
#include "knit/detail/work.hpp"
#include "knit/io/detail/descriptor.hpp"

struct io_uring_sqe;

namespace knit::detail {

class IoDriver;

/// What the kernel takes in one request; more is cut there, so it is cut here, where the count is 32 bits wide.
inline constexpr std::size_t kTransferMax = 0x7ffff000;

// The node that an operation stands in queues with, for `again`; no Work to anybody else. It stands in none while the
// operation is in flight: its link is epoll's then. (A ring's driver has no use for it: there the node may stand in the
// run queue meanwhile, to send a cancel again.)
struct OpNode : Work {};

class Op : private Wait, private OpNode {
public:
    using knit_awaiter = void;

    Op& operator=(const Op&) = delete;

    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        start(handle, handle.promise().task());
    }

protected:
    /// `owner` has to be there until the operation is awaited.
    explicit Op(const DescriptorOwner& owner) noexcept : Wait(&Op::cancel_wait, "I/O"), owner_(&owner) {
        run = &Op::run_again;
    }
    /// Only before it has started: an awaitable may be handed on until it is awaited.
    Op(Op&& other) noexcept : Op(*other.owner_) {
        KNIT_ASSERT(!other.is_attached_ && "an operation was handed on after it had been awaited");
    }
    ~Op() {
        // The kernel may still write through it: a frame must not be destroyed before its operation has ended.
        KNIT_ASSERT((stage_ == Stage::fresh || stage_ == Stage::done) && "an operation was destroyed while in flight");
        leave();
    }

    /// Says what the kernel is to do: fills in all but the user data.
    virtual void prepare(io_uring_sqe& sqe) noexcept = 0;
    /// Takes what the kernel gave into `result_`. True: that was all; false: goes on, prepare() is called again. True
    /// for -ECANCELED. `completion_flags()` are those of this completion.
    virtual bool absorb(int result) noexcept = 0;
    /// Such a flag, beside the kernel's: nothing has been tried.
    static constexpr std::uint32_t kNeverBegun = 1U << 14;
    std::uint32_t completion_flags() const noexcept { return completion_flags_; }

    /// For await_ready: what to work on. False, and the operation fails with EBADF, when that is closed.
    bool attach() noexcept {
        KNIT_ASSERT(!is_attached_ && "an operation is awaited once: call read_some(), or what it was, again");
        is_attached_ = true;
        descriptor_ = owner_->get();
        return descriptor_ != nullptr;
    }
    /// Instead of being awaited: in flight for close() and for other loops, of which the kernel knows nothing. Throws
    /// RuntimeError when operations of another loop are in flight.
    void hold(Worker& here) {
        descriptor_->link(*this, here);
        is_linked_ = true;
    }
    /// Once it is attached.
    Descriptor& descriptor() const noexcept { return *descriptor_; }
    bool is_stopping() const noexcept { return is_cancelled_ || is_closed_; }

    /// For await_resume: the result, not negative. Throws CancelledError, or std::system_error with `operation` and the
    /// peer. An operation that completed although it was cancelled gives its result; the cancellation stays for the
    /// next await.
    int take_result(const char* operation) {
        if (task_ != nullptr && result_ >= 0 && !is_cancelled_) [[likely]] {
            task_->resumed_keep_cancel();
            leave();
            return result_;
        }
        return take_result_slow(operation);
    }

    std::int32_t result_ = -EBADF;

private:
    friend class Descriptor;
    friend class IoDriver;
    enum class Stage : std::uint8_t { fresh, done, in_flight, again, ended };

    void start(std::coroutine_handle<> leaf, TaskCore& task);
    void submit() noexcept;
    /// The driver's, for each completion; `flags` are the kernel's IORING_CQE_F_...
    void complete(int result, std::uint32_t flags) noexcept;
    /// The driver's, for the answer to a cancel that is_cancel_out_ tells of. (Epoll's cancels need none.)
    void cancel_answered(int result) noexcept;
    void settle() noexcept;
    /// The descriptor is being closed.
    void stop_for_close() noexcept;
    static bool cancel_wait(Wait& wait) noexcept;
    static void run_again(Worker& worker, Work& work) noexcept;
    int take_result_slow(const char* operation);
    void leave() noexcept {
        if (is_linked_) {
            is_linked_ = false;
            descriptor_->unlink(*this);
        }
    }
    IoDriver& driver() const noexcept;

    union {
        const DescriptorOwner* owner_;  ///< until it is awaited
        Descriptor* descriptor_;
    };
    Op* next_ = nullptr;  ///< the descriptor's list of operations in flight, a ring
    TaskCore* task_ = nullptr;
    std::uint32_t completion_flags_ = 0;
    Stage stage_ = Stage::fresh;
    bool is_absorbed_ = false;  ///< of the request in flight, the first completion came
    bool is_whole_ = false;     ///< what absorb() said of it
    bool is_cancel_out_ = false;  ///< the driver sets it: a cancel will be answered
    bool is_linked_ = false;
    bool is_cancelled_ = false;
    bool is_closed_ = false;
    bool is_attached_ = false;  ///< descriptor_ it is, no longer owner_
};

inline void Descriptor::link(Op& op, Worker& worker) {
    // relaxed: this loop's own, or a mistake that is refused
    Worker* const busy = busy_.load(std::memory_order_relaxed);
    if (busy == nullptr) {
        // relaxed: a closer on another thread has learnt of this operation in some other way, which orders
        busy_.store(&worker, std::memory_order_relaxed);
    } else if (busy != &worker) [[unlikely]] {
        throw_busy_elsewhere();
    }
    if (last_ != nullptr) [[unlikely]] {
        op.next_ = std::exchange(last_->next_, &op);
    } else {
        op.next_ = &op;
    }
    last_ = &op;
}

inline void Descriptor::unlink(Op& op) noexcept {
    if (op.next_ != &op) [[unlikely]] {
        unlink_inner(op);
        return;
    }
    last_ = nullptr;
    if (acts_when_idle_) [[unlikely]] {
        act_when_idle();
    } else {
        busy_.store(nullptr, std::memory_order_release);  // [fd.busy] the last touch: a closer may destroy it then
    }
}

/// A result that is there at once: what plain calls give that may also be awaited.
struct Ready {
    using knit_awaiter = void;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
};

}  // namespace knit::detail
