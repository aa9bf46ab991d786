/// BufferPool: memory that one loop lends to receives. The kernel takes a buffer when data has come, not before, so as
/// many are needed as there are receives under work, not connections.
///
///   threads   give_back: any.  All else: the loop.
///   [pool.back]  give_back on another thread: next_, then returned_ by CAS, release  ->  collect, close: exchange,
///                acquire                the list is seen
///   [pool.left]  each buffer that comes back after close: left_ fetch_sub, acq_rel   the last frees the pool
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "knit/detail/base.hpp"

struct io_uring_sqe;

namespace knit::detail {

class BufferPool;
class Ring;

/// One buffer. Its owner is the pool, until the kernel or the epoll driver takes it for a receive; then a Received.
struct LentBuffer {
    static constexpr std::size_t kSize = 4096;

    BufferPool* pool = nullptr;  ///< null: it is from the heap and goes back there
    LentBuffer* next = nullptr;
    std::uint16_t id = 0;
    std::byte bytes[kSize];
};

class BufferPool {
public:
    /// The kernel picks from a ring of buffers registered with `ring`; without a ring whoever receives calls pick().
    explicit BufferPool(Ring* ring) noexcept;
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    /// The loop ends: what is lent comes back later, the last of it frees the pool.
    static void close(BufferPool* pool) noexcept;

    /// Whether receives may ask for a buffer. False on kernels before 5.19, and when there is no memory.
    bool is_usable() noexcept;
    /// After a receive has found none: gets back what other threads have returned, or makes more. False when there are
    /// as many as there may be.
    bool refill() noexcept;
    /// The buffer that the kernel has picked; its number stands in the completion.
    LentBuffer* take(std::uint16_t id) noexcept;
    /// A free buffer's number, or -1. For a driver without a ring.
    int pick() noexcept;
    std::byte* bytes_of(std::uint16_t id) noexcept { return buffers_[id]->bytes; }

    /// From a Received.
    static void give_back(LentBuffer* buffer) noexcept;
    /// The loop's own, that was picked in vain or has been read.
    void provide(LentBuffer& buffer) noexcept;

    static constexpr std::uint16_t kGroup = 1;

private:
    static constexpr std::size_t kFirst = 16;
    static constexpr std::size_t kMost = 1024;

    ~BufferPool() = default;
    bool collect() noexcept;
    bool grow() noexcept;
    void return_from_elsewhere(LentBuffer* buffer) noexcept;

    Ring* ring_;
    enum class State : std::uint8_t { fresh, usable, refused } state_ = State::fresh;
    std::vector<std::unique_ptr<LentBuffer[]>> chunks_;
    std::vector<LentBuffer*> buffers_;  ///< by number
    LentBuffer* free_ = nullptr;        ///< without a ring: what may be picked
    std::size_t lent_ = 0;              ///< that the loop knows of
    /// What other threads have given back. They push, the loop takes all [pool.back]; `closed_mark()` once closed.
    Atomic<LentBuffer*> returned_{nullptr};
    Atomic<std::size_t> left_{0};  ///< after close: how many are still out [pool.left]
};

}  // namespace knit::detail
