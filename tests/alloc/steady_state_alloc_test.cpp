// What the steady state asks the heap for: nothing. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "counted_news.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using test::news_now;

class SteadyState : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new, and frames come from it";
        }
    }
};

Coro<long> fib_spawn(int n) {
    if (n < 2) {
        co_return n;
    }
    auto [a, b] = co_await gather(spawn(fib_spawn(n - 1)), spawn(fib_spawn(n - 2)));
    co_return a + b;
}

Coro<long> fib_mixed(int n) {
    if (n < 2) {
        co_return n;
    }
    auto [a, b] = co_await gather(spawn(fib_mixed(n - 1)), fib_mixed(n - 2));
    co_return a + b;
}

TEST_F(SteadyState, ForkJoinAllocatesNothing) {
    run([]() -> Coro<> {
        // Every few milliseconds the oldest task goes before its turn, so how many there are at once depends on the
        // machine: the memory for them is there when a round has been like one before.
        std::size_t allocated = 1;
        for (int round = 0; round < 20 && allocated != 0; ++round) {
            const std::size_t before = news_now();
            const long first = co_await fib_spawn(18);
            const long second = co_await fib_mixed(18);
            allocated = news_now() - before;
            EXPECT_EQ(first + second, 2 * 2584);
        }
        EXPECT_EQ(allocated, 0U);
    }, {.loops = 1, .slow_task = Duration::zero()});
}

TEST_F(SteadyState, TasksYieldsAndSleepsAllocateNothing) {
    run([]() -> Coro<> {
        const auto round = []() -> Coro<> {
            co_await yield();
            co_await sleep(Duration(1));
        };
        for (int i = 0; i < 100; ++i) {
            co_await create_task(round());
        }
        const std::size_t before = news_now();
        for (int i = 0; i < 10'000; ++i) {
            co_await create_task(round());
        }
        EXPECT_EQ(news_now() - before, 0U);
    }, {.loops = 1, .slow_task = Duration::zero()});
}

Coro<> echo(io::TcpStream stream) {
    std::array<char, 256> buffer;
    for (;;) {
        const std::size_t got = co_await stream.read_some(buffer);
        if (got == 0) {
            co_return;
        }
        co_await stream.write(std::string_view(buffer.data(), got));
    }
}

Coro<> round_trips(io::TcpStream& stream, int count) {
    std::array<char, 64> buffer{};
    for (int i = 0; i < count; ++i) {
        co_await stream.write(std::string_view(buffer.data(), buffer.size()));
        co_await stream.read_exactly(buffer);
    }
}

TEST_F(SteadyState, TenThousandEchoRoundTripsAllocateNothing) {
    run([]() -> Coro<> {
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), echo);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await round_trips(stream, 100);
        const std::size_t before = news_now();
        co_await round_trips(stream, 10'000);
        EXPECT_EQ(news_now() - before, 0U);
        stream.close();
        server.close();
        co_await server.wait_closed();
    }, {.loops = 1, .slow_task = Duration::zero()});
}

}  // namespace
}  // namespace knit
