/// ThreadPoolExecutor: a pool of threads of one's own, for Loop::run_in_executor().
#pragma once

#include <functional>
#include <memory>

namespace knit {

namespace detail {
class BlockingPool;
}

/// At most `threads` threads, made as they are needed. Used by any loops, of any runtimes; may outlive them: what a job
/// gives to a loop that has closed is dropped.
class ThreadPoolExecutor {
public:
    /// ValueError for 0.
    explicit ThreadPoolExecutor(unsigned threads);
    ThreadPoolExecutor(const ThreadPoolExecutor&) = delete;
    ThreadPoolExecutor& operator=(const ThreadPoolExecutor&) = delete;
    /// As shutdown().
    ~ThreadPoolExecutor();

    /// Takes no more jobs (run_in_executor() then throws RuntimeError "cannot schedule new futures after shutdown") and
    /// blocks the calling thread until those that it has are done. Idempotent. Any thread but the pool's own; on a
    /// loop, only where no job waits for that loop.
    void shutdown();

    /// knit's own use: runs `job`, which must not throw; `has_queued`: no thread was free for it.
    void submit(std::function<void(bool has_queued)> job);

private:
    std::unique_ptr<detail::BlockingPool> pool_;
};

}  // namespace knit
