// A ring by itself: the words that the kernel and a loop share.

#include "ring.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace knit::test {
namespace {

using namespace std::chrono_literals;

class RingWords : public testing::Test {
protected:
    void SetUp() override {
        const char* const driver = std::getenv("KNIT_DRIVER");
        if (driver != nullptr && std::strcmp(driver, "epoll") == 0) {
            GTEST_SKIP() << "epoll has no ring";
        }
    }

    static bool is_deferred(const detail::Ring& ring) {
        const auto granted = ring.flags_granted();
        return std::ranges::find(granted, "DEFER_TASKRUN") != granted.end();
    }
};

TEST_F(RingWords, CompletionsThatOverflowTheirQueueAreSeen) {
    // Not by a program: since Linux 6.1 an enter takes no more than it finds room for, as a rule.
    detail::Ring ring(8);  // 128 completions
    EXPECT_FALSE(ring.has_overflown());
    for (int i = 0; i < 20 * 8; ++i) {
        io_uring_prep_nop(ring.sqe_nowait());
        if (i % 8 == 7) {
            static_cast<void>(ring.enter_nowait());
        }
    }
    EXPECT_TRUE(ring.has_overflown());
    unsigned reaped = 0;
    while (reaped < 20 * 8) {
        reaped += ring.reap([](std::uint64_t, int, unsigned) {});
        static_cast<void>(ring.enter_nowait());
    }
    EXPECT_FALSE(ring.has_overflown());
}

TEST_F(RingWords, AWordFromTheKernelThatComesTooLateIsForgotten) {
    detail::Ring ring(8);
    if (!is_deferred(ring)) {
        GTEST_SKIP() << "this kernel does not defer its work";
    }
    auto* const word = const_cast<unsigned*>(ring.flags_word());
    // By one who was slow to say what he had brought.
    __atomic_fetch_or(word, IORING_SQ_TASKRUN | IORING_SQ_NEED_WAKEUP, __ATOMIC_SEQ_CST);
    static_cast<void>(ring.enter_nowait());
    const unsigned left = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    EXPECT_EQ(left & IORING_SQ_TASKRUN, 0U) << "a loop would never sleep again";
    EXPECT_NE(left & IORING_SQ_NEED_WAKEUP, 0U) << "the other bits are not ours to take back";
}

/// The owner goes by the word alone, and never waits.
TEST_F(RingWords, NoWordFromTheKernelIsLostWhileOthersAreForgotten) {
    detail::Ring ring(8);
    constexpr std::uint64_t kWrites = 100'000;
    const int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT_LE(0, bell);
    io_uring_sqe* const sqe = ring.sqe_nowait();
    io_uring_prep_poll_multishot(sqe, bell, POLLIN);
    sqe->user_data = 16;
    static_cast<void>(ring.enter_nowait());
    std::jthread writer([bell] {
        const std::uint64_t one = 1;
        for (std::uint64_t i = 0; i < kWrites; ++i) {
            EXPECT_EQ(static_cast<ssize_t>(sizeof one), ::write(bell, &one, sizeof one));
        }
    });
    std::uint64_t heard = 0;
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (heard < kWrites && std::chrono::steady_clock::now() < end) {
        if ((__atomic_load_n(ring.flags_word(), __ATOMIC_RELAXED) & detail::Ring::kWantsEnter) != 0) {
            static_cast<void>(ring.enter_nowait());
        }
        const unsigned came = ring.reap([](std::uint64_t, int, unsigned flags) {
            EXPECT_NE(flags & IORING_CQE_F_MORE, 0U) << "the kernel has given up the request";
        });
        std::uint64_t count = 0;
        if (came == 0) {
            std::this_thread::yield();
        } else if (::read(bell, &count, sizeof count) == sizeof count) {
            heard += count;
        }
    }
    EXPECT_EQ(kWrites, heard) << "a completion stays out";
    writer.join();
    ::close(bell);
}

}  // namespace
}  // namespace knit::test
