/// How a loop without work looks for some, sleeps, and is woken. The protocol is at the head of idle.hpp and
/// worker.hpp.

#include "idle.hpp"

#include "driver.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

// The clock is read every so many rounds of a spin.
constexpr unsigned kRoundsPerClock = 16;
// After so many spins in vain only every kSpinRetry-th sleep is preceded by one.
constexpr unsigned kSpinMisses = 4;
constexpr unsigned kSpinRetry = 16;
// What Linux adds to the waits of a thread by default (prctl PR_SET_TIMERSLACK), though not to a ring's: timers that
// are due so close to each other cost one wake.
constexpr std::chrono::microseconds kTimerSlack{50};
// Counting the bytes of a frame pool takes some 50 ns.
constexpr std::chrono::milliseconds kPoolEvery{1};

}  // namespace

void Worker::wait_for_work() noexcept {
    rest_offered();
    forget_thieves();
    counters_.offers.set(offers_);
    if (Work* work = find_elsewhere()) {
        stop_searching();
        run_taken(*work);
        return;
    }
    report_drained();
    if (is_stopping_ || spin()) {
        return;
    }
    sleep();
}

bool Worker::step() noexcept {
    set_coarse_time(driver_->now());
    const bool has_worked = turn();
    counters_.offers.set(offers_);
    if (has_worked) {
        return true;
    }
    rest_offered();
    if (Work* work = find_elsewhere()) {
        run_offered(*work);
        return true;
    }
    report_drained();
    return false;
}

/// While the run is ending, a loop that has nothing to do says so once; loop 0 decides how it goes on.
void Worker::report_drained() noexcept {
    if (!is_draining_) {
        return;
    }
    if (id_ == 0) {
        runtime_.go_on_draining();
    } else if (!has_reported_drained_) {
        has_reported_drained_ = true;
        runtime_.report_drained();
    }
}

/// True when there is something to do.
bool Worker::spin() noexcept {
    const Duration limit = runtime_.settings().spin;
    const std::size_t loops = runtime_.size();
    const std::uint64_t word = runtime_.idle().load();
    if (limit <= Duration::zero() || loops < 2 || Idle::sleeping(word) + 1 >= loops) {
        return false;  // nobody is awake who could make work
    }
    if (spin_misses_ >= kSpinMisses && spin_misses_++ % kSpinRetry != 0) {
        return false;
    }
    if (!is_searching_) {
        if ((Idle::searching(word) + 1) * 2 > loops) {
            return false;
        }
        runtime_.idle().begin_search();
        is_searching_ = true;
    }
    const TimePoint end = std::min(after(driver_->now(), limit), timers_.next());
    for (unsigned round = 1;; ++round) {
        Work* const work = find_elsewhere();
        if (work != nullptr || has_own_work()) {
            spin_misses_ = 0;
            stop_searching();
            if (work != nullptr) {
                run_taken(*work);
            }
            return true;
        }
        if (round % kRoundsPerClock == 0 && driver_->now() >= end) {
            break;
        }
        cpu_relax();
    }
    ++spin_misses_;
    return timers_.next() <= end;
}

void Worker::sleep() noexcept {
    Idle& idle = runtime_.idle();
    sleep_.exchange(parked, std::memory_order_seq_cst);  // [worker.sleep]
    idle.announce_sleep(is_searching_);                  // [idle.word]
    is_searching_ = false;
    runtime_.fence_against_offers();
    const bool sees_work = runtime_.has_stealable();
    if (!sees_work && !has_own_work()) {
        park();
    }
    const std::uint32_t found = sleep_.exchange(awake, std::memory_order_seq_cst);  // [worker.sleep]
    if (found == parked) {
        idle.end_sleep(sees_work);
    } else {
        ++claims_;
        counters_.wakes_received.add();
    }
    if (found == notified && sees_work) {
        idle.begin_search();  // nobody else may be going for it: the last searcher relied on the look above
    }
    is_searching_ = found == searching || sees_work;
    if (is_searching_) {
        // Woken to search, so search first: else what the wake was for could wait behind this loop's own work.
        if (Work* work = find_elsewhere()) {
            stop_searching();
            run_taken(*work);
        }
    }
}

/// In the kernel. The clock is read here, and not where tasks run.
void Worker::park() noexcept {
    const TimePoint before = driver_->now();
    look_at_pool(before);
    counters_.parks.add();
    counters_.busy.end(before);
    driver_->park(timers_.wake_time(kTimerSlack));
    const TimePoint after = driver_->now();
    counters_.busy.begin(after);
    set_coarse_time(after);
    is_time_known_ = true;
}

void Worker::look_at_pool(TimePoint time) noexcept {
    if (time - pool_seen_ >= kPoolEvery) {
        pool_seen_ = time;
        counters_.frame_pool_bytes.set(pool_.free_bytes());
    }
}

void Worker::count_wake_sent() noexcept {
    if (Worker* const sender = current()) {
        sender->counters_.wakes_sent.add();
    }
}

/// The loop has found something to do: the last searcher passes the wake on when there is more.
void Worker::stop_searching() noexcept {
    if (is_searching_) {
        is_searching_ = false;
        if (runtime_.idle().end_search() && runtime_.leaves_work_to_sleepers()) {
            runtime_.wake_one();
        }
    }
}

bool Worker::has_own_work() const noexcept {
    return !ready_.empty() || !inbox_.empty() || driver_->wants_poll() || has_offered();
}

bool Worker::claim_sleeper() noexcept {
    std::uint32_t expected = parked;
    if (sleep_.load(std::memory_order_seq_cst) != parked ||                                 // [worker.sleep]
        !sleep_.compare_exchange_strong(expected, searching, std::memory_order_seq_cst)) {  // [worker.sleep]
        return false;
    }
    runtime_.idle().end_sleep(false);
    count_wake_sent();
    driver_->wake();
    wakes_done_.fetch_add(1, std::memory_order_release);  // [worker.wakes]
    return true;
}

Work* Worker::find_elsewhere() noexcept {
    if (Work* work = runtime_.injector().pop()) {
        counters_.shared_taken.add();
        return work;
    }
    const std::size_t loops = runtime_.size();
    if (loops < 2 || !runtime_.settings().steal) {
        return nullptr;
    }
    random_ = random_ * 1664525 + 1013904223;
    for (std::size_t step = 0; step < loops; ++step) {
        Worker& victim = runtime_.worker((random_ / 65536 + step) % loops);
        if (&victim != this && victim.has_stealable()) {
            if (Work* work = steal_from(victim)) {
                steals_[victim.id()].add();
                return work;
            }
        }
    }
    return nullptr;
}

}  // namespace knit::detail
