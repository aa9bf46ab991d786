/// QueueCore: a queue without its items. It counts them, and holds those who wait.
///
/// Two sides with a mutex each, so that a producer and a consumer on two loops seldom meet: new items arrive on the put
/// side, a consumer that has none left moves all of them over at once. Who changes what belongs to both takes the take
/// side's mutex first. LifoQueue and PriorityQueue, whose newest item may be the next, always hold both.
///
/// Nobody is overtaken, by *reservation*. An item put while a getter waits stays in the queue and is counted as
/// reserved; a slot freed while a putter waits is counted as used until the putter, woken, fills it. Hence
///   a getter waits   =>  every item is reserved        (an item becomes free only when no getter waits)
///   a putter waits   =>  every slot is used            (a slot becomes free only when no putter waits)
/// To begin to wait takes both mutexes; so these hold for whoever has one.
///
///   threads   any
///   [queue.count] what is read without the mutex that it is written under: release  ->  acquire. Who sees an item put
///                 sees the one taken that made room for it
#pragma once

#include <coroutine>
#include <cstdint>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/mutex.hpp"
#include "knit/detail/sync_waiter.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {

/// What stands on its two sides shares no cache line.
struct Apart {
    char padding[kCacheLine] = {};
};

class QueueCore {
public:
    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;

    std::size_t maxsize() const noexcept { return maxsize_; }
    std::size_t qsize() const noexcept;
    bool empty() const noexcept { return qsize() == 0; }
    bool full() const noexcept { return maxsize_ != 0 && qsize() >= maxsize_; }
    void task_done();

protected:
    enum class Outcome : std::uint8_t { done, would_wait, shut_down };
    enum class Role : std::uint8_t { getter, putter, joiner };
    enum class Order : std::uint8_t { first_in_first_out, other };

    /// Holds one mutex or both; wakes after it has let go of them, when the queue may be gone.
    class Hold {
    public:
        explicit Hold(Mutex& mutex) noexcept : first_(&mutex) { first_->lock(); }
        Hold(Mutex& take, Mutex& put) noexcept : Hold(take) {
            second_ = &put;
            second_->lock();
        }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        ~Hold() {
            if (second_ != nullptr) {
                second_->unlock();
            }
            first_->unlock();
            if (woken_ != nullptr) {
                wake_from_anywhere(*woken_->task);
            }
        }
        /// At most one; null: nobody.
        void wake(SyncWaiter* waiter) noexcept { woken_ = waiter; }

    private:
        Mutex* first_;
        Mutex* second_ = nullptr;
        SyncWaiter* woken_ = nullptr;
    };

    class Waiting;
    class Join;

    QueueCore(std::size_t maxsize, Order order) noexcept : maxsize_(maxsize), order_(order) {}
    ~QueueCore();

    // With the mutex of the put side.

    Outcome may_put() noexcept {
        if (is_shutdown_) [[unlikely]] {
            return Outcome::shut_down;
        }
        return maxsize_ == 0 || has_slot() ? Outcome::done : Outcome::would_wait;
    }
    /// An item has been added. Gives whom to wake.
    SyncWaiter* note_put() noexcept {
        put_.count.store(put_.count.load(std::memory_order_relaxed) + 1,  // relaxed: under the mutex
                         std::memory_order_release);                      // [queue.count]
        put_.putter = Worker::current();
        if (is_ordered()) {
            ++take_.arrived;
        }
        if (put_.getters.empty()) [[likely]] {
            return nullptr;
        }
        ++(is_ordered() ? take_.reserved : put_.reserved);
        return put_.getters.grant_first();
    }
    /// It fills the slot that was kept for a putter.
    void note_put_by_grant() noexcept { ++put_.by_grant; }

    // With the mutex of the take side.

    /// Items that have not been moved over from the put side.
    bool has_arrivals() const noexcept {
        return put_.count.load(std::memory_order_relaxed) != take_.arrived;  // relaxed: what matters came before
    }
    bool has_reserved() const noexcept { return take_.reserved != 0; }
    /// Any thread: whether the items of last came from another loop.
    bool is_fed_from_elsewhere() const noexcept {
        return take_.is_fed_from_elsewhere.load(std::memory_order_relaxed);  // relaxed: a hint
    }
    /// Lets a putter on another loop put some more. A consumer that looks after each item makes both spend their time
    /// on handing over the put side's cache line.
    static void pause_for_arrivals() noexcept {
        for (int turn = 0; turn < kPauses; ++turn) {
            cpu_relax();
        }
    }
    std::size_t reserved() const noexcept { return take_.reserved; }
    bool is_shutdown() const noexcept { return is_shutdown_; }
    /// An item has been removed. Gives whom to wake.
    SyncWaiter* note_taken() noexcept {
        take_.count.store(take_.count.load(std::memory_order_relaxed) + 1,  // relaxed: under the mutex
                          std::memory_order_release);                       // [queue.count]
        return free_slot();
    }
    /// It was reserved for the one who took it.
    void note_taken_by_grant() noexcept { --take_.reserved; }

    // With both.

    /// All items have been moved to the take side.
    void note_moved() noexcept {
        take_.is_fed_from_elsewhere.store(put_.putter != Worker::current(), std::memory_order_relaxed);  // a hint
        take_.arrived = put_.count.load(std::memory_order_relaxed);  // relaxed: under the mutex
        take_.reserved += put_.reserved;
        put_.reserved = 0;
    }
    /// `dropped` items, that is all, have been taken out of the queue by shutdown(immediate).
    void note_dropped(std::size_t dropped) noexcept;

    bool is_ordered() const noexcept { return order_ != Order::first_in_first_out; }
    Mutex& put_mutex() const noexcept { return put_.mutex; }
    Mutex& take_mutex() const noexcept { return take_.mutex; }
    /// The end of shutdown(): with both mutexes, which it gives up. Gives up the queue, too, when it wakes.
    struct Released {
        SyncWaiter* joiners;
        SyncWaiter* getters;
        SyncWaiter* putters;
    };
    Released release_waiters() noexcept;
    static void wake(const Released& released) noexcept;

    [[noreturn]] static void throw_empty();
    [[noreturn]] static void throw_full();
    [[noreturn]] static void throw_shut_down();

private:
    bool has_slot() noexcept {
        const std::size_t used = put_.count.load(std::memory_order_relaxed) - put_.by_grant;  // relaxed: own side
        if (used - put_.freed_seen < maxsize_) [[likely]] {
            return true;
        }
        put_.freed_seen = take_.freed.load(std::memory_order_acquire);  // [queue.count]
        return used - put_.freed_seen < maxsize_;
    }
    /// To the putter that has waited longest, or to everybody. With the mutex of the take side.
    SyncWaiter* free_slot() noexcept {
        if (!take_.putters.empty()) {
            return take_.putters.grant_first();
        }
        take_.freed.store(take_.freed.load(std::memory_order_relaxed) + 1,  // relaxed: under the mutex
                          std::memory_order_release);                       // [queue.count]
        return nullptr;
    }
    /// A reserved item that its getter does not take: to the next getter, or to everybody. With both mutexes.
    SyncWaiter* free_item() noexcept;
    std::size_t unfinished() const noexcept {
        return put_.count.load(std::memory_order_relaxed) - take_.done;  // relaxed: the caller's own puts came before
    }

    // Kept apart by padding, not by alignment: a queue may be a local of a coroutine, whose frame is not so aligned.
    struct PutSide {
        mutable Mutex mutex;
        Atomic<std::size_t> count{0};  ///< items ever put; written under the mutex, read by any thread [queue.count]
        std::size_t by_grant = 0;      ///< of these, those that filled a slot kept for them
        std::size_t freed_seen = 0;    ///< TakeSide::freed, some time ago
        std::size_t reserved = 0;      ///< items on this side that woken getters will take
        const Worker* putter = nullptr;  ///< whose loop put last; only compared
        SyncWaitList getters;
        Apart apart;
    };
    struct TakeSide {
        mutable Mutex mutex;
        Atomic<std::size_t> count{0};  ///< items ever taken; written under the mutex, read by any thread [queue.count]
        Atomic<std::size_t> freed{0};  ///< slots that came free for all; likewise, the put side reads [queue.count]
        std::size_t arrived = 0;       ///< items that ever came to this side
        std::size_t reserved = 0;      ///< items on this side that woken getters will take
        Atomic<bool> is_fed_from_elsewhere{false};  ///< written with both mutexes, read by getters: a hint
        SyncWaitList putters;
        // Seldom used, in a line of their own.
        SyncWaitList joiners;
        std::size_t done = 0;      ///< task_done() calls, and items that shutdown dropped
        std::size_t put_seen = 0;  ///< PutSide::count, some time ago; never less than done
        Apart apart;
    };

    static constexpr int kPauses = 32;  ///< a microsecond or so

    const std::size_t maxsize_;
    const Order order_;
    bool is_shutdown_ = false;  ///< written with both mutexes, read with either
    PutSide put_;
    TakeSide take_;
};

/// A wait in a queue: what the awaiters share. It may be moved until it is awaited.
class QueueCore::Waiting : Wait, SyncWaiter {
public:
    using knit_awaiter = void;

protected:
    Waiting(QueueCore& queue, Role role, const char* what) noexcept
        : Wait(&Waiting::cancel_waiting, what), queue_(&queue), role_(role) {}
    Waiting(Waiting&& other) noexcept : Wait(other), SyncWaiter(), queue_(other.queue_), role_(other.role_) {
        KNIT_ASSERT(other.phase == Phase::idle);
    }
    Waiting& operator=(Waiting&&) = delete;
    ~Waiting() {
        if (phase != Phase::idle) [[unlikely]] {
            leave();
        }
    }

    QueueCore& queue() const noexcept { return *queue_; }
    /// Into the list; with both mutexes.
    void enter(TaskCore& waiting) noexcept { list().push(*this, waiting); }
    /// The last thing that await_suspend does; without a mutex.
    void suspend(std::coroutine_handle<> handle) noexcept { task->suspend(handle, this); }
    bool has_waited() const noexcept { return phase != Phase::idle; }
    /// In await_resume after a wait: what was granted goes to the next when this dies before finish().
    struct Turn {
        explicit Turn(Waiting& of) noexcept : waiting(of) {}
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() {
            if (waiting.has_waited()) [[unlikely]] {
                waiting.leave();
            }
        }
        Waiting& waiting;
    };
    /// The first thing in that turn: throws CancelledError when a cancellation ended the wait, or is due.
    void resumed();
    /// What was granted has been used.
    void finish() noexcept {
        phase = Phase::idle;
        is_released_ = false;
        is_cancelled_ = false;
    }
    /// Woken by shutdown(), with nothing granted.
    bool is_released() const noexcept { return is_released_; }

private:
    friend class QueueCore;

    void leave() noexcept;
    static bool cancel_waiting(Wait& wait) noexcept;
    SyncWaitList& list() const noexcept;
    Mutex& mutex() const noexcept { return role_ == Role::getter ? queue_->put_.mutex : queue_->take_.mutex; }

    QueueCore* queue_;  ///< null: it has been destroyed
    Role role_;
    bool is_released_ = false;
    bool is_cancelled_ = false;  ///< its wait has taken a cancellation; its loop's
};

/// `co_await queue.join()`.
class [[nodiscard]] QueueCore::Join : Waiting {
public:
    using knit_awaiter = void;

    explicit Join(QueueCore& queue) noexcept : Waiting(queue, Role::joiner, "Queue.join") {}

    bool await_ready() const noexcept {
        const Hold hold(queue().take_mutex());
        return queue().unfinished() == 0;
    }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        return begin(handle.promise().task(), handle);
    }
    void await_resume() {
        if (has_waited()) {
            const Turn turn(*this);
            resumed();
            finish();
        }
    }

private:
    bool begin(TaskCore& waiting, std::coroutine_handle<> handle) noexcept;
};

}  // namespace knit::detail
