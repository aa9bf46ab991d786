// How often a FramePool asks the heap. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "knit/detail/frame_pool.hpp"

namespace {

using knit::detail::FramePool;

// Any thread counts up, the tests read; they publish nothing.
knit::detail::Atomic<std::size_t> news{0};
knit::detail::Atomic<std::size_t> deletes{0};

}  // namespace

// The sanitizers bring their own, and the tests are skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
// Not inlined, else GCC pairs what it sees of malloc with delete and warns.
KNIT_NOINLINE void* operator new(std::size_t size) {
    news.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    if (void* const memory = std::malloc(size != 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
KNIT_NOINLINE void operator delete(void* memory) noexcept {
    deletes.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    std::free(memory);
}
KNIT_NOINLINE void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
#endif

namespace {

constexpr std::size_t kRounds = 100'000;
constexpr std::size_t kSize = 200;
constexpr std::size_t kBatch = FramePool::batch_blocks(kSize);

std::size_t news_now() { return news.load(std::memory_order_relaxed); }        // relaxed: a count
std::size_t deletes_now() { return deletes.load(std::memory_order_relaxed); }  // relaxed: a count

class FramePoolAllocations : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

TEST_F(FramePoolAllocations, SteadyUseAsksTheHeapOnce) {
    FramePool pool;
    const std::size_t size = 70;  // a class that no other test here uses, so the depot has none of it
    const std::size_t before = news_now();
    for (std::size_t round = 0; round < kRounds; ++round) {
        pool.free(pool.allocate(size), size);
    }
    EXPECT_EQ(news_now() - before, 1U);
}

TEST_F(FramePoolAllocations, DeepRecursionOfAKnownDepthAsksTheHeapOncePerFrame) {
    FramePool pool;
    const std::size_t size = 2000;
    const std::size_t depth = 2 * FramePool::batch_blocks(size) - 1;  // what active and spare hold
    std::vector<void*> stack(depth);
    const std::size_t before = news_now();
    for (int round = 0; round < 100; ++round) {
        for (void*& memory : stack) {
            memory = pool.allocate(size);
        }
        for (void* memory : stack) {
            pool.free(memory, size);
        }
    }
    EXPECT_EQ(news_now() - before, depth);
}

TEST_F(FramePoolAllocations, BlocksTakenHereAndGivenBackThereTravelHome) {
    FramePool producer;
    FramePool consumer;
    const std::size_t before = news_now();
    for (std::size_t round = 0; round < kRounds; ++round) {
        consumer.free(producer.allocate(kSize), kSize);
    }
    // Two lists of the consumer fill up, then the depot hands its batches on.
    EXPECT_LE(news_now() - before, 3 * kBatch);
}

TEST_F(FramePoolAllocations, WhatWasOnceNeededGoesBackToTheHeapAboveTheBound) {
    const std::size_t count = (FramePool::kDepotBatches + 10) * kBatch;
    std::vector<void*> blocks(count);
    FramePool pool;
    for (void*& memory : blocks) {
        memory = pool.allocate(kSize);
    }
    const std::size_t before = deletes_now();
    for (void* memory : blocks) {
        pool.free(memory, kSize);
    }
    // Active and spare keep two batches, the depot its bound; some of that was there from the start.
    EXPECT_GE(deletes_now() - before, 7 * kBatch);
}

TEST_F(FramePoolAllocations, PoolsThatComeAndGoHandTheirBlocksOn) {
    const std::size_t size = 1000;
    const std::size_t before = news_now();
    for (int round = 0; round < 1000; ++round) {
        FramePool pool;
        void* const one = pool.allocate(size);
        void* const two = pool.allocate(size);
        pool.free(one, size);
        pool.free(two, size);
    }
    EXPECT_EQ(news_now() - before, 2U);
}

}  // namespace
