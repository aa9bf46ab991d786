// Sessions and servers of HTTP that end where there is no memory. A binary of its own: it replaces operator new.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <new>
#include <string>

#include "knit/http.hpp"
#include "knit/knit.hpp"

namespace {

thread_local bool is_empty = false;  ///< all allocations of this thread fail
thread_local int refused = 0;        ///< how many have

}  // namespace

// The sanitizers bring their own, and the tests are skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
// Not inlined, else GCC pairs what it sees of malloc with delete and warns.
KNIT_NOINLINE void* operator new(std::size_t size) {
    if (!is_empty) {
        if (void* const memory = std::malloc(size != 0 ? size : 1)) {
            return memory;
        }
    }
    ++refused;
    throw std::bad_alloc();
}
KNIT_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
KNIT_NOINLINE void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
#endif

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

}  // namespace
}  // namespace knit
