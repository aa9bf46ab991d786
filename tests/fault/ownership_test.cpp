// Whose a buffer is after the read that it was for has been cancelled.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include "edge.hpp"
#include "io_test.hpp"
#include "knit/io/tcp.hpp"
#include "knit/testing.hpp"
#include "program.hpp"

namespace knit::test {
namespace {

/// A page of its own, which can be taken from the kernel and from everybody.
class Page {
public:
    Page() : bytes_(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
    ~Page() { ::munmap(bytes_, kSize); }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;
    std::span<std::byte> bytes() { return {static_cast<std::byte*>(bytes_), kSize}; }
    void poison() {
        std::memset(bytes_, 0x5a, kSize);
        ::mprotect(bytes_, kSize, PROT_NONE);
    }
    bool is_untouched() {
        ::mprotect(bytes_, kSize, PROT_READ | PROT_WRITE);
        const auto all = bytes();
        return std::all_of(all.begin(), all.end(), [](std::byte each) { return each == std::byte{0x5a}; });
    }

private:
    static constexpr std::size_t kSize = 4096;
    void* const bytes_;
};

/// The count outlives the task, whose result a cancellation that comes too late takes away, as in asyncio.
Coro<> read_into(io::TcpStream& stream, std::span<std::byte> bytes, std::size_t& count) {
    count = co_await stream.read_some(bytes);
}

Coro<> cancel_reads(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Pair pair = co_await connected_pair();
    for (int round = 0; round < 20; ++round) {
        Page page;
        std::size_t given = 0;
        Task<> reader = create_task(read_into(pair.near, page.bytes(), given));
        co_await turns(static_cast<int>(random() % 4));
        const bool is_early = random() % 2 == 0;
        if (is_early) {
            const std::size_t sent = co_await pair.far.write_some("early");
            EXPECT_GT(sent, 0U);
        }
        reader.cancel();
        const Result<void> outcome = co_await as_result(reader);
        static_cast<void>(outcome);
        EXPECT_FALSE(fault::is_owned_by_kernel(page.bytes().data(), page.bytes().size()));
        page.poison();
        co_await pair.far.write("late");
        co_await turns(4);
        EXPECT_TRUE(page.is_untouched());
        // Nothing was lost either: what the cancelled read did not give is still there.
        std::string text(64, '\0');
        const std::size_t expected = 4 + (is_early ? 5 - given : 0);
        std::size_t count = 0;
        while (count < expected) {
            count += co_await pair.near.read_some(std::as_writable_bytes(std::span(text)).subspan(count));
        }
        EXPECT_EQ(count, expected);
    }
}

TEST(Ownership, TheKernelNeverWritesToTheBufferOfACancelledRead) {
    testing::for_each_seed(1, 20, [](std::uint64_t seed) {
        const fault::Plan plan{.seed = seed, .held = 200, .swapped = 200, .enters = 50, .short_enters = 100};
        run_at_edge(plan, 1, cancel_reads(seed));
        if (::testing::Test::HasFailure()) {
            throw std::logic_error("the buffer was touched");
        }
    });
    fault::set_plan({});
}

TEST(Ownership, IsSeenWhileAReadIsInTheKernel) {
    fault::set_plan({});
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Page page;
        Task<std::size_t> reader = create_task(pair.near.read_some(page.bytes()));
        co_await turns();
        EXPECT_TRUE(fault::is_owned_by_kernel(page.bytes().data(), 1));
        reader.cancel();
        const Result<std::size_t> outcome = co_await as_result(reader);
        EXPECT_FALSE(outcome.has_value());
        EXPECT_FALSE(fault::is_owned_by_kernel(page.bytes().data(), 1));
    });
}

}  // namespace
}  // namespace knit::test
