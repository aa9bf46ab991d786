#include "buffer_pool.hpp"

#include <algorithm>
#include <new>

#include "io_driver.hpp"
#include "knit/detail/worker.hpp"
#include "knit/io/receive.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

/// Stands in returned_ once the pool is closed.
LentBuffer* closed_mark() noexcept {
    alignas(LentBuffer) static char mark = 0;
    return reinterpret_cast<LentBuffer*>(&mark);
}

}  // namespace

BufferPool::BufferPool(Ring* ring) noexcept : ring_(ring) {}

bool BufferPool::is_usable() noexcept {
    if (state_ == State::fresh) [[unlikely]] {
        const bool is_registered = ring_ == nullptr || ring_->register_buffers(kGroup, kMost);
        state_ = is_registered && grow() ? State::usable : State::refused;
    }
    return state_ == State::usable;
}

bool BufferPool::refill() noexcept { return collect() || grow(); }

bool BufferPool::grow() noexcept {
    const std::size_t count = std::clamp(buffers_.size(), kFirst, kMost / 2);
    if (buffers_.size() + count > kMost) {
        return false;
    }
    try {
        chunks_.push_back(std::make_unique_for_overwrite<LentBuffer[]>(count));
        buffers_.reserve(buffers_.size() + count);
    } catch (const std::bad_alloc&) {
        return false;
    }
    LentBuffer* const chunk = chunks_.back().get();
    for (std::size_t i = 0; i < count; ++i) {
        chunk[i].pool = this;
        chunk[i].id = static_cast<std::uint16_t>(buffers_.size());
        buffers_.push_back(&chunk[i]);
        ++lent_;  // provide() counts it down
        provide(chunk[i]);
    }
    return true;
}

void BufferPool::provide(LentBuffer& buffer) noexcept {
    --lent_;
    if (ring_ != nullptr) {
        ring_->provide_buffer(buffer.bytes, LentBuffer::kSize, buffer.id);
    } else {
        buffer.next = free_;
        free_ = &buffer;
    }
}

LentBuffer* BufferPool::take(std::uint16_t id) noexcept {
    KNIT_ASSERT(id < buffers_.size());
    ++lent_;
    return buffers_[id];
}

int BufferPool::pick() noexcept {
    if (free_ == nullptr && !refill()) {
        return -1;
    }
    LentBuffer* const buffer = free_;
    free_ = buffer->next;
    return buffer->id;
}

void BufferPool::give_back(LentBuffer* buffer) noexcept {
    BufferPool* const pool = buffer->pool;
    if (pool == nullptr) {
        delete buffer;
        return;
    }
    // Whether this loop's own: a pool that has been closed is no running loop's.
    Worker* const worker = Worker::current();
    if (worker != nullptr && pool == buffers_of(*worker)) {
        pool->provide(*buffer);
    } else {
        pool->return_from_elsewhere(buffer);
    }
}

void BufferPool::return_from_elsewhere(LentBuffer* buffer) noexcept {
    LentBuffer* head = returned_.load(std::memory_order_acquire);  // [pool.left] the mark
    while (head != closed_mark()) {
        buffer->next = head;
        // [pool.back]; on failure [pool.left]
        if (returned_.compare_exchange_weak(head, buffer, std::memory_order_release, std::memory_order_acquire)) {
            return;
        }
    }
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [pool.left]
        delete this;
    }
}

bool BufferPool::collect() noexcept {
    LentBuffer* buffer = returned_.exchange(nullptr, std::memory_order_acquire);  // [pool.back]
    const bool has_any = buffer != nullptr;
    while (buffer != nullptr) {
        LentBuffer* const next = buffer->next;
        provide(*buffer);
        buffer = next;
    }
    return has_any;
}

void BufferPool::close(BufferPool* pool) noexcept {
    pool->ring_ = nullptr;
    // One more than there are, which is this function's own. relaxed: the exchange publishes it.
    pool->left_.store(pool->lent_ + 1, std::memory_order_relaxed);
    LentBuffer* buffer = pool->returned_.exchange(closed_mark(), std::memory_order_acq_rel);  // [pool.back]
    std::size_t back = 1;
    for (; buffer != nullptr; buffer = buffer->next) {
        ++back;
    }
    if (pool->left_.fetch_sub(back, std::memory_order_acq_rel) == back) {  // [pool.left]
        delete pool;
    }
}

}  // namespace knit::detail
