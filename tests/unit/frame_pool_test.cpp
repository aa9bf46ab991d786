#include "knit/detail/frame_pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace {

using knit::detail::FramePool;

TEST(FramePool, GivesMemoryOfEverySizeThatMayBeWrittenToTheEnd) {
    FramePool pool;
    for (std::size_t size = 0; size <= FramePool::kLargest + 2; ++size) {
        void* const memory = pool.allocate(size);
        ASSERT_NE(memory, nullptr);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(memory) % __STDCPP_DEFAULT_NEW_ALIGNMENT__, 0U);
        std::memset(memory, 0xA5, size);
        pool.free(memory, size);
    }
}

TEST(FramePool, GivesTheBlockThatCameBackLastFirst) {
    if (KNIT_ASAN) {
        GTEST_SKIP() << "the pool keeps nothing under AddressSanitizer";
    }
    FramePool pool;
    void* const one = pool.allocate(100);
    void* const two = pool.allocate(128);
    pool.free(one, 100);
    pool.free(two, 128);
    EXPECT_EQ(pool.allocate(65), two);
    EXPECT_EQ(pool.allocate(128), one);
    pool.free(one, 128);
    pool.free(two, 65);
}

TEST(FramePool, NeverGivesABlockTwice) {
    FramePool pool;
    const std::size_t count = 5 * FramePool::batch_blocks(64) + 7;
    for (int round = 0; round < 2; ++round) {  // the second one is served from active, spare and depot
        std::set<void*> distinct;
        for (std::size_t index = 0; index < count; ++index) {
            ASSERT_TRUE(distinct.insert(pool.allocate(64)).second);
        }
        for (void* memory : distinct) {
            pool.free(memory, 64);
        }
    }
}

TEST(FramePool, BlocksTravelBetweenPoolsThreadsAndTheHeap) {
    constexpr std::size_t kSizes[] = {1, 64, 300, FramePool::kLargest, FramePool::kLargest + 1};
    for (const std::size_t size : kSizes) {
        FramePool other;
        void* outlives = nullptr;
        {
            FramePool pool;
            other.free(pool.allocate(size), size);
            FramePool::free_anywhere(pool.allocate(size), size);
            pool.free(FramePool::allocate_anywhere(size), size);
            outlives = pool.allocate(size);
            void* const moved = pool.allocate(size);
            std::thread([moved, size] { FramePool::free_anywhere(moved, size); }).join();
        }
        other.free(outlives, size);
    }
}

TEST(FramePool, LargeBatchesAreBoundedInBytes) {
    for (std::size_t size = 1; size <= FramePool::kLargest; ++size) {
        const std::size_t blocks = FramePool::batch_blocks(size);
        EXPECT_GE(blocks, 2U);
        EXPECT_LE(blocks, FramePool::kBatchBlocks);
        EXPECT_LE(blocks * size, FramePool::kBatchBytes);
    }
}

}  // namespace
