// What the epoll driver asks the heap for in the steady state: nothing. A binary of its own, because it replaces
// operator new.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string_view>

#include "knit/knit.hpp"

namespace {

// Any thread counts up, the test reads; it publishes nothing.
knit::detail::Atomic<std::size_t> news{0};

}  // namespace

// The sanitizers bring their own, and the test is skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
// Not inlined, else GCC pairs what it sees of malloc with delete and warns.
KNIT_NOINLINE void* operator new(std::size_t size) {
    news.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    if (void* const memory = std::malloc(size != 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
KNIT_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
KNIT_NOINLINE void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
#endif

namespace knit {
namespace {

Coro<> echo(io::TcpStream stream) {
    char buffer[64];
    std::size_t count = co_await stream.read_some(buffer);
    while (count != 0) {
        co_await stream.write(std::string_view(buffer, count));
        count = co_await stream.read_some(buffer);
    }
}

Coro<> exchange(io::TcpStream& stream, int rounds) {
    char buffer[64];
    for (int round = 0; round < rounds; ++round) {
        co_await stream.write(std::string_view("hello"));
        std::size_t count = 0;
        while (count < 5) {
            const std::size_t more = co_await stream.read_some(std::span(buffer).subspan(count));
            count += more;
        }
    }
}

TEST(EpollSteadyState, AnEchoAllocatesNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new";
    }
    RunOptions options;
    options.loops = 1;
    options.driver = DriverKind::epoll;
    run(
        []() -> Coro<> {
            io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
            io::TcpStream near = co_await io::TcpStream::connect(listener.local_endpoint());
            io::TcpStream far = co_await listener.accept();
            Task<> echoing = create_task(echo(std::move(far)));
            co_await exchange(near, 100);
            const std::size_t before = news.load(std::memory_order_relaxed);  // relaxed: a count
            co_await exchange(near, 1000);
            EXPECT_EQ(before, news.load(std::memory_order_relaxed));  // relaxed: a count
            near.close();
            co_await echoing;
        },
        options);
}

}  // namespace
}  // namespace knit
