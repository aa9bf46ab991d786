/// BlockingPool: the threads behind to_thread() and run_in_executor(). Made when they are needed, joined at the end.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "knit/metrics.hpp"

namespace knit::detail {

class BlockingPool {
public:
    /// `has_queued`: no thread was free when it was submitted, so that nobody may take it for begun.
    using Job = std::function<void(bool has_queued)>;
    /// What a pool is called in a debugger, and what it says after its end.
    struct Texts {
        std::string thread_name = "knit-blocking";
        std::string refusal = "Executor shutdown has been called";
    };

    /// `cpus`: where its threads may run, whoever makes them; empty: as their maker.
    BlockingPool(unsigned threads_max, std::vector<unsigned> cpus) : BlockingPool(threads_max, std::move(cpus), {}) {}
    BlockingPool(unsigned threads_max, std::vector<unsigned> cpus, Texts texts)
        : threads_max_(threads_max), cpus_(std::move(cpus)), texts_(std::move(texts)) {
        on_end_.reserve(8);  // the end of a run has no memory to ask for, and some may have stopped waiting before it
    }
    ~BlockingPool() { shutdown(); }
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// Runs `job`, which must not throw, on a thread of the pool; in the order of submission where threads are short.
    /// RuntimeError with the refusal after refuse() or shutdown(). Any thread.
    void submit(Job job);
    /// Takes no more jobs. Those that it has are done, then its threads end; the last of them calls `on_end`, which
    /// must not throw. False, and it is not called, when no thread is left. Any thread.
    [[nodiscard]] bool refuse(std::function<void()> on_end);
    /// Takes no more jobs, and waits for every one that it has. Idempotent; not from a job.
    void shutdown();
    /// Whether a job has ever been submitted. Any thread.
    bool has_threads();
    /// Any thread.
    BlockingMetrics metrics();

private:
    struct Entry {
        Job job;
        bool has_queued;
    };

    void run();
    void end_thread() noexcept;

    const std::size_t threads_max_;
    const std::vector<unsigned> cpus_;
    const Texts texts_;
    std::mutex mutex_;
    std::mutex joining_;  ///< held for all of shutdown(); before mutex_
    std::condition_variable has_work_;
    std::deque<Entry> jobs_;
    std::vector<std::thread> threads_;
    std::vector<std::function<void()>> on_end_;
    std::size_t live_count_ = 0;  ///< threads that have not run out of work after the end
    std::size_t idle_count_ = 0;
    std::uint64_t begun_count_ = 0;
    bool is_shut_down_ = false;
};

}  // namespace knit::detail
