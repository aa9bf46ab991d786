/// Deque: the unstarted work of one loop. The owner pushes and pops at the bottom, newest first; any loop steals the
/// oldest at the top. Chase and Lev's deque with the orders of Le et al. (PPoPP 2013), and a mode in which the owner
/// needs no fence. Indices have 64 bits and top only grows, so it never has an old value again.
///
///   threads    push, pop, take_back, take_oldest, quiesce, begin_unfenced, end_unfenced: the owner.  The rest: any.
///
///   [dq.slot]  push, pop: bottom release  ->  steal, size_hint: bottom acquire     the slot and the Work are seen
///   [dq.reuse] steal: slot load, top CAS release  ->  make_room: top acquire       a slot is written anew only after
///                                                                                  its thief has read it
///   [dq.grow]  make_room: array release  ->  steal: array acquire                  the copied slots are seen
///   [dq.take]  top CAS of a thief  <->  top CAS of the owner, of another thief     one of them gets the item
///   [dq.last]  pop: store bottom; fence; load top  <->  steal: load top; fence; load bottom
///              owner and thief never both keep an item: see below
///   [dq.wake]  push: store bottom; fence; (look for sleepers)  <->  (announce sleep); fence; load bottom
///              the one who goes to sleep sees the work, or is seen by the one who made it
///   [dq.mode]  begin_unfenced: store true; full fence  <->  steal, is_unfenced: full fence; load
///              end_unfenced: store false, release  ->  steal, is_unfenced: load acquire
///
/// [dq.last] Only this can go wrong: the owner's pop takes item b without a CAS, having read top < b, while a thief
/// that read top = b also read a bottom > b from before that pop; its CAS then succeeds. (When the owner reads top = b
/// it uses the CAS too; when a thief reads the bottom of this pop, or a later one, it goes away or takes an item pushed
/// since.)
/// FENCED, both have a full fence between their two steps. The owner's is first: the thief reads the lowered bottom.
/// The thief's is first: the owner's later load of top gives at least what the thief had read, b. No clash either way.
/// UNFENCED, the owner's fence holds back the compiler alone. The thief has made every running thread execute a barrier
/// while it was in heavy_fence(), between its loads of top and bottom. The owner's falls before its store of bottom:
/// its load of top comes after the thief's, and gives at least b. It falls after the store: the thief reads the lowered
/// bottom. A thread that was not running has passed a full barrier in the kernel. [dq.wake] is the same, with "sleeps"
/// in the place of top.
/// WHICH MODE [dq.mode]: a pop lies wholly in one mode, the owner itself being the one who changes it. The thief does:
/// load top; full fence; load mode; heavy fence if unfenced; load bottom; CAS. Let the pop be an unfenced one.
///   - The thief reads "unfenced", of this or any other period: it uses both fences and is right against either mode.
///   - It reads a "fenced" from before the period of the pop. It has missed the store of begin_unfenced, so its full
///     fence came before the one of begin_unfenced, and each load of top in that period, this pop's too, gives >= b.
///   - It reads a "fenced" from after the period. end_unfenced stored that after the pop stored bottom, with release,
///     and the thief, with acquire, loads bottom only then: it reads this pop's or a later one. So end_unfenced needs
///     no fence: what a pop of the period read of top does not matter to a thief that sees that pop's bottom.
/// Nothing hangs on what the mode becomes between the thief's look at it and its CAS: the argument is about the mode at
/// the time of the pop. tests/model/deque_model.cpp goes through all interleavings of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"

namespace knit::detail {

void heavy_fence() noexcept;  // platform.hpp, which is not installed

class Deque {
public:
    static constexpr std::size_t kFirstCapacity = 256;
    /// After so many pushes since the last quiesce() the owner does without fences, unless stay_fenced() has said
    /// another number; a few would not repay the thieves.
    static constexpr unsigned kPushesUntilUnfenced = 32;

    /// `asymmetric`: heavy_fence() works, so the owner may enter unfenced mode.
    explicit Deque(bool asymmetric = false);
    ~Deque();
    Deque(const Deque&) = delete;
    Deque& operator=(const Deque&) = delete;

    /// Before the deque is used.
    void set_asymmetric(bool asymmetric) noexcept { asymmetric_ = asymmetric; }

    /// The newest from now on. Throws std::bad_alloc with nothing changed. What the owner loads next is ordered after
    /// it against a heavy_fence(), or a full fence where is_unfenced() is false, on the other side [dq.wake].
    void push(Work& work);
    /// The newest, or null: the deque is empty then.
    Work* pop() noexcept;
    /// Whether `work` was the newest, and is the caller's now. False with nothing changed: it was stolen, or is not
    /// the newest.
    bool take_back(const Work& work) noexcept;
    /// The oldest, or null when there is none or a thief was faster.
    Work* take_oldest() noexcept;
    /// The loop goes idle: back to fences, and the count of pushes starts anew. Correct at any time.
    void quiesce() noexcept { stay_fenced(kPushesUntilUnfenced); }
    /// Back to fences for so many pushes, or until the next quiesce(). Correct at any time.
    void stay_fenced(unsigned pushes) noexcept;

    void begin_unfenced() noexcept;
    void end_unfenced() noexcept;

    /// The oldest, or null: there is none, or another was faster, which `lost` tells. "None" is no stronger an answer
    /// than that of size_hint(). The deque must outlive the call.
    Work* steal(bool* lost = nullptr) noexcept;
    /// How many there are, as far as the caller can see.
    std::size_t size_hint() const noexcept;
    /// Whether who looks for work must call heavy_fence() before the look that counts. To be asked after a full fence,
    /// or a seq_cst read-modify-write, of the caller's own [dq.mode].
    bool is_unfenced() const noexcept { return unfenced_.load(std::memory_order_seq_cst); }  // [dq.mode]

private:
    using Index = std::int64_t;

    /// Item i stands at i modulo the capacity, a power of two.
    struct Array {
        explicit Array(std::size_t capacity)
            : mask(static_cast<Index>(capacity) - 1), slots(std::make_unique<Atomic<Work*>[]>(capacity)) {}
        Atomic<Work*>& at(Index index) const noexcept { return slots[static_cast<std::size_t>(index & mask)]; }
        Index capacity() const noexcept { return mask + 1; }

        const Index mask;
        const std::unique_ptr<Atomic<Work*>[]> slots;  ///< the owner writes, all read; published by bottom [dq.slot]
        std::unique_ptr<Array> retired;                ///< the one before: a slow thief may still read it
    };

    void publish_fence() noexcept;
    KNIT_NOINLINE void make_room(Index bottom) {
        const Index top = top_.load(std::memory_order_acquire);  // [dq.reuse]
        KNIT_ASSERT(top <= bottom);
        const Index capacity = newest_->capacity();
        if (bottom - top == capacity) {
            auto array = std::make_unique<Array>(static_cast<std::size_t>(capacity) * 2);
            for (Index index = top; index < bottom; ++index) {
                array->at(index).store(newest_->at(index).load(std::memory_order_relaxed),  // relaxed: own
                                       std::memory_order_relaxed);                          // relaxed: published below
            }
            slots_ = array->slots.get();
            mask_ = array->mask;
            array->retired = std::move(newest_);
            newest_ = std::move(array);
            array_.store(newest_.get(), std::memory_order_release);  // [dq.grow]
        }
        limit_ = top + newest_->capacity();
        KNIT_ASSERT(bottom < limit_);
    }

    // The owner's line. Thieves read bottom_, array_ and unfenced_.
    alignas(kCacheLine) Atomic<Index> bottom_{0};  ///< the owner writes, any thread reads; publishes slots [dq.slot]
    Index limit_ = 0;                              ///< bottom may grow up to here: a top once seen, plus the capacity
    Atomic<Work*>* slots_ = nullptr;               ///< of *newest_
    Index mask_ = 0;                               ///< of *newest_
    Atomic<Array*> array_{nullptr};  ///< newest_, for thieves; the owner writes, publishing slots [dq.grow]
    Atomic<bool> unfenced_{false};   ///< the owner writes, thieves and loops going to sleep read [dq.mode]
    bool asymmetric_;
    unsigned pushes_left_ = kPushesUntilUnfenced;  ///< fenced ones until begin_unfenced()
    std::unique_ptr<Array> newest_;

    // The thieves' line.
    alignas(kCacheLine) Atomic<Index> top_{0};  ///< whoever takes the oldest raises it, by CAS alone [dq.take]
};

inline Deque::Deque(bool asymmetric) : asymmetric_(asymmetric), newest_(std::make_unique<Array>(kFirstCapacity)) {
    limit_ = newest_->capacity();
    slots_ = newest_->slots.get();
    mask_ = newest_->mask;
    array_.store(newest_.get(), std::memory_order_relaxed);  // relaxed: nobody else knows this deque yet
}

inline Deque::~Deque() {
    while (newest_) {
        newest_ = std::move(newest_->retired);
    }
}

inline void Deque::push(Work& work) {
    const Index bottom = bottom_.load(std::memory_order_relaxed);  // relaxed: only this thread writes it
    if (bottom == limit_) [[unlikely]] {
        make_room(bottom);
    }
    slots_[bottom & mask_].store(&work, std::memory_order_relaxed);  // relaxed: the next line publishes it
    bottom_.store(bottom + 1, std::memory_order_release);            // [dq.slot]
    publish_fence();
}

inline void Deque::publish_fence() noexcept {
    if (unfenced_.load(std::memory_order_relaxed)) [[likely]] {  // relaxed: only this thread writes it
        light_fence();                                           // [dq.wake]
    } else if (asymmetric_ && --pushes_left_ == 0) {
        begin_unfenced();  // its fence stands for the one of [dq.wake]
    } else {
        full_fence();  // [dq.wake]
    }
}

inline Work* Deque::pop() noexcept {
    const Index bottom = bottom_.load(std::memory_order_relaxed) - 1;  // relaxed: only this thread writes it
    if (top_.load(std::memory_order_relaxed) > bottom) {  // relaxed: top only grows, so empty now is empty for sure
        return nullptr;
    }
    bottom_.store(bottom, std::memory_order_release);            // [dq.slot] thieves may read this one too
    if (unfenced_.load(std::memory_order_relaxed)) [[likely]] {  // relaxed: only this thread writes it
        light_fence();                                           // [dq.last]
    } else {
        full_fence();  // [dq.last]
    }
    Index top = top_.load(std::memory_order_relaxed);  // relaxed: the fence orders it, and the slots are this thread's
    if (top < bottom) [[likely]] {
        return slots_[bottom & mask_].load(std::memory_order_relaxed);  // relaxed: only this thread writes it
    }
    Work* work = nullptr;
    if (top == bottom) {
        work = slots_[bottom & mask_].load(std::memory_order_relaxed);  // relaxed: only this thread writes it
        if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                          std::memory_order_relaxed)) {  // [dq.take] relaxed: nothing is read after it
            work = nullptr;
        }
    }
    bottom_.store(bottom + 1, std::memory_order_release);  // [dq.slot] empty: top and bottom are equal again
    return work;
}

inline bool Deque::take_back(const Work& work) noexcept {
    const Index bottom = bottom_.load(std::memory_order_relaxed) - 1;  // relaxed: only this thread writes it
    // The slot may be an old one, of work that was stolen: then there is nothing to pop, as top shows. An index that
    // can be popped has the slot that was pushed for it.
    if (slots_[bottom & mask_].load(std::memory_order_relaxed) != &work) [[unlikely]] {  // relaxed: own
        return false;
    }
    if (!unfenced_.load(std::memory_order_relaxed)) [[unlikely]] {  // relaxed: only this thread writes it
        return pop() != nullptr;
    }
    bottom_.store(bottom, std::memory_order_release);             // [dq.slot] thieves may read this one too
    light_fence();                                                // [dq.last]
    if (top_.load(std::memory_order_relaxed) < bottom) [[likely]] {  // relaxed: the fence orders it
        return true;
    }
    bottom_.store(bottom + 1, std::memory_order_release);  // [dq.slot] the last one, or none
    return pop() != nullptr;
}

inline Work* Deque::take_oldest() noexcept {
    Index top = top_.load(std::memory_order_relaxed);      // relaxed: the slots are this thread's
    if (top >= bottom_.load(std::memory_order_relaxed)) {  // relaxed: only this thread writes it
        return nullptr;
    }
    Work* const work = slots_[top & mask_].load(std::memory_order_relaxed);  // relaxed: only this thread writes it
    const bool is_taken = top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                                       std::memory_order_relaxed);  // [dq.take] relaxed: it is over
    return is_taken ? work : nullptr;
}

inline Work* Deque::steal(bool* lost) noexcept {
    Index top = top_.load(std::memory_order_acquire);  // [dq.last]
    if (lost != nullptr) {
        *lost = false;
    }
    if (top >= bottom_.load(std::memory_order_relaxed)) {  // relaxed: a hint that saves the fences
        return nullptr;
    }
    full_fence();                                     // [dq.last] [dq.mode]
    if (unfenced_.load(std::memory_order_acquire)) {  // [dq.mode]
        heavy_fence();                                // [dq.last]
    }
    if (top >= bottom_.load(std::memory_order_acquire)) {  // [dq.last] [dq.slot]
        return nullptr;
    }
    const Array* const array = array_.load(std::memory_order_acquire);  // [dq.grow]
    Work* const work = array->at(top).load(std::memory_order_relaxed);  // relaxed: [dq.slot] has published it
    if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {  // [dq.take] [dq.reuse] relaxed: `work` is not used
        if (lost != nullptr) {
            *lost = true;
        }
        return nullptr;
    }
    KNIT_ASSERT(work != nullptr);
    return work;
}

inline std::size_t Deque::size_hint() const noexcept {
    const Index top = top_.load(std::memory_order_relaxed);        // relaxed: a hint
    const Index bottom = bottom_.load(std::memory_order_acquire);  // [dq.slot]
    return top < bottom ? static_cast<std::size_t>(bottom - top) : 0;
}

inline void Deque::stay_fenced(unsigned pushes) noexcept {
    pushes_left_ = pushes;
    if (unfenced_.load(std::memory_order_relaxed)) {  // relaxed: only this thread writes it
        end_unfenced();
    }
}

inline void Deque::begin_unfenced() noexcept {
    KNIT_ASSERT(asymmetric_);
    unfenced_.store(true, std::memory_order_relaxed);  // [dq.mode] relaxed: the fence does it
    full_fence();                                      // [dq.mode]
}

inline void Deque::end_unfenced() noexcept { unfenced_.store(false, std::memory_order_release); }  // [dq.mode]

}  // namespace knit::detail
