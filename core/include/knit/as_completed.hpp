/// as_completed(): results in the order in which they come.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/detail/mutex.hpp"
#include "knit/detail/sync_waiter.hpp"
#include "knit/detail/wait_core.hpp"
#include "knit/gather.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit {

struct AsCompletedOptions {
    /// For all together, from the call. None: no limit.
    std::optional<Duration> timeout = {};
};

namespace detail {

/// What the handles of one as_completed() share. The children are watched on the loop that made it, the keeper; their
/// results may be asked for on any.
class AsCompletedCore {
public:
    /// One child on its way to whoever asks; null instead of it: the time is over.
    struct Place : Waiter {
        Place() noexcept : Waiter(&AsCompletedCore::settled) {}
        struct Hop : Work {
            Place* place = nullptr;
        };
        AsCompletedCore* owner = nullptr;
        CoreRef child;
        Hop hop;
    };
    /// Somebody who asks.
    struct Taker : SyncWaiter {
        CoreRef child;
    };

    /// One reference. Each child once.
    AsCompletedCore(std::vector<CoreRef> children, std::optional<Duration> timeout, Worker& keeper);
    AsCompletedCore(const AsCompletedCore&) = delete;
    AsCompletedCore& operator=(const AsCompletedCore&) = delete;

    // Any thread.
    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
    void drop_ref() noexcept;
    /// One more of the children will be asked for; false when all have been.
    bool claim() noexcept;
    /// True: it is in `taker`. False: `taker` waits, and its task is woken once it has it.
    bool take(Taker& taker, TaskCore& task) noexcept;
    /// True when `taker` waits no more, and got nothing.
    bool cancel(Taker& taker) noexcept;
    /// `taker` does not want what it got: the next one gets it.
    void give_back(Taker& taker) noexcept;
    /// Those that are not done; none but to the keeper's own tasks.
    void show_children(const Worker& home, AwaitVisitor& visitor);

private:
    struct Limit : Timer {
        AsCompletedCore* owner = nullptr;
    };
    struct Farewell : Work {
        AsCompletedCore* owner = nullptr;
    };

    ~AsCompletedCore() = default;
    std::span<Place> places() noexcept { return {places_.get(), count_}; }
    void put(CoreRef child) noexcept;
    SyncWaiter* hand_over() noexcept;
    void unsubscribe() noexcept;
    void leave(bool is_closed) noexcept;
    void ended_one() noexcept;
    static void settled(Waiter& waiter, FutureCore& child) noexcept;
    static void count(Worker& worker, Work& work) noexcept;
    static void elapsed(Worker& worker, Work& work) noexcept;

    // The keeper's.
    Worker& keeper_;
    std::unique_ptr<Place[]> places_;
    const std::size_t count_;
    std::size_t todo_;
    std::size_t in_flight_ = 0;  ///< hops and the timer, which come back here
    bool is_left_ = false;       ///< no handle is left
    Limit limit_;

    Mutex mutex_;  ///< guards these five
    std::unique_ptr<CoreRef[]> done_;  ///< a null one for each that was not done in time
    std::size_t done_begin_ = 0;
    std::size_t done_end_ = 0;
    std::size_t unclaimed_;
    SyncWaitList takers_;

    Farewell farewell_;
    Atomic<std::uint32_t> refs_{1};  ///< handles; any thread [as_completed.refs]
};

/// A counted reference to it.
class AsCompletedRef {
public:
    explicit AsCompletedRef(AsCompletedCore* core) noexcept : core_(core) {}
    AsCompletedRef(const AsCompletedRef& other) noexcept : core_(other.core_) {
        if (core_ != nullptr) {
            core_->add_ref();
        }
    }
    AsCompletedRef(AsCompletedRef&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    AsCompletedRef& operator=(AsCompletedRef other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~AsCompletedRef() {
        if (core_ != nullptr) {
            core_->drop_ref();
        }
    }
    AsCompletedCore* operator->() const noexcept { return core_; }
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    AsCompletedCore* core_;
};

/// Waits for the next child that is done.
class AsCompletedTake : Wait {
public:
    explicit AsCompletedTake(AsCompletedRef core) noexcept
        : Wait(&AsCompletedTake::cancel_wait, "as_completed"), core_(std::move(core)) {}

    /// Shows what a wait is for; false when it is none of these. The task's home loop.
    static bool show_awaited(const Wait& wait, AwaitVisitor& visitor);

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) noexcept {
        TaskCore& task = handle.promise().task();
        if (core_->take(taker_, task)) {
            return false;
        }
        task_ = &task;
        task.suspend(handle, this);
        return true;
    }

protected:
    /// The child, done. TimeoutError when its time was over.
    CoreRef take_child();
    bool claim() noexcept { return core_->claim(); }

private:
    static bool cancel_wait(Wait& wait) noexcept;

    AsCompletedRef core_;
    AsCompletedCore::Taker taker_;
    TaskCore* task_ = nullptr;
};

template <class T>
class AsCompletedResult : AsCompletedTake {
public:
    using knit_awaiter = void;
    using AsCompletedTake::AsCompletedTake;
    using AsCompletedTake::await_ready;
    using AsCompletedTake::await_suspend;
    T await_resume() {
        const CoreRef child = take_child();
        return take_result<T>(*child, child->is_sole_reference());
    }
};

template <class H>
class AsCompletedHandle : AsCompletedTake {
public:
    using knit_awaiter = void;
    using AsCompletedTake::AsCompletedTake;
    bool await_ready() noexcept {
        is_over_ = !claim();
        return is_over_;
    }
    using AsCompletedTake::await_suspend;
    std::optional<H> await_resume() {
        if (is_over_) {
            return std::nullopt;
        }
        return H(take_child());
    }

private:
    bool is_over_ = false;
};

[[noreturn]] void throw_reused_next();
AsCompletedRef make_as_completed(std::vector<CoreRef> children, std::optional<Duration> timeout);

}  // namespace detail

/// The next result of an as_completed(): awaited once, gives the value or throws the exception of whichever child is
/// done next when it is awaited. TimeoutError when that took too long. Any task on any loop; several may wait, and are
/// served in the order of their awaits. Cancelled: CancelledError, and the result goes to the next one.
template <class T>
class [[nodiscard]] AsCompletedNext {
public:
    explicit AsCompletedNext(detail::AsCompletedRef core) noexcept : core_(std::move(core)) {}

    detail::AsCompletedResult<T> operator co_await() & { return start(); }
    detail::AsCompletedResult<T> operator co_await() && { return start(); }

private:
    detail::AsCompletedResult<T> start() {
        if (!core_) {
            detail::throw_reused_next();
        }
        return detail::AsCompletedResult<T>(std::move(core_));
    }

    detail::AsCompletedRef core_;
};

/// What as_completed() gives: `while (auto next = it.next()) { use(co_await *next); }`. Can be left and gone on with;
/// copies share it. Dropping it cancels nothing. Any thread.
template <class T, class H = Task<T>>
class AsCompleted {
public:
    explicit AsCompleted(detail::AsCompletedRef core) noexcept : core_(std::move(core)) {}

    /// The next one, to be awaited; none when there were as many as children.
    std::optional<AsCompletedNext<T>> next() {
        if (!core_->claim()) {
            return std::nullopt;
        }
        return AsCompletedNext<T>(core_);
    }
    /// Awaited, gives the handle of the next child that is done, the very one for a task or future that was passed in;
    /// none when there were as many as children. TimeoutError and cancellation as with next().
    [[nodiscard]] detail::AsCompletedHandle<H> next_task() { return detail::AsCompletedHandle<H>(core_); }

private:
    detail::AsCompletedRef core_;
};

namespace detail {

template <class A>
concept MadeTask = !requires(A& child) { child.future(); } &&
                   (std::is_base_of_v<Task<child_t<A>>, A> || !std::is_base_of_v<Future<child_t<A>>, A>);

template <class A>
using as_completed_t =
    AsCompleted<child_t<A>, std::conditional_t<MadeTask<A>, Task<child_t<A>>, Future<child_t<A>>>>;

}  // namespace detail

/// Runs all concurrently, as gather() does; results come by next() in the order of completion. A task or future that is
/// given twice counts once. When `options.timeout` passes, each that is left throws TimeoutError; nothing is cancelled.
/// RuntimeError "no running event loop", ValueError for a future of another runtime.
template <detail::ChildRange Range>
auto as_completed(Range&& children, AsCompletedOptions options = {}) {
    using Element = std::ranges::range_value_t<Range>;
    static_assert(!std::is_lvalue_reference_v<Range> || std::is_copy_constructible_v<Element>,
                  "as_completed() takes coroutines away from their container: write as_completed(std::move(coros))");
    std::vector<detail::CoreRef> refs;
    for (auto&& child : children) {
        if constexpr (std::is_lvalue_reference_v<Range>) {
            refs.push_back(detail::into_child(Element(child)));
        } else {
            refs.push_back(detail::into_child(std::move(child)));
        }
    }
    return detail::as_completed_t<Element>(detail::make_as_completed(std::move(refs), options.timeout));
}
template <Child A>
requires(!std::ranges::range<A>)
void as_completed(A&&, AsCompletedOptions = {}) {
    static_assert(!sizeof(std::remove_reference_t<A>*), "as_completed() expects a collection of awaitables, not one");
}

}  // namespace knit
