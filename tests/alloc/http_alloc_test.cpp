// What an HTTP server's request asks the heap for once it runs: nothing; one whose head trickles in: little. A binary
// of its own, because it replaces operator new.
#include <gtest/gtest.h>

#include <malloc.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "counted_news.hpp"
#include "knit/http.hpp"
#include "knit/http/detail/input.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using namespace std::chrono_literals;

using test::news_now;

Coro<http::Response> hello(http::Request&) { co_return http::Response::text("Hello, world!\n"); }

/// Sends the requests and reads as many bytes as their answers have.
Coro<> ask(io::TcpStream& stream, std::string_view requests, std::span<char> answers, int count) {
    for (int i = 0; i < count; ++i) {
        co_await stream.write(requests);
        co_await stream.read_exactly(answers);
    }
}

TEST(HttpServer, AllocatesNothingForARequest) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new, and frames come from it";
    }
    run([]() -> Coro<> {
        http::Router router;
        router.get("/", hello);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string_view request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
        co_await stream.write(request);
        std::string answer(4096, '\0');
        const std::size_t size = co_await stream.read_some(std::span<char>(answer));
        answer.resize(size);
        co_await ask(stream, request, answer, 100);
        const std::size_t before = news_now();
        co_await ask(stream, request, answer, 10'000);
        EXPECT_EQ(news_now() - before, 0U);
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        EXPECT_TRUE(answer.ends_with("\r\n\r\nHello, world!\n"));
        stream.close();
        server.close();
        co_await server.wait_closed();
    }, {.loops = 1});
}

TEST(HttpServer, AnIdleConnectionHoldsNothingOfItsLastRequest) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own allocator";
    }
    run([]() -> Coro<> {
        constexpr std::size_t kConnections = 20;
        http::Router router;
        router.get("/", hello);
        router.post("/", [](http::Request& request) -> Coro<http::Response> {
            const std::string body = co_await request.text();
            co_return http::Response::text(std::string(30'000, 'a') + body);
        });
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        std::string answer(100'000, '\0');
        std::vector<io::TcpStream> streams;
        const std::string_view requests[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "b"};
        std::size_t held[2] = {};
        for (std::size_t round = 0; round < 2; ++round) {
            for (std::size_t i = 0; i < kConnections; ++i) {
                if (round == 0) {
                    streams.push_back(co_await io::TcpStream::connect(server.local_endpoint()));
                }
                co_await streams[i].write(requests[round]);
                if (round == 1) {
                    co_await sleep(1ms);  // the body comes by itself
                    co_await streams[i].write(requests[2]);
                }
                const char end = round == 0 ? '\n' : 'b';
                for (char last = '\0'; last != end;) {
                    const std::size_t size = co_await streams[i].read_some(std::span<char>(answer));
                    last = answer[size - 1];
                }
            }
            co_await sleep(1ms);  // the last one is idle then
            held[round] = mallinfo2().uordblks;
        }
        EXPECT_LT(held[1], held[0] + kConnections * 500);
        streams.clear();
        server.close();
        co_await server.wait_closed();
    }, {.loops = 1});
}

TEST(HttpInput, AHeadThatTricklesInTakesFewAllocations) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new";
    }
    std::string head = "GET / HTTP/1.1\r\nCookie: ";
    for (int number = 0; head.size() < 10'000; ++number) {
        head += std::to_string(number);
    }
    for (const std::size_t room : {1U, 4096U}) {
        http::detail::Input input;
        const std::size_t before = news_now();
        for (const char letter : head) {
            input.make_room(room).front() = static_cast<std::byte>(letter);
            input.grow(1);
        }
        EXPECT_LT(news_now() - before, 20U) << room;
        EXPECT_EQ(input.rest(), head);
        const http::detail::Input moved = std::move(input);
        EXPECT_EQ(moved.rest(), head);
    }
}

}  // namespace
}  // namespace knit
