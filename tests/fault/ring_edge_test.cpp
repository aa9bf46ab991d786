// A ring whose kernel refuses requests or does not look, and rings that end on another thread than their own.

#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>

#include "edge.hpp"
#include "io_test.hpp"
#include "ring.hpp"

namespace knit::test {
namespace {

class RingAtTheEdge : public testing::Test {
protected:
    void TearDown() override { fault::set_plan({}); }

    static void receive(detail::Ring& ring, int socket, char& byte) {
        io_uring_sqe* const sqe = ring.sqe_nowait();
        io_uring_prep_recv(sqe, socket, &byte, 1, 0);
        sqe->user_data = reinterpret_cast<std::uintptr_t>(&byte);
    }
    static unsigned reap(detail::Ring& ring) {
        return ring.reap([](std::uint64_t, int, unsigned) {});
    }
    static unsigned* word_of(const detail::Ring& ring) { return const_cast<unsigned*>(ring.flags_word()); }
    static bool is_marked(const detail::Ring& ring) {
        return (__atomic_load_n(ring.flags_word(), __ATOMIC_SEQ_CST) & IORING_SQ_TASKRUN) != 0;
    }
    static void mark(const detail::Ring& ring) {
        __atomic_fetch_or(word_of(ring), IORING_SQ_TASKRUN, __ATOMIC_SEQ_CST);
    }
};

/// The memory that a second request needs is that of the first, which has completed.
TEST_F(RingAtTheEdge, WhereTheKernelRefusesRequestsItIsStillAskedForCompletions) {
    fault::set_plan({.seed = 1, .has_one_request = true});
    detail::Ring ring(8);
    std::array<int, 2> pair{};
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()));
    alignas(8) std::array<char, 16> bytes{};
    receive(ring, pair[0], bytes[0]);
    EXPECT_EQ(detail::Ring::Entered::done, ring.enter_nowait());
    receive(ring, pair[0], bytes[8]);
    EXPECT_EQ(detail::Ring::Entered::busy, ring.enter_nowait());
    EXPECT_EQ(0U, reap(ring));
    EXPECT_EQ(2, ::send(pair[1], "ab", 2, 0));
    EXPECT_EQ(detail::Ring::Entered::busy, ring.enter_nowait());
    EXPECT_EQ(1U, reap(ring)) << "what holds the memory is never collected";
    EXPECT_EQ(detail::Ring::Entered::done, ring.enter_nowait());
    EXPECT_EQ(1U, reap(ring));
    EXPECT_EQ('a', bytes[0]);
    EXPECT_EQ('b', bytes[8]);
    ::close(pair[0]);
    ::close(pair[1]);
}

TEST_F(RingAtTheEdge, WhatTheKernelHasNotLookedAtIsNotForgotten) {
    fault::set_plan({.seed = 1, .enters = 1000});
    detail::Ring ring(8);
    for (int round = 0; round < 20; ++round) {  // EINTR, EAGAIN and EBUSY
        mark(ring);
        static_cast<void>(ring.enter_nowait());
        EXPECT_TRUE(is_marked(ring));
    }
}

/// There the bit is set before the work can be found: taken back, it would be missed.
TEST_F(RingAtTheEdge, TheWordOfAKernelThatDoesNotDeferIsItsOwnToTakeBack) {
    fault::set_plan({.seed = 1, .denied_flags = IORING_SETUP_DEFER_TASKRUN});
    detail::Ring ring(8);
    mark(ring);
    static_cast<void>(ring.enter_nowait());
    EXPECT_TRUE(is_marked(ring));
}

/// The kernel registers rings by thread. Loop 1's ring is destroyed on this thread, whose first is another runtime's.
TEST_F(RingAtTheEdge, ARuntimeThatClosesLeavesTheRingsOfOthersAlone) {
    for (const unsigned denied : {0U, static_cast<unsigned>(IORING_SETUP_SINGLE_ISSUER)}) {
        fault::set_plan({.denied_flags = denied});
        Runtime first({.loops = 1});
        first.run_until_complete(sleep(Duration(1)));
        auto second = std::make_unique<Runtime>(RunOptions{.loops = 2});
        second.reset();
        first.run_until_complete(sleep(Duration(1)));
    }
}

}  // namespace
}  // namespace knit::test
