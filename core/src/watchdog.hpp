/// Watchdog: a thread of a runtime that sees when a task holds its loop for too long, and says which while it does; it
/// also writes the dump that a signal asks for.
///
/// It looks at each loop four times in `slow_task`. A loop whose count of steps stands still that long, and that does
/// not wait for work, is blocked; its thread is asked by a signal what it does. Once all loops have been at rest for a
/// while it looks once a second, until a loop begins something, which wakes it.
///
///   [watch.doze]  the watchdog: is_dozing, then the loops' rest  <->  a loop: its rest, then is_dozing; relaxed at the
///                 loop: when both miss each other, the watchdog looks a second later
///   [watch.stop]  stop: release  ->  the thread: acquire
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "knit/detail/worker.hpp"

namespace knit::detail {

class RuntimeCore;
struct Bell;

class Watchdog {
public:
    explicit Watchdog(RuntimeCore& runtime);
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog();

    /// Starts the thread, where the settings ask for anything that it does.
    void start();
    /// Nobody looks at the runtime any more. Before its loops end.
    void stop() noexcept;
    /// A loop that had been at rest begins something.
    void end_doze() noexcept;
    /// For how long the loop has been at its present step, as far as is known. Any thread.
    Duration busy_for(const Worker& worker) const;

private:
    /// What was seen of one loop.
    struct Sight {
        std::uint64_t steps = 0;
        TimePoint since{};      ///< when this step was first seen
        Duration cpu_before{};  ///< of its thread, then
        unsigned looks = 0;     ///< how often it has been seen again
        bool is_resting = true;
        bool is_reported = false;
    };

    void run();
    bool look(TimePoint now);
    void look_at(Worker& worker, Sight& sight, TimePoint now);
    void report(Worker& worker, Sight& sight, TimePoint now);
    Duration next_pause(bool are_all_resting);

    RuntimeCore& runtime_;
    Bell* bell_ = nullptr;
    mutable std::mutex mutex_;  ///< guards `sights_`
    std::vector<Sight> sights_;
    unsigned rests_ = 0;  ///< looks in a row that found all loops at rest
    std::thread thread_;
    bool has_started_ = false;
    bool is_listed_ = false;
    Atomic<bool> is_dozing_{false};    ///< the thread sets it, loops clear it [watch.doze]
    Atomic<bool> is_stopping_{false};  ///< stop() sets it, the thread reads it [watch.stop]
};

/// "busy with <Task ...> for 120 ms", of a loop that does not answer. Any thread but its own.
std::string describe_step(const Worker& worker);

}  // namespace knit::detail
