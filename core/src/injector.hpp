/// Injector: unstarted tasks that belong to no loop's deque, from threads that are no loops and from deques that grew
/// long. The only file that knows moodycamel's queue.
#pragma once

#include <cstddef>

#include <concurrentqueue/concurrentqueue.h>

#include "knit/detail/work.hpp"

namespace knit::detail {

/// Unordered between producers, first in, first out for each. Any thread.
class Injector {
public:
    /// Throws std::bad_alloc; nothing is queued then.
    void push(Work& work) {
        if (!queue_.enqueue(&work)) {
            throw std::bad_alloc();
        }
    }
    /// All of `works`, or, where there is no memory for them, none: false.
    bool push_bulk(Work** works, std::size_t count) noexcept { return queue_.enqueue_bulk(works, count); }
    Work* pop() noexcept {
        Work* work = nullptr;
        return queue_.try_dequeue(work) ? work : nullptr;
    }
    std::size_t pop_bulk(Work** works, std::size_t count) noexcept { return queue_.try_dequeue_bulk(works, count); }
    /// A hint; exact when no thread is pushing or popping.
    std::size_t size_hint() const noexcept { return queue_.size_approx(); }

private:
    moodycamel::ConcurrentQueue<Work*> queue_;
};

}  // namespace knit::detail
