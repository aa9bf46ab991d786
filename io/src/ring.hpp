/// Ring: one io_uring, made and used by one thread. The only file, with ring.cpp, that knows liburing.
///
///   [ring.sq]  enter: the SQ tail is stored before the system call of the same thread
///   [ring.cq]  kernel: CQEs, then the CQ tail  ->  reap: CQ tail acquire, then CQEs      what completed is seen
///              reap: CQEs copied, then the CQ head release  ->  kernel                   a slot is not reused too
///              early
///   [ring.taskrun]  kernel: work listed (a full barrier), then the bit TASKRUN  ->  enter_nowait: takes the bit back,
///                   acquire; then the kernel looks      the work is done now, or the bit stands afterwards
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class Ring {
public:
    /// What io_uring_enter came to. Whatever has no place here is fatal.
    enum class Entered {
        done,  ///< submitted and collected; a wait may have been cut short by its timeout or by a signal
        busy,  ///< the kernel has no memory for requests or wants its completions collected first: reap, then again
    };

    /// `entries`: submission slots. Throws std::system_error that names the cause and the cure.
    explicit Ring(unsigned entries);
    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    /// The next free submission slot, or null when all are taken.
    io_uring_sqe* sqe_nowait() noexcept { return io_uring_get_sqe(&ring_); }
    /// Prepared and not yet taken by the kernel.
    unsigned queued() const noexcept { return ring_.sq.sqe_tail - *ring_.sq.khead; }

    /// Submits and collects what is there; never waits. Where requests are refused it collects all the same.
    Entered enter_nowait() noexcept;
    /// The same, then waits for one completion, at most `timeout` (Duration::max(): no limit).
    Entered enter_wait(Duration timeout) noexcept;
    /// The last call on the thread that made the ring, if another destroys it: the registered index is a thread's.
    void give_up_index() noexcept;

    struct NoFetch {
        void far(std::uint64_t) const noexcept {}
        void near(std::uint64_t) const noexcept {}
    };
    /// Calls `visit(user_data, result, flags)` for each completion that is there now: those that the visits bring about
    /// come next time, so it ends. `visit` must not enter. Gives how many there were.
    /// `fetch.far(user_data)` is called some completions before its visit, `fetch.near(user_data)` half as many.
    template <class Visit, class Fetch = NoFetch>
    unsigned reap(Visit visit, Fetch fetch = {}) noexcept {
        const unsigned tail = __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);  // [ring.cq]
        const unsigned mask = ring_.cq.ring_mask;
        unsigned head = *ring_.cq.khead;
        const unsigned count = tail - head;
        for (; head != tail; ++head) {
            if (tail - head > kFetchAhead) {
                fetch.far(ring_.cq.cqes[(head + kFetchAhead) & mask].user_data);
                fetch.near(ring_.cq.cqes[(head + kFetchAhead / 2) & mask].user_data);
            }
            const io_uring_cqe& cqe = ring_.cq.cqes[head & mask];
            visit(cqe.user_data, cqe.res, cqe.flags);
        }
        if (count != 0) {
            __atomic_store_n(ring_.cq.khead, head, __ATOMIC_RELEASE);  // [ring.cq]
        }
        return count;
    }

    // For the driver's look without a system call.
    const unsigned* flags_word() const noexcept { return ring_.sq.kflags; }
    const unsigned* completion_tail() const noexcept { return ring_.cq.ktail; }
    /// Bits of the flags word that say that an enter would bring completions.
    static constexpr unsigned kWantsEnter = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;

    unsigned entries() const noexcept { return entries_; }
    /// Names of the set-up flags that the kernel granted, and of those that it refused.
    std::vector<std::string> flags_granted() const;
    std::vector<std::string> flags_stripped() const;
    /// Completions wait behind the full queue: the next enter brings them.
    bool has_overflown() const noexcept {
        return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;  // a hint
    }

    /// Sets up a ring of buffers for receives that let the kernel pick one. False where the kernel cannot, or memory is
    /// short. Once for each group.
    bool register_buffers(std::uint16_t group, unsigned entries) noexcept;
    /// Hands a buffer of that group to the kernel; `id` comes back with the completion that has used it. Never more
    /// buffers than entries.
    void provide_buffer(void* bytes, std::size_t size, std::uint16_t id) noexcept;

private:
    static constexpr unsigned kFetchAhead = 6;

    void set_up(unsigned entries);
    int set_up_rung(unsigned entries, unsigned flags) noexcept;
    void check_features() const;
    void probe();
    int enter(unsigned wait_count, unsigned flags, void* argument, std::size_t argument_size) noexcept;
    int call(unsigned count, unsigned wait_count, unsigned flags, void* argument, std::size_t size) const noexcept;
    static Entered outcome(int result) noexcept;

    struct FreeBuffers {
        void operator()(io_uring_buf_ring* ring) const noexcept;
    };

    io_uring ring_{};
    std::unique_ptr<io_uring_buf_ring, FreeBuffers> buffers_;
    int buffers_mask_ = 0;
    int enter_fd_ = -1;          ///< the registered index of the ring, or its descriptor
    unsigned enter_flags_ = 0;   ///< what every enter carries
    unsigned entries_ = 0;
    unsigned granted_ = 0;  ///< set-up flags
};

}  // namespace knit::detail
