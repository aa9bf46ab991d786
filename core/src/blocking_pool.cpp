#include "blocking_pool.hpp"

#include <system_error>

#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {

void BlockingPool::submit(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    if (is_shut_down_) {
        throw RuntimeError("Executor shutdown has been called");
    }
    jobs_.push_back(std::move(job));
    if (idle_count_ >= jobs_.size()) {
        has_work_.notify_one();
        return;
    }
    if (threads_.size() < threads_max_) {
        try {
            threads_.emplace_back([this] { run(); });
        } catch (const std::system_error&) {
            if (threads_.empty()) {
                jobs_.pop_back();
                throw;
            }
            // The threads that there are will come to it.
        }
    }
    has_work_.notify_one();
}

void BlockingPool::run() {
    name_thread("knit-blocking");
    static_cast<void>(pin_thread(cpus_));  // a refusal costs nothing but the freedom that the maker had not either
    std::unique_lock lock(mutex_);
    for (;;) {
        if (!jobs_.empty()) {
            const std::function<void()> job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
            lock.lock();
        } else if (is_shut_down_) {
            return;
        } else {
            ++idle_count_;
            has_work_.wait(lock);
            --idle_count_;
        }
    }
}

bool BlockingPool::has_threads() {
    const std::lock_guard lock(mutex_);
    return !threads_.empty();
}

void BlockingPool::shutdown() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        is_shut_down_ = true;
        threads.swap(threads_);
    }
    has_work_.notify_all();
    for (std::thread& thread : threads) {
        thread.join();
    }
}

}  // namespace knit::detail
