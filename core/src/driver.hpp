/// The seam between a loop and the outside: core schedules, a Driver waits. io implements it on io_uring; the tests
/// implement it on a virtual clock, so that the scheduler runs without a kernel.
#pragma once

#include <cstddef>
#include <memory>

#include "knit/detail/base.hpp"
#include "knit/start_up_report.hpp"
#include "knit/detail/counters.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class RuntimeCore;
class Worker;
struct Settings;

class Driver {
public:
    virtual ~Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    /// The loop's clock. Owner thread.
    virtual TimePoint now() noexcept = 0;

    /// Submits what is queued and collects what has completed; never waits. Completions make their tasks ready
    /// (Worker::make_ready), they are never resumed from here. Owner thread.
    virtual void poll() noexcept = 0;

    /// As poll(), then waits until something completes, wake() is called, or the clock reaches `deadline`
    /// (kNever: no limit). May return early. Owner thread.
    virtual void park(TimePoint deadline) noexcept = 0;

    /// Makes a park() under way, or else the next one, return soon. Any thread; idempotent; carries no data.
    virtual void wake() noexcept = 0;

    /// Ends what the driver itself has in flight and gives back its descriptors. Owner thread, once, the last call
    /// but the destructor; no task has an operation in flight then.
    virtual void close() noexcept = 0;

    /// How many operations of tasks are in flight. Owner thread.
    virtual std::size_t in_flight() const noexcept = 0;

    /// This process is a forked child: what the driver shares with the parent is the parent's alone. Whatever is asked
    /// of the driver from now on calls die_if_fork_child().
    virtual void leave_to_parent() noexcept {}

    /// For the start-up report. Owner thread.
    virtual DriverReport report() const { return {"simulation", "it was linked in place of knit's I/O", 0, {}, {}}; }

    /// A driver that turns all loops of its runtime on one thread, on a virtual clock: the loops get no threads then,
    /// and loop 0's driver runs them until loop 0 is stopped.
    virtual bool is_simulation() const noexcept { return false; }
    /// Whether loops run at the same time, so that barriers between them are for something.
    virtual bool has_threads() const noexcept { return !is_simulation(); }
    virtual void simulate(RuntimeCore&) {}

    /// Whether poll() has something to submit or to collect: plain loads, no system call, asked every turn.
    bool wants_poll() const noexcept {
        return queued_ != 0 || (__atomic_load_n(flags_, __ATOMIC_RELAXED) & flags_mask_) != 0 ||
               __atomic_load_n(tail_, __ATOMIC_RELAXED) != collected_;
    }

    /// Whether an operation of a task is in flight. Owner thread; plain loads.
    bool has_operations() const noexcept { return counters_.submitted.value() != counters_.ended.value(); }

    /// What it has counted. Any thread.
    const DriverCounters& counters() const noexcept { return counters_; }
    /// An operation of a task begins, or has completed for the last time. Owner thread.
    void count_submitted() noexcept { counters_.submitted.add(); }
    void count_ended() noexcept { counters_.ended.add(); }

protected:
    Driver() = default;

    /// A system call that submits or waits. Owner thread.
    void count_enter(bool has_overflown = false) noexcept {
        counters_.enters.add();
        if (has_overflown) [[unlikely]] {
            counters_.overflows.add();
        }
    }

    unsigned queued_ = 0;                ///< prepared, not yet submitted
    unsigned flags_mask_ = 0;            ///< bits of *flags_ that say "come and collect"
    unsigned collected_ = 0;             ///< completions taken so far, to hold against *tail_
    const unsigned* flags_ = &nothing_;  ///< written by the kernel
    const unsigned* tail_ = &nothing_;   ///< written by the kernel
    static constexpr unsigned nothing_ = 0;

private:
    DriverCounters counters_;  ///< the owner writes, any thread reads
};

/// Makes the driver of one loop, on that loop's thread. Throws std::system_error with the cause and the cure. Defined
/// in io/src/driver.cpp, and for the tests in tests/support/fake_driver.cpp: core leaves the symbol open.
std::unique_ptr<Driver> make_driver(Worker& worker, const Settings& settings);
}  // namespace knit::detail
