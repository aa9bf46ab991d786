/// Offered work: how a loop runs its own, leaves it to others and hands it to them. How they come to look for it is in
/// idle.cpp.

#include <algorithm>
#include <array>

#include "driver.hpp"
#include "idle.hpp"
#include "knit/detail/fork.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

// A deque longer than this gives its oldest work to the injector while others have nothing to do.
constexpr std::size_t kShareAbove = 64;
constexpr std::size_t kShareCount = 16;
constexpr std::size_t kSharedMost = 64;
// A fence costs 5 to 20 ns, a steal from a loop without fences both loops some 2 us each.
constexpr unsigned kFencedPushes = 1024;
// Offered work that takes less than two wakes of a loop is best run where it is.
constexpr Duration kLongOffered = std::chrono::microseconds(50);
constexpr Duration kLeftMost = std::chrono::microseconds(200);
constexpr Duration kLeftAgain = std::chrono::milliseconds(10);
constexpr Duration kSmallOffered = std::chrono::microseconds(1);
constexpr unsigned kTimedOffered = 16;

}  // namespace

/// After a push into the injector, and a fence.
void Worker::nudge() noexcept {
    if (is_nudged_.load(std::memory_order_relaxed)) {  // [worker.nudge]
        return;
    }
    if (!is_nudged_.exchange(true, std::memory_order_acq_rel)) {  // [worker.nudge]
        static_cast<void>(post(nudge_));                          // refused: it is closed, and takes nothing any more
    }
}

void Worker::run_nudge(Worker& worker, Work&) noexcept {
    worker.is_nudged_.exchange(false, std::memory_order_acq_rel);  // [worker.nudge]
    full_fence();                                                  // [worker.nudge]
    if (!worker.is_discarding() && !worker.is_draining()) {  // the end of the run takes what nobody has begun itself
        static_cast<void>(worker.take_shared());
    }
}

/// Something comes due by itself.
bool Worker::has_waiting() const noexcept { return driver_->has_operations() || timers_.next() != kNever; }

/// They have waited for one batch of the run queue.
void Worker::run_paused(Work* paused) noexcept {
    if (std::exchange(is_look_due_, false)) {
        batch_rest_ = paused;  // what a dump that is taken meanwhile sees of them
        look_around();
    }
    if (inline_.is_timed()) {
        inline_.resume(driver_->now(), counters_.turns.value());
    }
    run_batch(paused);
}

/// Offered tasks, the newest first, until the budget is spent, or where something is due later, the time; none while a
/// task is paused in the middle of its own.
bool Worker::run_deque() noexcept {
    if (Work* const paused = paused_.take_all()) [[unlikely]] {
        run_paused(paused);
        return true;
    }
    if (leaves_offers()) [[unlikely]] {
        return true;
    }
    Work* work = deque_.pop();
    if (work == nullptr) {
        return false;
    }
    has_reported_drained_ = false;
    const bool is_debugged = is_watched();
    const bool has_operations = driver_->has_operations();
    TimePoint start = has_waiting() ? driver_->now() : kNever;
    TimePoint time = start;
    const unsigned before = budget_spent_;
    do {
        count_step();
        if (is_debugged) [[unlikely]] {
            run_watched(offered_task(*this, *work).work());
        } else {
            run_offered_now(*work);
        }
        ++budget_spent_;
        if (start != kNever || has_waiting()) {
            time = driver_->now();
            start = std::min(start, time);
        }
        // What has become ready goes first: else the run queue would grow while the tree goes deeper. Messages too: a
        // connection that arrives, a cancellation.
    } while (budget_spent_ < budget_ && ready_.empty() && inbox_.empty() && time - start < kOfferedMost &&
             (work = deque_.pop()) != nullptr);
    if (has_operations) {
        runtime_.offered_time().note((time - start) / (budget_spent_ - before));
    }
    if (budget_spent_ >= budget_ || time - start >= kOfferedMost) {
        look(start != kNever ? time : TimePoint());
    }
    return true;
}

void Worker::run_offered(Work& work) noexcept {
    has_reported_drained_ = false;
    end_rest();
    count_step();
    if (is_watched()) [[unlikely]] {
        run_watched(offered_task(*this, work).work());
    } else {
        run_offered_now(work);
    }
}

void Worker::run_offered_now(Work& work) noexcept {
    TaskCore& task = offered_task(*this, work);
    if (task.begin(*this)) {
        task.leaf().resume();
    }
    after_resume();
}

/// Somebody sleeps or searches, and there is new work.
void Worker::offer_to_idle(std::uint64_t word) noexcept {
    if (!runtime_.settings().steal) {
        return;
    }
    if (Idle::needs_wake(word)) {
        runtime_.wake_one();
    }
    answer_thieves();
    if (deque_.size_hint() > kShareAbove) {
        share(kShareCount);
    }
}

/// A thief has had to wait for this loop's barrier: it had better find the next work without.
void Worker::answer_thieves() noexcept {
    if (has_slow_thief_.load(std::memory_order_relaxed)) [[unlikely]] {  // relaxed: a hint
        has_slow_thief_.store(false, std::memory_order_relaxed);         // relaxed: a hint
        deque_.stay_fenced(kFencedPushes);
        for (std::size_t shared = 0; shared < kSharedMost && deque_.size_hint() > kShareAbove; shared += kShareCount) {
            share(kShareCount);
        }
    }
}

/// Many small tasks are not worth a steal each: loops without work find them by the handful in the injector.
void Worker::share(std::size_t count) noexcept {
    if (runtime_.injector().size_hint() >= kSharedMost) {
        return;
    }
    std::array<Work*, kShareCount> works;
    std::size_t taken = 0;
    while (taken < count) {
        Work* const work = deque_.take_oldest();
        if (work == nullptr) {
            break;
        }
        works[taken++] = work;
    }
    const std::size_t pushed = runtime_.injector().push_bulk(works.data(), taken) ? taken : 0;
    for (std::size_t index = pushed; index < taken; ++index) {
        deque_.push(*works[index]);
    }
}

/// Of much small work only a part is timed: the clock would cost as much as the work.
void Worker::run_taken(Work& work) noexcept {
    UsualTime& usual = runtime_.offered_time();
    if (usual.value() < kSmallOffered && ++taken_ % kTimedOffered != 0) {
        run_offered(work);
        return;
    }
    const TimePoint before = driver_->now();
    run_offered(work);
    usual.note(driver_->now() - before);
}

/// A loop that has been woken for this one's offered work needs some 20 us to come. Work that usually runs for longer
/// is left to it for a while, if there is I/O here that would have to wait for the end of that work: half as long as
/// the work itself takes, so that little is lost if nobody comes; and then not again for some time, since that loop's
/// thread may have no processor.
bool Worker::leaves_offers() noexcept {
    if (Idle::searching(idle_word_->load(std::memory_order_relaxed)) == 0) [[likely]] {  // relaxed: a hint
        left_since_ = kNever;
        return false;
    }
    const Duration usual = runtime_.offered_time().value();
    if (usual < kLongOffered || !driver_->has_operations() || is_draining_ || !runtime_.settings().steal) {
        left_since_ = kNever;
        return false;
    }
    const TimePoint time = driver_->now();
    if (time < leaves_again_) {
        return false;
    }
    const std::size_t count = deque_.size_hint();
    if (left_since_ == kNever || count < left_count_) {
        left_since_ = time;  // it begins, or somebody has come
    }
    left_count_ = count;
    if (time - left_since_ < std::min(usual / 2, kLeftMost)) {
        driver_->poll();
        return true;
    }
    left_since_ = kNever;
    leaves_again_ = time + kLeftAgain;
    return false;
}

/// Nothing is left of it here.
void Worker::rest_offered() noexcept {
    deque_.quiesce();
    oldest_due_ = kNever;
}

/// Nothing is left that they could have asked for.
void Worker::forget_thieves() noexcept {
    if (has_slow_thief_.load(std::memory_order_relaxed)) [[unlikely]] {  // relaxed: a hint
        has_slow_thief_.store(false, std::memory_order_relaxed);         // relaxed: a hint
    }
}

/// A steal takes long where the victim does without fences, and holds it up. So that one is told, and for as long as
/// the steal lasts it is seen that somebody searches: each offer() looks what there is to answer.
Work* Worker::steal_from(Worker& victim) noexcept {
    const bool is_slow = victim.is_unfenced();  // a hint here, so without the fence that its answer else needs
    const bool shows = is_slow && !is_searching_;
    if (is_slow) {
        victim.has_slow_thief_.store(true, std::memory_order_relaxed);  // relaxed: a hint
    }
    if (shows) {
        runtime_.idle().begin_search();
        is_searching_ = true;
    }
    Work* const work = victim.steal();
    if (shows) {
        stop_searching();
    }
    return work;
}

}  // namespace knit::detail
