#include "blocking_pool.hpp"

#include <exception>

#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {

void BlockingPool::submit(Job job) {
    const std::lock_guard lock(mutex_);
    if (is_shut_down_) {
        throw RuntimeError(texts_.refusal);
    }
    jobs_.push_back({std::move(job), false});
    if (idle_count_ >= jobs_.size()) {
        has_work_.notify_one();
        return;
    }
    if (threads_.size() < threads_max_) {
        ++live_count_;
        try {
            threads_.emplace_back([this] { run(); });
        } catch (const std::exception&) {  // no thread, or no memory
            --live_count_;
            if (threads_.empty()) {
                jobs_.pop_back();
                throw;
            }
            jobs_.back().has_queued = true;  // the threads that there are will come to it
        }
    } else {
        jobs_.back().has_queued = true;
    }
    has_work_.notify_one();
}

void BlockingPool::run() {
    name_thread(texts_.thread_name.c_str());
    static_cast<void>(pin_thread(cpus_));  // a refusal costs nothing but the freedom that the maker had not either
    std::unique_lock lock(mutex_);
    for (;;) {
        if (!jobs_.empty()) {
            Entry entry = std::move(jobs_.front());
            jobs_.pop_front();
            ++begun_count_;
            lock.unlock();
            entry.job(entry.has_queued);
            entry.job = nullptr;  // what it holds may be the user's, whose destructor must not find the mutex held
            lock.lock();
        } else if (is_shut_down_) {
            lock.unlock();
            end_thread();
            return;
        } else {
            ++idle_count_;
            has_work_.wait(lock);
            --idle_count_;
        }
    }
}

/// The thread's last act; the last of them tells those who wait for the end.
void BlockingPool::end_thread() noexcept {
    std::vector<std::function<void()>> on_end;
    {
        const std::lock_guard lock(mutex_);
        if (--live_count_ == 0) {
            on_end.swap(on_end_);
        }
    }
    for (const std::function<void()>& tell : on_end) {
        tell();
    }
}

bool BlockingPool::has_threads() {
    const std::lock_guard lock(mutex_);
    return !threads_.empty();
}

BlockingMetrics BlockingPool::metrics() {
    const std::lock_guard lock(mutex_);
    return {live_count_, idle_count_, jobs_.size(), begun_count_};
}

bool BlockingPool::refuse(std::function<void()> on_end) {
    {
        const std::lock_guard lock(mutex_);
        is_shut_down_ = true;
        if (live_count_ == 0) {
            return false;
        }
        on_end_.push_back(std::move(on_end));
    }
    has_work_.notify_all();
    return true;
}

void BlockingPool::shutdown() {
    const std::lock_guard joining(joining_);  // who comes second waits as well
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
