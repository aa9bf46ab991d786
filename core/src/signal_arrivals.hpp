/// SignalArrivals: which signals have come, each time and in their order, from signal handlers to a dispatcher.
///
///   [arrivals.slot]  post: the signal into its slot  ->  take: the slot, which then is nobody's
///   [arrivals.room]  take: the slot emptied, then begin  ->  post: begin, then a slot: never one that is still in use
///   [arrivals.note]  post: the note  ->  take: the note
#pragma once

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>

#include "knit/detail/base.hpp"

namespace knit::detail {

/// A ring. post() may be called in any number of signal handlers at a time, on any thread, and within another post();
/// all else is one thread's at a time. When the ring is full, a signal is only noted: then it counts once, and comes
/// after all others.
class SignalArrivals {
public:
    static constexpr std::size_t kMost = 256;

    void post(int signal) noexcept {
        std::size_t end = end_.load(std::memory_order_relaxed);  // a guess, which the exchange checks
        do {
            // A begin that is too old makes the ring look full. It is read after `end`, so it may also be the newer.
            const std::size_t begin = begin_.load(std::memory_order_acquire);  // [arrivals.room]
            if (end - begin >= kMost && end >= begin) {
                put_back(signal);
                return;
            }
        } while (!end_.compare_exchange_weak(end, end + 1, std::memory_order_relaxed));  // the slot carries the order
        slots_[end % kMost].store(signal, std::memory_order_release);                    // [arrivals.slot]
    }
    /// As when the ring is full.
    void put_back(int signal) noexcept {
        noted_[static_cast<std::size_t>(signal)].store(true, std::memory_order_release);  // [arrivals.note]
    }

    /// The next one, 0 when there is none. One whose handler has been interrupted holds up those behind it: that
    /// handler is yet to say that something has come.
    int take() noexcept {
        for (;;) {
            const std::size_t begin = begin_.load(std::memory_order_relaxed);  // only takers write it
            Atomic<int>& slot = slots_[begin % kMost];
            const int signal = slot.load(std::memory_order_acquire);  // [arrivals.slot]
            if (signal == 0) {
                return take_noted();
            }
            slot.store(0, std::memory_order_relaxed);            // before begin, which publishes it
            begin_.store(begin + 1, std::memory_order_release);  // [arrivals.room]
            if (signal != kRemoved) {
                return signal;
            }
        }
    }
    bool is_empty() const noexcept {
        const std::size_t begin = begin_.load(std::memory_order_relaxed);     // only takers write it
        return slots_[begin % kMost].load(std::memory_order_acquire) == 0 &&  // [arrivals.slot]
               std::ranges::none_of(noted_, [](const Atomic<bool>& noted) {
                   return noted.load(std::memory_order_acquire);  // [arrivals.note]
               });
    }
    /// Takes out every one of that signal. Whether there was one.
    bool remove(int signal) noexcept {
        Atomic<bool>& noted = noted_[static_cast<std::size_t>(signal)];
        bool was_there = noted.exchange(false, std::memory_order_acq_rel);  // [arrivals.note]
        for (Atomic<int>& slot : slots_) {
            if (slot.load(std::memory_order_acquire) == signal) {  // [arrivals.slot]
                slot.store(kRemoved, std::memory_order_relaxed);   // between post() and take() a slot is this side's
                was_there = true;
            }
        }
        return was_there;
    }

private:
    static constexpr int kRemoved = -1;

    int take_noted() noexcept {
        for (std::size_t signal = 0; signal < noted_.size(); ++signal) {
            if (noted_[signal].exchange(false, std::memory_order_acq_rel)) {  // [arrivals.note]
                return static_cast<int>(signal);
            }
        }
        return 0;
    }

    std::array<Atomic<int>, kMost> slots_{};  ///< 0: free, or not written yet; post() fills, take() empties
    std::array<Atomic<bool>, NSIG> noted_{};  ///< what the ring had no room for
    Atomic<std::size_t> begin_{0};            ///< how many have been taken; takers write
    Atomic<std::size_t> end_{0};              ///< how many have been posted; post() writes
};

static_assert(Atomic<std::size_t>::is_always_lock_free, "a signal handler must not wait");

}  // namespace knit::detail
