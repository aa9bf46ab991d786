/// Watch: one deadline at a time for what a connection waits for, in one direction. It cancels the task that waits and
/// takes the cancellation back, so it needs nothing of the stream.
#pragma once

#include <utility>

#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit::http::detail {

/// All on the loop of the connection. A wait costs no timer: the one that is armed looks for the deadline that counts
/// by then, and is armed again only when a wait's end is before its own.
class Watch {
public:
    Watch() noexcept = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { timer_.cancel(); }

    /// The current task's, on its loop.
    void start();
    /// The task begins to wait, at most so long; zero: for ever. std::bad_alloc: then nobody waits.
    void begin(Duration limit);
    /// The same for whichever task is the current one, on the loop of start().
    void begin_here(Duration limit);
    /// The task waits again for the same thing, until the same deadline.
    void begin_again() {
        if (deadline_ < armed_for_) {
            arm();
        }
        is_waiting_ = true;
    }
    /// What is left of the limit, for another begin(); zero when there is none.
    Duration left() const noexcept;
    /// What was waited for has come: whether that was too late, and it had been cancelled.
    bool end() noexcept {
        is_waiting_ = false;
        const bool was_late = is_expired_;
        if (was_late) [[unlikely]] {
            take_back();
        }
        if (waiter_) {
            waiter_ = TaskRef();
        }
        return was_late;
    }
    /// The wait has ended by a CancelledError: whether that was the deadline's, and nobody else's.
    bool end_cancelled() noexcept;
    /// As if the deadline had come.
    void expire() noexcept;
    bool is_waiting() const noexcept { return is_waiting_; }
    Loop& loop() const noexcept { return *loop_; }
    const TaskRef& task() const noexcept { return task_; }

private:
    void arm();
    void ring() noexcept;
    void take_back() noexcept;
    TaskRef& waiter() noexcept { return waiter_ ? waiter_ : task_; }

    Loop* loop_ = nullptr;
    TaskRef task_;
    TaskRef waiter_;  ///< of begin_here(); none: task_
    Handle timer_;
    TimePoint deadline_ = TimePoint::max();
    TimePoint armed_for_ = TimePoint::max();  ///< max: not armed
    bool is_waiting_ = false;
    bool is_expired_ = false;
};

}  // namespace knit::http::detail
