// Moving connections that have begun. A loop gives one away when all of this holds:
//   at least two of its tasks have called rebalance() in the last window: the only busy one would take the load along
//   the loop was busy at least half of the window, and another less than half as much as this one
//   neither gave nor took one in this window, so that each move shows in the figures before the next is thought of
// A loop that gives soon after it was given something is in a circle; its next turn comes twice as late each time.
#include "knit/io/rebalance.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <utility>

#include "connection.hpp"
#include "knit/detail/worker.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/runtime.hpp"
#include "loop_load.hpp"

namespace knit::detail {
namespace {

constexpr std::chrono::milliseconds kWindow{20};
constexpr std::chrono::seconds kPauseMost{10};
// "Soon": within so many pauses.
constexpr int kCircle = 16;
constexpr unsigned kBusyLeast = 500;  // in thousandths of the window
constexpr unsigned kMargin = 100;
constexpr unsigned kTasksLeast = 2;

/// How long the thread of `worker` has run, or could have if there had been a processor for it: the latter is what the
/// processor time does not tell on a machine with more to do than it can.
Duration runnable_time(const Worker& worker) noexcept {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "/proc/self/task/%d/schedstat", worker.thread_id());
    const Fd file(open(text.data(), O_RDONLY | O_CLOEXEC));
    const ssize_t size = file ? read(file.get(), text.data(), text.size() - 1) : -1;
    if (size > 0) {
        text[static_cast<std::size_t>(size)] = '\0';
        char* rest = nullptr;
        const auto run = static_cast<std::int64_t>(std::strtoull(text.data(), &rest, 10));
        return Duration(run + static_cast<std::int64_t>(std::strtoull(rest, nullptr, 10)));
    }
    timespec time{};  // no /proc, or no descriptor for it
    if (clock_gettime(worker.cpu_clock(), &time) != 0) {
        return {};
    }
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

unsigned LoopLoad::busy_permille(const Worker& worker, TimePoint now) noexcept {
    const std::lock_guard lock(sample_mutex_);
    const Duration passed = now - sampled_at_;
    if (passed >= kWindow) {
        const Duration used = runnable_time(worker);
        const Duration share = std::clamp<Duration>((used - sampled_run_) * 1000, Duration::zero(), passed * 1000);
        busy_permille_ = sampled_at_ == TimePoint() ? 0 : static_cast<unsigned>(share / passed);
        sampled_at_ = now;
        sampled_run_ = used;
    }
    return busy_permille_;
}

bool LoopLoad::may_look(const Worker& worker, const TaskCore* task) noexcept {
    if (task != last_task_) {
        last_task_ = task;
        ++task_changes_;
    }
    // The coarse time stands still while a loop that nobody watches is never at rest, hence the count.
    if (worker.coarse_ms() == looked_ms_ && ++calls_ < kCallsPerLook) [[likely]] {
        return false;
    }
    looked_ms_ = worker.coarse_ms();
    calls_ = 0;
    return true;
}

bool LoopLoad::may_give(TimePoint now) noexcept {
    if (now < next_look_) {
        return false;
    }
    next_look_ = now + kWindow;
    const bool has_company = std::exchange(task_changes_, 0U) >= kTasksLeast;
    last_task_ = nullptr;
    return has_company && now >= next_give_ && now - taken_at() >= kWindow;
}

void LoopLoad::count_give(TimePoint now) noexcept {
    pause_ = now - taken_at() < kCircle * pause_ ? std::min<Duration>(2 * pause_, kPauseMost) : kWindow;
    next_give_ = now + pause_;
}

bool LoopLoad::claim_take(TimePoint now) noexcept {
    std::int64_t before = taken_at_.load(std::memory_order_relaxed);  // relaxed: a time alone
    return now - TimePoint(Duration(before)) >= kWindow &&
           taken_at_.compare_exchange_strong(before, now.time_since_epoch().count(),
                                             std::memory_order_relaxed);  // relaxed: a time alone
}

namespace {

/// The least busy of the other loops, if it is much less so than `here`.
Worker* find_taker(Worker& here, TimePoint now) noexcept {
    Runtime& runtime = here.loop().runtime();
    if (runtime.size() == 1) {
        return nullptr;
    }
    const unsigned busy = load_of(here).busy_permille(here, now);
    if (busy < kBusyLeast) {
        return nullptr;
    }
    Worker* best = nullptr;
    unsigned least = busy;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        Worker& other = runtime.loop(index).worker();
        const unsigned other_busy = load_of(other).busy_permille(other, now);
        if (&other != &here && other_busy < least) {
            best = &other;
            least = other_busy;
        }
    }
    return best != nullptr && 2 * (least + kMargin) <= busy ? best : nullptr;
}

}  // namespace

/// Moves a connection's accounts.
struct Rehome {
    /// False: it is being ended and stays. A task that is no connection has no accounts.
    static bool move(const TaskCore& task, Worker& from, Worker& to) noexcept {
        LoopLoad& old_load = load_of(from);
        LoopLoad& new_load = load_of(to);
        const std::scoped_lock lock(old_load.mutex, new_load.mutex);
        Connection* connection = old_load.first;
        while (connection != nullptr && connection->task_.ref().get() != &task) {
            connection = connection->next_;
        }
        if (connection == nullptr) {
            return true;
        }
        // Whoever ends all connections goes from list to list, and must not miss one that moves meanwhile.
        if (connection->is_outdated()) {
            return false;
        }
        connection->move_to(to);
        return true;
    }
};

bool Rebalance::await_ready() noexcept {
    Worker* const here = Worker::current();
    return here == nullptr || !load_of(*here).may_look(*here, here->current_task());
}

Worker* Rebalance::choose(TaskCore& task) noexcept {
    Worker& here = *task.home();
    LoopLoad& load = load_of(here);
    const TimePoint now = here.now();
    if (!load.may_give(now)) {
        return nullptr;
    }
    Worker* const taker = find_taker(here, now);
    if (taker == nullptr || !load_of(*taker).claim_take(now) || !Rehome::move(task, here, *taker)) {
        return nullptr;
    }
    load.count_give(now);
    return taker;
}

}  // namespace knit::detail
