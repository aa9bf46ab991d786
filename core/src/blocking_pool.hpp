/// BlockingPool: the threads behind to_thread(). Made when they are needed, joined at the end.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace knit::detail {

class BlockingPool {
public:
    /// `cpus`: where its threads may run, whoever makes them; empty: as their maker.
    BlockingPool(unsigned threads_max, std::vector<unsigned> cpus)
        : threads_max_(threads_max), cpus_(std::move(cpus)) {}
    ~BlockingPool() { shutdown(); }
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// Runs `job`, which must not throw, on a thread of the pool; in the order of submission where threads are short.
    /// RuntimeError "Executor shutdown has been called" after shutdown(). Any thread.
    void submit(std::function<void()> job);
    /// Waits for every job. Idempotent; not from a job.
    void shutdown();
    /// Whether a job has ever been submitted. Any thread.
    bool has_threads();

private:
    void run();

    const std::size_t threads_max_;
    const std::vector<unsigned> cpus_;
    std::mutex mutex_;
    std::condition_variable has_work_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::thread> threads_;
    std::size_t idle_count_ = 0;
    bool is_shut_down_ = false;
};

}  // namespace knit::detail
