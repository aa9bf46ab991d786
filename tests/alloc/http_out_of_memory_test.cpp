// HTTP when one allocation fails: each in turn. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "failing_news.hpp"
#include "knit/http.hpp"
#include "knit/knit.hpp"

namespace {

/// Of this thread: how many allocations succeed before one fails; negative: all do.
thread_local int left = -1;
thread_local bool is_empty = false;  ///< all of this thread's fail
/// How often `left` has come to its end. Tests have one thread where they look at it; it publishes nothing.
knit::detail::Atomic<int> failed{0};

bool fails() noexcept {
    if (is_empty || left < 0 || left-- > 0) {
        return is_empty;
    }
    failed.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    return true;
}

int failed_now() { return failed.load(std::memory_order_relaxed); }  // relaxed: a count

}  // namespace

bool knit::test::refuses_memory() noexcept { return fails(); }

namespace knit {
namespace {

using namespace std::chrono_literals;
using http::BodyWriter;
using http::Request;
using http::Response;
using http::Router;

class HttpOutOfMemory : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

/// What frames are made of without asking the heap, taken away from this thread's loop until this ends.
class EmptyPool {
public:
    EmptyPool() {
        is_empty = true;
        for (std::size_t size = FramePool::kGranule; size <= FramePool::kLargest; size += FramePool::kGranule) {
            try {
                for (;;) {
                    void* const memory = detail::Worker::current()->pool().allocate(size);
                    taken_ = ::new (memory) Taken{taken_, size};
                }
            } catch (const std::bad_alloc&) {
                continue;
            }
        }
        is_empty = false;
    }
    EmptyPool(const EmptyPool&) = delete;
    EmptyPool& operator=(const EmptyPool&) = delete;
    ~EmptyPool() {
        while (taken_ != nullptr) {
            Taken* const next = taken_->next;
            FramePool::free_anywhere(taken_, taken_->size);
            taken_ = next;
        }
    }

private:
    using FramePool = detail::FramePool;
    struct Taken {
        Taken* next;
        std::size_t size;
    };

    Taken* taken_ = nullptr;
};

/// Rounds in which the first, the second ... allocation fails where the round says, until that has enough memory.
void for_each_failure(std::function<Coro<>(int number)> round) {
    constexpr int kMost = 200;
    int number = 0;
    for (int before = -1; before != failed_now() && number < kMost; ++number) {
        SCOPED_TRACE("allocation " + std::to_string(number));
        before = failed_now();
        run(
            [&]() -> Coro<> {
                get_running_loop().set_exception_handler([](const ExceptionContext&) {});
                Coro<> running = round(number);
                co_await std::move(running);
            },
            {.loops = 1, .slow_task = Duration::zero()});
    }
    EXPECT_GT(number, 1) << "nothing has failed";
    EXPECT_LT(number, kMost);
}

Coro<> turns(int count) {
    for (int i = 0; i < count; ++i) {
        co_await yield();
    }
}

/// What comes until the server closes, or for five seconds.
Coro<std::string> read_to_end(io::TcpStream& stream) {
    std::string answer;
    std::array<char, 4096> buffer;
    try {
        for (;;) {
            const std::size_t count = co_await wait_for(stream.read_some(buffer), 5s);
            if (count == 0) {
                break;
            }
            answer.append(buffer.data(), count);
        }
    } catch (const TimeoutError&) {
        answer.append("[open]");
    } catch (const std::system_error&) {
        answer.append("[reset]");
    }
    co_return answer;
}

/// Each answer is to its own request, or not there; the second request's handler may have failed.
void expect_in_order(std::string_view answer) {
    const std::array<std::string_view, 3> texts = {"FIRST", "SECOND", "THIRD"};
    std::size_t index = 0;
    for (std::size_t at = answer.find("HTTP/1.1 "); at != std::string_view::npos && index < 3; ++index) {
        const std::size_t end = answer.find("HTTP/1.1 ", at + 1);
        const std::string_view one = answer.substr(at, end - at);
        const bool is_right = one.find(texts[index]) != std::string_view::npos;
        EXPECT_TRUE(is_right || (index == 1 && one.starts_with("HTTP/1.1 500"))) << answer;
        at = end;
    }
}

Coro<Response> first(Request&) { co_return Response::text("FIRST"); }
Coro<Response> third(Request&) { co_return Response::text("THIRD"); }

/// The requests of one connection, whose second one has its body later.
Coro<> ask_three(const Router& router) {
    http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 0s});
    io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
    const std::string_view begin = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    const std::string_view end = "bodyGET /third HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    std::string answer;
    try {
        co_await stream.write(begin);
        co_await turns(30);
        co_await stream.write(end);
        answer = co_await read_to_end(stream);
    } catch (const std::bad_alloc&) {
        left = -1;  // the peer's own
    } catch (const std::system_error&) {
        left = -1;  // the server has ended the connection
    }
    expect_in_order(answer);
    stream.close();
    server.close();
    co_await server.wait_closed();
}

TEST_F(HttpOutOfMemory, NoAnswerTakesThePlaceOfAnotherWhereOneIsSentBesideAHandler) {
    for_each_failure([](int number) -> Coro<> {
        Router router;
        router.get("/first", first).get("/third", third);
        router.post("/second", [number](Request&) -> Coro<Response> {
            const EmptyPool pool;
            left = number;
            for (int i = 0; i < 5; ++i) {
                co_await yield();
            }
            left = -1;
            co_return Response::text("SECOND");
        });
        co_await ask_three(router);
    });
}

TEST_F(HttpOutOfMemory, NoAnswerTakesThePlaceOfAnotherWhereOneIsSentBeforeABodyIsRead) {
    for_each_failure([](int number) -> Coro<> {
        Router router;
        router.get("/first", first).get("/third", third);
        router.post("/second", [number](Request& request) -> Coro<Response> {
            const EmptyPool pool;
            left = number;
            try {
                Coro<std::string_view> reading = request.read_some();
                co_await std::move(reading);
            } catch (...) {
                left = -1;
                throw;
            }
            left = -1;
            co_return Response::text("SECOND");
        });
        co_await ask_three(router);
    });
}

TEST_F(HttpOutOfMemory, ABodyIsLateAlsoAfterATimerThatCouldNotBeMade) {
    for_each_failure([](int number) -> Coro<> {
        bool is_stuck = false;
        Router router;
        router.post("/", [number, &is_stuck](Request& request) -> Coro<Response> {
            const EmptyPool pool;
            for (int i = 0; i < 2; ++i) {
                left = i == 0 ? number : -1;
                try {
                    Coro<std::string_view> reading = request.read_some();
                    co_await with_timeout(i == 0 ? std::nullopt : std::optional<Duration>(2s), std::move(reading));
                } catch (const std::bad_alloc&) {
                    continue;
                } catch (const http::HttpError&) {
                    left = -1;
                    break;  // 408
                } catch (const TimeoutError&) {
                    is_stuck = true;
                }
            }
            co_return Response();
        });
        http::ServerOptions options;
        options.body_timeout = 10ms;
        options.shutdown_timeout = 0s;
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, options);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string_view request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
        co_await stream.write(request);
        co_await read_to_end(stream);
        EXPECT_FALSE(is_stuck);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
}

/// A connection of the session's is closed in its time.
Coro<> expect_closed(http::Server& server) {
    for (int i = 0; i < 1000 && server.connection_count() != 0; ++i) {
        co_await sleep(5ms);
    }
    EXPECT_EQ(server.connection_count(), 0U);
}

TEST_F(HttpOutOfMemory, ConnectionsThatNobodyUsesEndAlsoAfterATimerThatCouldNotBeMade) {
    for_each_failure([](int number) -> Coro<> {
        Router router;
        router.get("/first", first);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 0s});
        const http::Url url("http://" + server.local_endpoint().to_string() + "/first");
        http::SessionOptions options;
        options.keepalive = 20ms;
        http::ClientSession session(options);
        for (int i = 0; i < 2; ++i) {
            http::ClientResponse response = co_await session.get(url);
            left = i == 0 ? number : -1;
            try {
                const std::string text = co_await response.text();
                EXPECT_EQ(text, "FIRST");
            } catch (const std::bad_alloc&) {
                left = -1;
            }
            left = -1;
        }
        co_await expect_closed(server);
        server.close();
        co_await server.wait_closed();
    });
}

TEST_F(HttpOutOfMemory, ConnectionsThatNobodyUsesEndAlsoWhenTheirTimerCouldNotGoOn) {
    run([]() -> Coro<> {
        Router router;
        router.get("/first", first);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 0s});
        const http::Url url("http://" + server.local_endpoint().to_string() + "/first");
        http::SessionOptions options;
        options.keepalive = 100ms;
        http::ClientSession session(options);
        for (int i = 0; i < 3; ++i) {
            http::ClientResponse response = co_await session.get(url);
            co_await response.text();
            if (i == 0) {
                co_await sleep(50ms);
            } else if (i == 1) {
                const int before = failed_now();
                left = 0;
                while (failed_now() == before) {
                    co_await yield();  // until the timer of the first answer goes on for the second
                }
            }
        }
        co_await expect_closed(server);
        server.close();
        co_await server.wait_closed();
    }, {.loops = 1, .slow_task = Duration::zero()});
}

/// A loop that neither a connection nor its client is on.
Loop& third_loop(const Loop& client) {
    std::size_t id = 0;
    while (id == get_running_loop().id() || id == client.id()) {
        ++id;
    }
    return get_runtime().loop(id);
}

/// This loop has no memory from here on.
void lose_memory(std::optional<EmptyPool>& pool) {
    pool.emplace();
    is_empty = true;
}

/// Takes the text at "/" and "/stream", whose functions end on a loop without memory.
void expect_brought_home(http::HttpVersion version) {
    std::optional<EmptyPool> pool;
    run([version, &pool]() -> Coro<> {
        Loop& client = get_running_loop();
        Router router;
        router.get("/", [&client, &pool](Request&) -> Coro<Response> {
            Loop& away = third_loop(client);
            Response response = Response::text("went");
            co_await resume_on(away);
            lose_memory(pool);
            co_return response;
        });
        router.get("/stream", [&client, &pool](Request&) -> Coro<Response> {
            co_return Response::stream([&client, &pool](BodyWriter& writer) -> Coro<> {
                Loop& away = third_loop(client);
                co_await writer.write("went");
                co_await resume_on(away);
                lose_memory(pool);
            });
        });
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 0s});
        http::SessionOptions options;
        options.http_version = version;
        {
            http::ClientSession session(options);
            for (const std::string_view path : {"/", "/stream"}) {
                std::string text;
                try {
                    http::ClientResponse response =
                        co_await session.get("http://" + server.local_endpoint().to_string() + std::string(path));
                    text = co_await response.text();
                } catch (const http::ServerProtocolError& error) {
                    text = error.what();
                }
                EXPECT_EQ(text, "went") << path;
                for (std::size_t id = 0; id < 3; ++id) {
                    co_await resume_on(get_runtime().loop(id));
                    is_empty = false;
                }
                co_await resume_on(client);
                pool.reset();
            }
        }
        server.close();
        co_await server.wait_closed();
    }, {.loops = 3, .slow_task = Duration::zero()});
}

TEST_F(HttpOutOfMemory, AFunctionThatEndsOnALoopWithoutMemoryIsBroughtHome) {
    expect_brought_home(http::HttpVersion::http1);
    expect_brought_home(http::HttpVersion::http2);
}

}  // namespace
}  // namespace knit
