#include "knit/detail/frame_pool.hpp"

#include <mutex>
#include <utility>

namespace knit::detail {

/// Batches on their way from loops that have too many blocks to loops that have too few.
class FramePool::Depot {
public:
    struct Batch {
        Block* first = nullptr;
        std::uint32_t count = 0;
    };

    // Leaked on purpose: pools of threads that outlive main use it while static objects are being destroyed.
    static Depot& instance() noexcept {
        alignas(Depot) static std::byte storage[sizeof(Depot)];
        static Depot* const depot = ::new (storage) Depot;
        return *depot;
    }

    /// What finds no place is given back to the heap.
    void put(std::size_t index, Batch batch) noexcept {
        {
            Shelf& shelf = shelves_[index];
            const std::lock_guard lock(shelf.mutex);
            if (shelf.count < kDepotBatches) {
                shelf.batches[shelf.count++] = batch;
                return;
            }
        }
        while (batch.first != nullptr) {
            free_anywhere(std::exchange(batch.first, batch.first->next), class_bytes(index));
        }
    }

    /// An empty batch where there is none.
    Batch take(std::size_t index) noexcept {
        Shelf& shelf = shelves_[index];
        const std::lock_guard lock(shelf.mutex);
        return shelf.count > 0 ? shelf.batches[--shelf.count] : Batch{};
    }

private:
    struct Shelf {
        std::mutex mutex;
        std::size_t count = 0;
        Batch batches[kDepotBatches];
    };
    Shelf shelves_[kClasses];
};

namespace {

constexpr std::uint32_t room_of(std::size_t bytes) {
    return static_cast<std::uint32_t>(FramePool::batch_blocks(bytes));
}

}  // namespace

FramePool::FramePool() noexcept {
    for (Bin& bin : bins_) {
        bin.room = room_of(class_bytes(index_of(bin)));
    }
}

FramePool::~FramePool() {
    Depot& depot = Depot::instance();
    for (Bin& bin : bins_) {
        const std::size_t index = index_of(bin);
        const std::uint32_t full = room_of(class_bytes(index));
        KNIT_ASSERT(bin.room <= full);
        if (bin.has_spare) {
            depot.put(index, {spares_[index], full});
        }
        if (bin.active != nullptr) {
            depot.put(index, {bin.active, full - bin.room});
        }
    }
}

std::size_t FramePool::free_bytes() const noexcept {
    std::size_t bytes = 0;
    for (std::size_t index = 0; index < kClasses; ++index) {
        const Bin& bin = bins_[index];
        const std::size_t full = room_of(class_bytes(index));
        bytes += (full - bin.room + (bin.has_spare ? full : 0)) * class_bytes(index);
    }
    return bytes;
}

/// Active is empty: gets more blocks, and gives one of them.
void* FramePool::refill(Bin& bin) {
    const std::size_t index = index_of(bin);
    const std::uint32_t full = room_of(class_bytes(index));
    KNIT_ASSERT(bin.active == nullptr);
    KNIT_ASSERT(bin.room == full);
    Depot::Batch batch;
    if (bin.has_spare) {
        batch = {std::exchange(spares_[index], nullptr), full};
        bin.has_spare = false;
    } else {
        batch = Depot::instance().take(index);
    }
    if (batch.first == nullptr) {
        return ::operator new(class_bytes(index));
    }
    KNIT_ASSERT(batch.count <= full);
    bin.active = batch.first->next;
    bin.room = full - batch.count + 1;
    return batch.first;
}

/// Active is a batch: makes it the spare.
void FramePool::spill(Bin& bin) noexcept {
    const std::size_t index = index_of(bin);
    const std::uint32_t full = room_of(class_bytes(index));
    if (bin.has_spare) {
        Depot::instance().put(index, {spares_[index], full});
    }
    spares_[index] = std::exchange(bin.active, nullptr);
    bin.has_spare = true;
    bin.room = full;
}

}  // namespace knit::detail
