// Sessions and servers of HTTP that end where there is no memory. A binary of its own: it replaces operator new.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <new>
#include <string>
#include <string_view>

#include "failing_news.hpp"
#include "knit/http.hpp"
#include "knit/knit.hpp"

namespace {

thread_local bool is_empty = false;  ///< all allocations of this thread fail
thread_local int refused = 0;        ///< how many have

}  // namespace

bool knit::test::refuses_memory() noexcept {
    refused += is_empty ? 1 : 0;
    return is_empty;
}

namespace knit {
namespace {

using namespace std::chrono_literals;
using http::Request;
using http::Response;
using http::Router;

class HttpEndOutOfMemory : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

Coro<Response> hello(Request&) { co_return Response::text("Hello"); }

Coro<> fetch(http::ClientSession& session, const http::Server& server) {
    http::ClientResponse response = co_await session.get("http://" + server.local_endpoint().to_string() + "/");
    const std::string text = co_await response.text();
    EXPECT_EQ(text, "Hello");
}

Coro<> end_session(http::SessionOptions options) {
    Router router;
    router.get("/", hello);
    http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 5s});
    {
        http::ClientSession session(options);
        co_await fetch(session, server);
        is_empty = true;
    }
    is_empty = false;
    server.close();  // which its client is told
    co_await server.wait_closed();
}

TEST_F(HttpEndOutOfMemory, ASessionEndsWithoutMemory) {
    run([]() -> Coro<> {
        http::SessionOptions options;
        co_await end_session(options);
        options.http_version = http::HttpVersion::http2;
        try {
            co_await end_session(options);
        } catch (const RuntimeError& error) {
            EXPECT_NE(std::string(error.what()).find("without"), std::string::npos) << error.what();
        }
    });
    EXPECT_GT(refused, 0);
}

TEST_F(HttpEndOutOfMemory, AServerEndsWithoutMemory) {
    const int before = refused;
    run(
        []() -> Coro<> {
            Router router;
            router.get("/", hello);
            http::ClientSession session;
            {
                http::Server server =
                    co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 5s});
                co_await fetch(session, server);
                is_empty = true;
            }
            is_empty = false;
            session.close();  // its connection is not told of the server's end, and ends with its own
        },
        {.loops = 2});
    EXPECT_GT(refused, before);
}

/// The beginning of an HTTP/2 connection; GET "/" on its first stream, a reset of that, and a PING.
constexpr std::string_view kHello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
                                  "\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a", 48);
constexpr std::string_view kReset("\0\0\4\3\0\0\0\0\1\0\0\0\10\0\0\10\6\0\0\0\0\0PINGPONG", 30);

/// What a handler tells that has gone to another loop, and whose own has no memory.
struct Gone {
    Event begun;
    Event go;
    Event ended;
    Loop* home = nullptr;
    bool was_cancelled = false;
};

Coro<Response> go_away(Gone& gone, const Loop& client) {
    gone.home = &get_running_loop();
    Loop& away = get_runtime().loop((gone.home->id() + 1) % 2);
    const bool is_far = gone.home != &client;
    is_empty = is_far;
    co_await resume_on(away);
    gone.begun.set();
    try {
        co_await gone.go.wait();
    } catch (const CancelledError&) {
        gone.was_cancelled = true;
    }
    co_await resume_on(*gone.home);
    is_empty = false;
    gone.ended.set();
    co_return Response::text("went");
}

/// Has its request reset by its peer; whether it was far from the client, who needs memory.
Coro<bool> reset_one(Gone& gone, const http::Server& server) {
    gone.begun.clear();
    gone.go.clear();
    gone.ended.clear();
    gone.was_cancelled = false;
    io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
    co_await stream.write(kHello);
    co_await gone.begun.wait();
    co_await stream.write(kReset);
    std::string come;
    std::array<char, 1000> buffer;
    for (std::size_t size = 1; size != 0 && come.find("PINGPONG") == std::string::npos;) {
        size = co_await stream.read_some(buffer);
        come.append(buffer.data(), size);
    }
    gone.go.set();
    co_await gone.ended.wait();
    stream.close();
    const bool was_far = gone.home != &get_running_loop();
    EXPECT_EQ(gone.was_cancelled, !was_far);
    co_return was_far;
}

TEST_F(HttpEndOutOfMemory, ARequestIsResetOnALoopWithoutMemoryWhileItsHandlerIsElsewhere) {
    run(
        []() -> Coro<> {
            Gone gone;
            Router router;
            router.get("/", [&gone, &client = get_running_loop()](Request&) { return go_away(gone, client); });
            http::Server server =
                co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 5s});
            while (!co_await reset_one(gone, server)) {
                co_await yield();
            }
            server.close();
            co_await server.wait_closed();
        },
        {.loops = 2});
}

}  // namespace
}  // namespace knit
