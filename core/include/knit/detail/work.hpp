/// Work: the one node that every queue of a loop holds, and the loop's FIFO of it.
#pragma once

#include "knit/detail/base.hpp"

namespace knit::detail {

class Worker;

/// Something that a loop can run. It lives in a task's promise, an operation, a timer or a message, and stands in at
/// most one queue at a time (ready list, deque, inbox), which `next` belongs to.
struct Work {
    using Run = void (*)(Worker&, Work&);
    Work* next = nullptr;
    Run run = nullptr;
};

/// First in, first out; touched by its loop alone.
class WorkList {
public:
    void push(Work& work) noexcept {
        work.next = nullptr;
        *tail_ = &work;
        tail_ = &work.next;
    }
    /// The oldest, or null.
    Work* pop() noexcept {
        Work* work = head_;
        if (work != nullptr) {
            head_ = work->next;
            if (head_ == nullptr) {
                tail_ = &head_;
            }
        }
        return work;
    }
    /// Everything at once, as a chain by `next`; the list is empty afterwards.
    Work* take_all() noexcept {
        Work* first = head_;
        head_ = nullptr;
        tail_ = &head_;
        return first;
    }
    bool empty() const noexcept { return head_ == nullptr; }
    /// The oldest, which stays; null for none.
    const Work* first() const noexcept { return head_; }

    WorkList() = default;
    WorkList(const WorkList&) = delete;
    WorkList& operator=(const WorkList&) = delete;

private:
    Work* head_ = nullptr;
    Work** tail_ = &head_;
};

}  // namespace knit::detail
