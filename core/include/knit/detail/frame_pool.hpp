/// FramePool: the memory of coroutine frames and other small things of one loop, by size class.
///
/// Each block is a `::operator new` block of its class's size of its own, so any block may be given back to any loop's
/// pool, on a thread without a loop, or after its pool is gone. That holds under AddressSanitizer too, where nothing is
/// kept: a program built with it may use a library built without.
///
/// For each class a pool has two lists: `active`, which it takes from and gives to, and `spare`, which is either empty
/// or a batch. When active is full it becomes the spare, and the spare before goes to the process's depot as one batch;
/// when active runs dry, the spare or a batch of the depot takes its place. So no list is walked; a pool holds at most
/// two batches a class; and blocks that are always taken here and given back there travel home by the batch.
///
///   threads   one pool: its owner.  allocate_anywhere, free_anywhere: any.  The depot is behind a mutex of each class.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

#include "knit/detail/base.hpp"

namespace knit::detail {

class FramePool {
public:
    static constexpr std::size_t kGranule = 64;         ///< classes are its multiples
    static constexpr std::size_t kLargest = 2048;       ///< anything bigger comes straight from the heap
    static constexpr std::size_t kBatchBlocks = 2048;   ///< most blocks in a batch
    static constexpr std::size_t kBatchBytes = 262144;  ///< most bytes in a batch
    static constexpr std::size_t kDepotBatches = 32;    ///< most batches of a class in the depot

    FramePool() noexcept;
    /// Gives what it holds to the depot.
    ~FramePool();
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    /// Owner. Memory as `::operator new` gives it. Throws std::bad_alloc.
    [[nodiscard]] void* allocate(std::size_t size) {
        if (KNIT_ASAN || size > kLargest) [[unlikely]] {
            return allocate_anywhere(size);
        }
        Bin& bin = bins_[class_of(size)];
        Block* const block = bin.active;
        if (block == nullptr) [[unlikely]] {
            return refill(bin);
        }
        bin.active = block->next;
        ++bin.room;
        return block;
    }

    /// Owner. `memory` is from any pool's allocate(size), or allocate_anywhere(size), with this `size`.
    void free(void* memory, std::size_t size) noexcept {
        if (KNIT_ASAN || size > kLargest) [[unlikely]] {
            free_anywhere(memory, size);
            return;
        }
        free_class(memory, static_cast<std::uint32_t>(class_of(size)));
    }
    /// The same by the class that pooled_class() gave for the size. Owner.
    void free_class(void* memory, std::uint32_t size_class) noexcept {
        Bin& bin = bins_[size_class];
        bin.active = ::new (memory) Block{bin.active};
        if (--bin.room == 0) [[unlikely]] {
            spill(bin);
        }
    }
    /// For free_class(); 0 for a size that is not pooled.
    static constexpr std::uint32_t pooled_class(std::size_t size) noexcept {
        return KNIT_ASAN || size > kLargest ? 0 : static_cast<std::uint32_t>(class_of(size));
    }

    /// Owner. What it holds that is free, in bytes; looks at every class.
    std::size_t free_bytes() const noexcept;

    /// For threads without a loop.
    [[nodiscard]] static void* allocate_anywhere(std::size_t size) { return ::operator new(block_bytes(size)); }
    static void free_anywhere(void* memory, std::size_t size) noexcept { ::operator delete(memory, block_bytes(size)); }

    /// How many blocks a batch of this size's class has.
    static constexpr std::size_t batch_blocks(std::size_t size) noexcept {
        return std::min(kBatchBlocks, kBatchBytes / block_bytes(size));
    }

private:
    struct Block {
        Block* next;
    };
    struct Bin {
        Block* active = nullptr;
        std::uint32_t room = 0;  ///< blocks that active still takes before it is a batch
        bool has_spare = false;
    };
    class Depot;

    static constexpr std::size_t kClasses = kLargest / kGranule + 1;  // class 0 is that of size 0

    static constexpr std::size_t class_of(std::size_t size) noexcept { return (size + kGranule - 1) / kGranule; }
    static constexpr std::size_t class_bytes(std::size_t index) noexcept {
        return std::max<std::size_t>(index, 1) * kGranule;
    }
    static constexpr std::size_t block_bytes(std::size_t size) noexcept {
        return size > kLargest ? size : class_bytes(class_of(size));
    }

    std::size_t index_of(const Bin& bin) const noexcept { return static_cast<std::size_t>(&bin - bins_); }
    KNIT_NOINLINE void* refill(Bin& bin);
    KNIT_NOINLINE void spill(Bin& bin) noexcept;

    Bin bins_[kClasses];
    Block* spares_[kClasses] = {};
};

}  // namespace knit::detail
