#include "knit/detail/worker.hpp"

#include <utility>

#include "driver.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

// How far the stack may grow by transfers that are no tail calls before control goes back to the loop.
constexpr std::uintptr_t kTransferStack = 32 * 1024;
// Task names count per process; a loop takes its numbers in blocks.
constexpr std::uint64_t kIdBlock = 1024;
Atomic<std::uint64_t> g_next_id{0};  // any thread takes from it; publishes nothing
// After so many looks at the ring the loop looks at the injector too, or when it knows that it is time; at the clock
// with every fourth, and with each while they are far apart.
constexpr unsigned kLooksPerLookAround = 16;
constexpr unsigned kLooksPerClock = 4;
constexpr Duration kLookAroundEvery = std::chrono::milliseconds(1);
// Messages that are let in per turn: a loop that others flood still runs what it has itself, and looks at its ring.
constexpr std::uint64_t kMessagesPerTurn = 1024;
// The oldest offered work is run this often, and what it is of a tree at least this often.
constexpr Duration kOldestEvery = std::chrono::milliseconds(5);
constexpr Duration kOldestMost = std::chrono::milliseconds(100);

}  // namespace

#if defined(__clang__) && __clang_major__ < 17
KNIT_NOINLINE Worker*& current_worker() noexcept {
    static constinit thread_local Worker* worker = nullptr;
    asm volatile("" ::: "memory");
    return worker;
}
#endif

void keep_thread_context() noexcept {
    struct Keeper {
        ~Keeper() {
            // Not the current one any more while its values go.
            if (ContextState* const context = std::exchange(t_context, nullptr)) {
                context->drop_ref();
            }
        }
    };
    static thread_local Keeper keeper;
    static_cast<void>(keeper);
}

Worker::Worker(unsigned id, RuntimeCore& runtime, Loop& loop)
    : is_watched_(runtime.settings().debug),
      budget_(runtime.settings().budget),
      asymmetric_(asymmetric_fences()),
      idle_word_(&runtime.idle().word()),
      random_(id * 7919 + 1),
      runtime_(runtime),
      loop_(loop),
      id_(id),
      runtime_id_(runtime.id()),
      steals_(std::make_unique<Count[]>(runtime.settings().loops)),
      life_(runtime.life()) {
    deque_.set_asymmetric(asymmetric_);
    nudge_.run = &Worker::run_nudge;
}

void Worker::reserve_ids(std::uint64_t made) noexcept {
    id_offset_ = g_next_id.fetch_add(kIdBlock, std::memory_order_relaxed) + 1 - made;  // relaxed: a counter
    id_limit_ = made + kIdBlock - 1;
}

/// Those that were not used, when nobody has taken some since: run() after run() counts on.
void Worker::return_ids() noexcept {
    std::uint64_t expected = id_offset_ + id_limit_;
    const std::uint64_t used = id_offset_ + made();
    if (used != expected) {
        g_next_id.compare_exchange_strong(expected, used, std::memory_order_relaxed);  // relaxed: a counter
    }
}

std::uint64_t take_task_id() noexcept {
    return g_next_id.fetch_add(1, std::memory_order_relaxed) + 1;
}  // relaxed: a counter

void Worker::attach() noexcept {
    previous_ = current_worker();
    thread_id_.store(this_thread_id(), std::memory_order_relaxed);         // relaxed: a number alone
    cpu_clock_.store(this_thread_cpu_clock(), std::memory_order_relaxed);  // relaxed: a number alone
    make_current();
}

void Worker::make_current() noexcept {
    current_worker() = this;
    stack_limit_ = stack_pointer() - kTransferStack;
}

void Worker::detach() noexcept {
    thread_id_.store(0, std::memory_order_relaxed);  // relaxed: a number alone
    current_worker() = std::exchange(previous_, nullptr);
}

TimePoint Worker::now() noexcept { return driver_ != nullptr ? driver_->now() : std::chrono::steady_clock::now(); }

bool Worker::is_owned_here() const noexcept {
    Worker* const here = current();
    return here == this || (here == nullptr && id_ == 0 && life_->is_owner_here() && !life_->is_running());
}

void Worker::run_until_stopped() noexcept {
    stack_limit_ = stack_pointer() - kTransferStack;
    is_stopping_ = false;
    counters_.busy.begin(now());
    counters_.cpu.begin(TimePoint(cpu_time(cpu_clock())));
    end_rest();
    while (!is_stopping_) {
        if (turn()) {
            if (is_searching_) [[unlikely]] {
                stop_searching();
            }
        } else if (!is_stopping_) {
            is_resting_.store(true, std::memory_order_relaxed);  // relaxed: a flag alone
            wait_for_work();
            end_rest();
        }
    }
    is_resting_.store(true, std::memory_order_relaxed);  // relaxed: a flag alone
    counters_.offers.set(offers_);
    counters_.busy.end(now());
    counters_.cpu.end(TimePoint(cpu_time(cpu_clock())));
}

/// Something begins, after the loop had nothing to do.
void Worker::end_rest() noexcept {
    if (is_resting()) {
        if (!std::exchange(is_time_known_, false)) {
            set_coarse_time(now());
        }
        is_resting_.store(false, std::memory_order_relaxed);  // relaxed: a flag alone
        runtime_.end_doze();
    }
}

bool Worker::turn() noexcept {
    counters_.turns.add();
    const bool collected = has_outside_news() && collect();
    if (is_searching_ && (!ready_.empty() || deque_.size_hint() != 0)) [[unlikely]] {
        stop_searching();  // before the work: it may take long, and others sleep because this loop searches
    }
    Work* const batch = ready_.take_all();
    counters_.ready.set(run_batch(batch));
    bool ran_offered = false;
    if (has_offered()) {
        ran_offered = run_deque();
    } else {
        left_since_ = kNever;
    }
    is_idle_ = !collected && batch == nullptr && !ran_offered;
    has_reported_drained_ = has_reported_drained_ && is_idle_;
    return !is_idle_;
}

/// Whether collect() may have something to do. Most turns of a loop that computes end here.
inline bool Worker::has_outside_news() const noexcept {
    return driver_->wants_poll() || !inbox_.empty() || timers_.next() != kNever;
}

/// Completions, messages and due timers go to the run queue, in this order.
bool Worker::collect() noexcept {
    if (driver_->wants_poll()) {
        driver_->poll();
    }
    bool found = false;
    if (!inbox_.empty()) {
        counters_.messages.add(inbox_.take(ready_, kMessagesPerTurn));
        found = true;
    }
    if (timers_.next() != kNever) {
        const TimePoint time = driver_->now();
        set_coarse_time(time);
        while (Timer* timer = timers_.pop_due(time)) {
            ready_.push(*timer);
            counters_.timers_fired.add();
            counters_.timers.set(timers_.size());
            found = true;
        }
    }
    return found;
}

void Worker::answer_messages(Work::Run which) noexcept {
    for (Work* work = inbox_.take_all(); work != nullptr; counters_.messages.add()) {
        Work* const next = work->next;
        if (work->run == which) {
            work->run(*this, *work);
        } else {
            ready_.push(*work);
        }
        work = next;
    }
}

/// Where thousands of tasks take turns, each is out of the caches when its turn comes: so it is fetched while the ones
/// before it run. First its TaskCore, then what that points to.
void Worker::fetch_ahead(Work* next) noexcept {
    if (next == nullptr) {
        return;
    }
    prefetch(next->next);
    prefetch(next->next, kCacheLine - sizeof(Work));
    if (TaskCore::is_task_work(*next)) {
        TaskCore::of(*next).prefetch_frame();
    }
}

std::uint64_t Worker::run_batch(Work* first) noexcept {
    std::uint64_t count = 0;
    for (Work* work = first; work != nullptr; ++count) {
        Work* const next = work->next;
        fetch_ahead(next);
        batch_rest_ = next;
        count_step();
        if (is_watched()) [[unlikely]] {
            run_watched(*work);
        } else {
            work->run(*this, *work);
        }
        if (++budget_spent_ >= budget_) [[unlikely]] {
            look();
        }
        work = next;
    }
    return count;
}

/// In the middle of much work: what would wait for the end of it, must not. What has completed runs in the next turn.
/// `time`: if it is known.
void Worker::look(TimePoint time) noexcept {
    budget_spent_ = 0;
    driver_->poll();
    answer_thieves();
    ++looks_;
    if (time == TimePoint() && looks_ % looks_per_clock_ == 0) {
        time = driver_->now();
    }
    if (looks_ % kLooksPerLookAround == 0 || time - looked_around_ >= kLookAroundEvery) {
        look_around();
        looks_per_clock_ = 1;
    } else if (time != TimePoint()) {
        looks_per_clock_ = std::min(2 * looks_per_clock_, kLooksPerClock);
    }
}

void Worker::look_around() noexcept {
    counters_.offers.set(offers_);
    const TimePoint time = take_shared();
    looked_around_ = time;
    set_coarse_time(time);
    look_at_pool(time);
    if (oldest_due_ == kNever) {
        oldest_after_ = kOldestEvery;
        oldest_due_ = time + oldest_after_;
    } else if (time >= oldest_due_) {
        run_oldest(time);
    }
}

/// A share of what the injector has: as much as is run at a time of the loop's own. Gives the time that it is then.
TimePoint Worker::take_shared() noexcept {
    TimePoint time = driver_->now();
    const TimePoint end = time + kOfferedMost;
    for (unsigned taken = 0; taken < budget_ && time < end; ++taken) {
        Work* const work = runtime_.injector().pop();
        if (work == nullptr) {
            break;
        }
        counters_.shared_taken.add();
        run_offered(*work);
        time = driver_->now();
    }
    return time;
}

/// Nothing waits for ever under newer work. Of a tree of coroutines the oldest is the top, as a rule: its frames then
/// wait beside those of what runs already. So what is begun and does not end puts the next one off for twice as long;
/// what ends makes room for the next at once.
void Worker::run_oldest(TimePoint time) noexcept {
    const TimePoint end = time + kOfferedMost;
    for (bool goes_on = true; goes_on;) {
        Work* const oldest = deque_.take_oldest();
        const bool is_of_tree = oldest != nullptr && oldest->run != &TaskCore::run_ready;
        const std::uint64_t ended_before = ended();
        if (oldest != nullptr) {
            run_offered(*oldest);
        }
        const bool is_begun_alone = is_of_tree && ended() == ended_before;
        oldest_after_ = is_begun_alone ? std::min(2 * oldest_after_, kOldestMost) : kOldestEvery;
        goes_on = is_of_tree && !is_begun_alone && driver_->now() < end;
    }
    oldest_due_ = time + oldest_after_;
}

bool Worker::look_inside_task() noexcept {
    count_step();
    driver_->poll();
    const bool waits = has_waiting();
    bool is_timer_due = false;
    if (++looks_ % kLooksPerLookAround == 0 || waits || inline_.is_timed()) {
        const TimePoint time = driver_->now();
        inline_.renew(time, counters_.turns.value(), waits);
        is_timer_due = timers_.next() <= time;
        is_look_due_ = is_look_due_ || looks_ % kLooksPerLookAround == 0 || time - looked_around_ >= kLookAroundEvery;
    } else {
        inline_.renew();
    }
    return is_look_due_ || is_timer_due || !ready_.empty() || batch_rest_ != nullptr || !inbox_.empty() || is_stopping_;
}

void Worker::set_driver(Driver* driver) noexcept {
    driver_ = driver;
    if (driver != nullptr && !driver->has_threads()) {
        // Whether the kernel has barriers for other threads must not show in the order of what runs.
        asymmetric_ = false;
        deque_.set_asymmetric(false);
    }
}

void Worker::start_eagerly(TaskCore& task) noexcept {
    // The creator may be on the way out of its frame: what its end has left behind waits until that has gone.
    TaskCore* const continued = std::exchange(continued_, nullptr);
    TaskCore* const retired = std::exchange(retired_, nullptr);
    TaskCore* const creator = current_task_;
    ContextState* const callback_context = std::exchange(t_context, nullptr);
    TaskCore::run_ready(*this, task.work());
    if (ContextState* const left = std::exchange(t_context, callback_context)) {
        left->drop_ref();  // made by a destructor that ran outside every task
    }
    current_task_ = creator;
    retired_ = retired;
    continued_ = continued;
}

bool Worker::post(Work& work) noexcept {
    switch (inbox_.push(work)) {  // [worker.sleep]
        case Inbox::Push::closed: return false;
        case Inbox::Push::queued: return true;
        case Inbox::Push::first: break;
    }
    std::uint32_t expected = parked;
    if (sleep_.load(std::memory_order_seq_cst) == parked &&                               // [worker.sleep]
        sleep_.compare_exchange_strong(expected, notified, std::memory_order_seq_cst)) {  // [worker.sleep]
        runtime_.idle().end_sleep(false);
        count_wake_sent();
        driver_->wake();
        wakes_done_.fetch_add(1, std::memory_order_release);  // [worker.wakes] the last touch
    }
    return true;
}

}  // namespace knit::detail
