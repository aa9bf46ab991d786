// The server: tasks that read a request and write its answer at the same time, and what they leave behind.
#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::BodyWriter;
using http::HttpError;
using http::Request;
using http::Response;
using http::Router;
using http::Server;
using http::ServerOptions;

constexpr std::string_view kBegun =
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50\r\n\r\n0123456789";

/// All of the request's body; the status of the HttpError that ends it, or 0.
Coro<int> read_all(Request& request) {
    try {
        for (std::size_t size = 1; size != 0;) {
            const std::string_view piece = co_await request.read_some();
            size = piece.size();
        }
    } catch (const HttpError& error) {
        co_return error.status();
    }
    co_return 0;
}

std::string answer_of(Router router, std::string bytes, ServerOptions options = {}) {
    std::string answer;
    options.shutdown_timeout = 0s;
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, options);
        answer = co_await say(server.local_endpoint(), bytes);
        server.close();
        co_await server.wait_closed();
    });
    return answer;
}

TEST(HttpServerDuplex, ABodyIsLateWhateverAnotherTaskWritesMeanwhile) {
    Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        co_return Response::stream([&request](BodyWriter& writer) -> Coro<> {
            bool has_ended = false;
            const auto tick = [&]() -> Coro<> {
                for (int i = 0; i < 500 && !has_ended; ++i) {
                    co_await writer.write("tick\n");
                    co_await sleep(1ms);
                }
            };
            Task<> ticking = create_task(tick());
            const int status = co_await read_all(request);
            has_ended = true;
            co_await ticking;
            const std::string text = "read: " + std::to_string(status);
            co_await writer.write(text);
        });
    });
    ServerOptions options;
    options.body_timeout = 50ms;
    const std::string answer = answer_of(router, std::string(kBegun), options);
    EXPECT_EQ(count_of(answer, "read: 408"), 1);
    EXPECT_EQ(count_of(answer, "[open]"), 0);
}

/// Takes one write, the answer's head; the next one waits for ever.
class StuckStream {
public:
    explicit StuckStream(io::TcpStream stream) : stream_(std::move(stream)) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        if (std::exchange(is_stuck_, true)) {
            co_await sleep(std::chrono::hours(1));
        }
        co_await stream_.write(bytes);
    }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    io::TcpStream stream_;
    bool is_stuck_ = false;
};

TEST(HttpServerDuplex, AWriteIsLateWhateverAnotherTaskReadsMeanwhile) {
    std::error_code code;
    Router router;
    router.post("/", [&code](Request& request) -> Coro<Response> {
        co_return Response::stream([&](BodyWriter& writer) -> Coro<> {
            Task<> writing = create_task(writer.write("piece"));
            co_await read_all(request);
            try {
                const std::array<Task<>, 1> left = {writing};
                co_await with_timeout(std::optional<Duration>(5s), wait(left));
                co_await writing;
            } catch (const std::system_error& error) {
                code = error.code();
            }
        });
    });
    ServerOptions options;
    options.write_timeout = 50ms;
    options.shutdown_timeout = 0s;
    run_io([&]() -> Coro<> {
        const auto wrap = [](io::TcpStream stream) -> Coro<StuckStream> { co_return StuckStream(std::move(stream)); };
        get_running_loop().set_exception_handler([](const ExceptionContext&) {});
        Server server = co_await http::serve("127.0.0.1:0", router, options, wrap);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write(kBegun);
        std::array<char, 1000> buffer;
        co_await stream.read_some(buffer);  // the head: the next write is under way
        const std::string rest(40, 'x');
        co_await stream.write(rest);
        try {
            while (const std::size_t count = co_await stream.read_some(buffer)) {
                EXPECT_NE(count, 0U);
            }
        } catch (const std::system_error&) {
            stream.close();  // cut off, as it should be
        }
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(code, std::errc::timed_out);
}

/// Writes take some turns, and are counted.
struct Writes {
    int now = 0;
    int most = 0;
};
class SlowStream {
public:
    SlowStream(io::TcpStream stream, Writes& writes) : stream_(std::move(stream)), writes_(&writes) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        writes_->most = std::max(writes_->most, ++writes_->now);
        co_await turns(5);
        co_await stream_.write(bytes);
        --writes_->now;
    }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    io::TcpStream stream_;
    Writes* writes_;
};

TEST(HttpServerDuplex, OneWriteAtATimeIsUnderWay) {
    Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        co_return Response::stream([&request](BodyWriter& writer) -> Coro<> {
            const std::string large(40'000, 'x');
            co_await writer.write(large);
            Task<int> reading = create_task(read_all(request));
            for (int i = 0; i < 10; ++i) {
                co_await yield();
                co_await writer.write("small");
            }
            co_await reading;
        });
    });
    Writes writes;
    ServerOptions options;
    options.shutdown_timeout = 0s;
    std::string answer;
    run_io([&]() -> Coro<> {
        const auto wrap = [&writes](io::TcpStream stream) -> Coro<SlowStream> {
            co_return SlowStream(std::move(stream), writes);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, options, wrap);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write(kBegun);
        std::array<char, 4096> buffer;
        bool has_ended = false;
        while (const std::size_t count = co_await stream.read_some(buffer)) {
            answer.append(buffer.data(), count);
            if (count_of(answer, "small") == 10 && !std::exchange(has_ended, true)) {
                const std::string rest(40, 'x');
                co_await stream.write(rest);
            }
        }
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(writes.most, 1);
    EXPECT_EQ(count_of(answer, "\r\n5\r\nsmall"), 10);
    EXPECT_TRUE(answer.ends_with("small\r\n0\r\n\r\n"));
}

constexpr std::string_view kTwo = "GET /left HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";

Coro<Response> hello(Request&) { co_return Response::text("Hello"); }

TEST(HttpServerDuplex, ABodyWhoseFunctionLeavesAWriteIsCutOff) {
    const std::string piece(24 << 20, 'x');
    for (const bool is_counted : {false, true}) {
        Task<> left;
        Router router;
        router.get("/", hello).get("/left", [&](Request&) -> Coro<Response> {
            const auto produce = [&](BodyWriter& writer) -> Coro<> {
                left = create_task(writer.write(piece));
                co_await yield();
            };
            co_return Response::stream(produce, is_counted ? std::optional<std::uint64_t>(piece.size()) : std::nullopt);
        });
        std::vector<std::string> messages;
        run_io([&]() -> Coro<> {
            get_running_loop().set_exception_handler([&messages](const ExceptionContext& context) {
                try {
                    std::rethrow_exception(context.exception);
                } catch (const RuntimeError& error) {
                    messages.emplace_back(error.what());
                }
            });
            Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
            const std::string answer = co_await say(server.local_endpoint(), std::string(kTwo));
            EXPECT_EQ(count_of(answer, "HTTP/1.1"), 1) << "what follows would be taken for its body";
            EXPECT_LT(answer.size(), piece.size());
            EXPECT_FALSE(answer.ends_with("\r\n0\r\n\r\n"));
            bool has_failed = false;
            try {
                co_await left;
            } catch (const std::system_error&) {
                has_failed = true;
            }
            EXPECT_TRUE(has_failed);
            left = Task<>();
            server.close();
            co_await server.wait_closed();
        });
        ASSERT_EQ(messages.size(), 1U);
        EXPECT_NE(messages.front().find("write()"), std::string::npos) << messages.front();
    }
}

TEST(HttpServerDuplex, AWriterThatIsLeftBehindWritesIntoNoOtherAnswer) {
    for (const unsigned loops : {1U, 2U}) {
        std::optional<BodyWriter> left;
        Router router;
        router.get("/", hello).get("/left", [&](Request&) -> Coro<Response> {
            co_return Response::stream([&left](BodyWriter& writer) -> Coro<> {
                left = writer;
                co_await writer.write("piece");
            });
        });
        std::error_code code;
        run_io([&]() -> Coro<> {
            Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            co_await stream.write(kTwo);
            std::string answer;
            std::array<char, 4096> buffer;
            while (count_of(answer, "Hello") == 0) {
                const std::size_t count = co_await stream.read_some(buffer);
                answer.append(buffer.data(), count);
            }
            co_await resume_on(get_runtime().loop(loops - 1));
            try {
                co_await left->write("another");
            } catch (const std::system_error& error) {
                code = error.code();
            }
            const std::string last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            co_await stream.write(last);
            while (const std::size_t count = co_await stream.read_some(buffer)) {
                answer.append(buffer.data(), count);
            }
            EXPECT_EQ(count_of(answer, "Hello"), 2);
            EXPECT_EQ(count_of(answer, "another"), 0) << answer;
            stream.close();
            server.close();
            co_await server.wait_closed();
        }, loops);
        EXPECT_EQ(code, std::errc::operation_canceled);
    }
}

}  // namespace
}  // namespace knit::test
