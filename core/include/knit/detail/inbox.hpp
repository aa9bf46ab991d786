/// Inbox: the only door into a loop from another thread. A stack of Work that the owner takes as a whole and turns
/// round, so that it comes out in the order of arrival; what is more than it can use in a turn it keeps. Posting needs
/// no memory and cannot fail but after the end.
///
///   threads    push: any.  empty, take, take_all, close: the owner.
///
///   [in.item]  push: head CAS release  ->  take, close: head exchange acquire        what was before the push is seen
///   [in.wake]  push: head CAS seq_cst; (load the loop's sleep word, seq_cst)
///                <->  (write the sleep word, seq_cst read-modify-write); empty: head load seq_cst
///              the loop sees the Work before it sleeps, or the pusher sees it asleep. Only the pusher that was told
///              `first` must look: the loop takes everything at once, so whoever came later lies on top of an item that
///              the loop has still to see, and that item's pusher looks.
///   [in.end]   close: head exchange release  ->  push: head load acquire             who is told `closed` sees why
///
/// A pusher reads nothing of what it finds in the stack: an address that comes back before its CAS does no harm.
#pragma once

#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"

namespace knit::detail {

class Inbox {
public:
    enum class Push {
        first,   ///< the inbox was empty: look whether the loop sleeps
        queued,  ///< another pusher looks
        closed,  ///< not taken
    };

    Inbox() = default;
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;

    /// Any thread. Unless it is `closed`, `work` may run on the owner's thread before this returns.
    [[nodiscard]] Push push(Work& work) noexcept {
        Work* head = head_.load(std::memory_order_acquire);  // [in.end]
        do {
            if (head == &closed_) {
                return Push::closed;
            }
            work.next = head;
        } while (!head_.compare_exchange_weak(head, &work, std::memory_order_seq_cst,  // [in.item] [in.wake]
                                              std::memory_order_acquire));             // [in.end]
        return head == nullptr ? Push::first : Push::queued;
    }

    /// Owner. Moves at most `most` to `list`, oldest first; how many. The others stay, before all that arrives later.
    std::uint64_t take(WorkList& list, std::uint64_t most) noexcept {
        if (rest_ == nullptr) {
            refill();
        }
        return give(list, most);
    }

    /// Owner. All that is there, oldest first, as a chain by `next`; null where there is nothing, also after close().
    [[nodiscard]] Work* take_all() noexcept {
        WorkList all;
        give(all, kAll);
        refill();
        give(all, kAll);
        return all.take_all();
    }

    /// Owner; once it has written its sleep word, the look that counts [in.wake]. True when closed.
    [[nodiscard]] bool empty() const noexcept {
        const Work* const head = head_.load(std::memory_order_seq_cst);  // [in.wake]
        return (head == nullptr || head == &closed_) && rest_ == nullptr;
    }

    /// Owner. Whether something has been taken from the stack and not been given out.
    [[nodiscard]] bool keeps_some() const noexcept { return rest_ != nullptr; }

    /// Owner. From now on push() says `closed`. Gives what was in, as take_all() does.
    [[nodiscard]] Work* close() noexcept {
        WorkList all;
        give(all, kAll);
        Work* const head = head_.exchange(&closed_, std::memory_order_acq_rel);  // [in.item] [in.end]
        rest_ = head == &closed_ ? nullptr : oldest_first(head);
        give(all, kAll);
        return all.take_all();
    }

    /// Turns round what was pushed by `next`, the newest in front.
    static Work* oldest_first(Work* newest) noexcept {
        Work* oldest = nullptr;
        while (newest != nullptr) {
            Work* const before = newest->next;
            newest->next = oldest;
            oldest = newest;
            newest = before;
        }
        return oldest;
    }

private:
    static constexpr std::uint64_t kAll = ~std::uint64_t{0};

    /// Nothing of the rest is left.
    void refill() noexcept {
        Work* const head = head_.load(std::memory_order_relaxed);  // relaxed: the exchange looks again
        if (head != nullptr && head != &closed_) {
            rest_ = oldest_first(head_.exchange(nullptr, std::memory_order_acquire));  // [in.item]
        }
    }
    std::uint64_t give(WorkList& list, std::uint64_t most) noexcept {
        std::uint64_t count = 0;
        for (; count < most && rest_ != nullptr; ++count) {
            Work& work = *rest_;
            rest_ = work.next;
            list.push(work);
        }
        return count;
    }

    // Owner's line.
    Work* rest_ = nullptr;  ///< taken and turned round, and not given out

    // Pushers' line.
    alignas(kCacheLine) Atomic<Work*> head_{nullptr};  ///< any thread pushes, the owner takes; publishes Work [in.item]
    Work closed_;                                      ///< stands for "closed" by its address; never run, never linked
};

}  // namespace knit::detail
