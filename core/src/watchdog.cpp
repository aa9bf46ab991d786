#include "watchdog.hpp"

#include <algorithm>

#include "dump_signal.hpp"
#include "knit/dump.hpp"
#include "knit/log.hpp"
#include "platform.hpp"
#include "probe.hpp"
#include "runtime_core.hpp"
#include "task_snapshot.hpp"

namespace knit::detail {
namespace {

constexpr int kLooksPerThreshold = 4;
// A step that has been seen so often is no mere hiccup of this thread or of the whole process.
constexpr unsigned kLooksMin = 3;
constexpr std::chrono::milliseconds kPauseMin{1};
constexpr std::chrono::seconds kRest{1};  // all at rest for so long: doze
constexpr std::chrono::seconds kDoze{1};
constexpr std::chrono::milliseconds kAnswer{250};

long milliseconds(Duration time) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

}  // namespace

Watchdog::Watchdog(RuntimeCore& runtime) : runtime_(runtime), sights_(runtime.size()) {
    enlist_runtime(runtime);
    is_listed_ = true;
}

Watchdog::~Watchdog() { stop(); }

void Watchdog::start() {
    const Settings& settings = runtime_.settings();
    if (settings.slow_task <= Duration::zero() && settings.dump_signal == 0) {
        return;
    }
    bell_ = take_bell();
    install_probe();
    has_started_ = true;
    thread_ = std::thread([this] { run(); });
    if (settings.dump_signal != 0) {
        watch_dump_signal(settings.dump_signal, *bell_);
    }
}

void Watchdog::stop() noexcept {
    if (is_listed_) {
        is_listed_ = false;
        delist_runtime(runtime_);
    }
    if (!has_started_) {
        return;
    }
    has_started_ = false;
    if (runtime_.settings().dump_signal != 0) {
        unwatch_dump_signal(runtime_.settings().dump_signal, *bell_);
    }
    is_stopping_.store(true, std::memory_order_release);  // [watch.stop]
    bell_->ring();
    if (thread_.joinable()) {
        thread_.join();
    }
    remove_probe();
    give_back_bell(*bell_);
}

void Watchdog::end_doze() noexcept {
    if (is_dozing_.load(std::memory_order_relaxed) &&           // [watch.doze]
        is_dozing_.exchange(false, std::memory_order_acq_rel)) {  // [watch.doze]
        bell_->ring();
    }
}

void Watchdog::run() {
    name_thread("knit-watchdog");
    while (!is_stopping_.load(std::memory_order_acquire)) {  // [watch.stop]
        const bool are_all_resting = look(std::chrono::steady_clock::now());
        bell_->wait(next_pause(are_all_resting));
        is_dozing_.store(false, std::memory_order_release);  // [watch.doze]
        if (take_dump_request()) {
            write_to_stderr(dump_tasks());
        }
    }
}

/// Whether all loops are at rest.
bool Watchdog::look(TimePoint now) {
    bool are_all_resting = true;
    for (std::size_t index = 0; index < runtime_.size(); ++index) {
        Worker& worker = runtime_.worker(index);
        look_at(worker, sights_[index], now);
        are_all_resting = are_all_resting && sights_[index].is_resting;
    }
    return are_all_resting;
}

void Watchdog::look_at(Worker& worker, Sight& sight, TimePoint now) {
    const std::uint64_t steps = worker.steps();
    const bool is_resting = worker.is_resting();
    if (!is_resting) {
        worker.set_coarse_time(now);
    }
    if (!is_resting && !sight.is_resting && steps == sight.steps) {
        ++sight.looks;
        if (sight.looks >= kLooksMin && !sight.is_reported && runtime_.settings().slow_task > Duration::zero() &&
            now - sight.since >= runtime_.settings().slow_task) {
            report(worker, sight, now);
        }
        return;
    }
    const std::lock_guard lock(mutex_);
    sight = {steps, now, cpu_time(worker.cpu_clock()), 0, is_resting, false};
}

void Watchdog::report(Worker& worker, Sight& sight, TimePoint now) {
    sight.is_reported = true;
    std::string text = "loop " + std::to_string(worker.id()) + " has been blocked for " +
                       std::to_string(milliseconds(now - sight.since)) + " ms (" +
                       std::to_string(milliseconds(cpu_time(worker.cpu_clock()) - sight.cpu_before)) +
                       " ms of processor time) by ";
    Observed seen;
    if (probe(worker, kAnswer, seen)) {
        if (seen.steps != sight.steps) {
            return;  // it has just come to its end
        }
        text += name_of(seen) + stack_of(seen);
    } else if (worker.steps() != sight.steps || worker.is_resting()) {
        return;
    } else {
        text += "something unknown: its thread blocks SIGURG, or something else has taken that over";
    }
    log(LogLevel::warning, std::move(text));
}

Duration Watchdog::next_pause(bool are_all_resting) {
    const Duration threshold = runtime_.settings().slow_task;
    if (threshold <= Duration::zero()) {
        return std::chrono::hours(1);  // here for the dumps alone
    }
    const Duration pause = std::max<Duration>(threshold / kLooksPerThreshold, kPauseMin);
    rests_ = are_all_resting ? rests_ + 1 : 0;
    if (pause * rests_ < kRest) {
        return pause;
    }
    is_dozing_.store(true, std::memory_order_seq_cst);  // [watch.doze]
    for (std::size_t index = 0; index < runtime_.size(); ++index) {
        if (!runtime_.worker(index).is_resting()) {
            return pause;
        }
    }
    return std::max<Duration>(pause, kDoze);
}

Duration Watchdog::busy_for(const Worker& worker) const {
    const std::lock_guard lock(mutex_);
    const Sight& sight = sights_[worker.id()];
    const bool is_known = !sight.is_resting && sight.steps == worker.steps();
    return is_known ? std::chrono::steady_clock::now() - sight.since : Duration::zero();
}

std::string describe_step(const Worker& worker) {
    Worker& loop = const_cast<Worker&>(worker);
    const Duration busy_for = loop.runtime().watchdog().busy_for(worker);
    std::string text = "busy";
    Observed seen;
    if (probe(worker, kAnswer, seen)) {
        text += " with " + name_of(seen);
        if (busy_for > Duration::zero()) {
            text += " for " + std::to_string(milliseconds(busy_for)) + " ms";
        }
        return text + stack_of(seen);
    }
    return busy_for > Duration::zero() ? text + " for " + std::to_string(milliseconds(busy_for)) + " ms" : text;
}

void RuntimeCore::end_doze() noexcept {
    if (watchdog_ != nullptr) {
        watchdog_->end_doze();
    }
}

}  // namespace knit::detail
