// The server: whom a deadline is for, when the peer is late or has gone.
#include <array>
#include <span>
#include <stdexcept>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::Request;
using http::Response;
using http::Router;
using http::Server;
using http::ServerOptions;

/// Breaks off what it has begun to send, without a good-bye.
Coro<> send_a_part(io::Endpoint where, Event& begun) {
    io::TcpStream stream = co_await io::TcpStream::connect(std::move(where));
    co_await stream.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n0123456789");
    co_await begun.wait();
    stream.linger(0s);
    stream.close();
}

TEST(HttpServerWait, ABodyThatFailsLeavesItsHandlerAlone) {
    Event begun;
    bool has_failed = false;
    bool is_cancelled = false;
    Event ended;
    Router router;
    router.post("/", [&](Request& request) -> Coro<Response> {
        try {
            for (;;) {
                co_await request.read_some();
                begun.set();
            }
        } catch (const std::system_error&) {
            has_failed = true;
        }
        try {
            co_await sleep(200ms);  // the body's deadline comes meanwhile, and is nobody's
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        ended.set();
        co_return Response();
    });
    ServerOptions options;
    options.body_timeout = 50ms;
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, options);
        co_await send_a_part(server.local_endpoint(), begun);
        co_await ended.wait();
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_TRUE(has_failed);
    EXPECT_FALSE(is_cancelled);
}

/// Takes so many writes, and nothing after that.
class StuckStream {
public:
    StuckStream(io::TcpStream stream, Event& was_given_up, int writes)
        : stream_(std::move(stream)), was_given_up_(&was_given_up), writes_(writes) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        if (writes_-- > 0) {
            co_await stream_.write(bytes);
            co_return;
        }
        try {
            co_await sleep(std::chrono::hours(1));
        } catch (const CancelledError&) {
            was_given_up_->set();
            throw;
        }
    }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }
    void abort() { stream_.close(); }

private:
    io::TcpStream stream_;
    Event* was_given_up_;
    int writes_;
};

TEST(HttpServerWait, APeerThatTakesNoAnswerLeavesTheNextRequestsHandlerAlone) {
    Event was_given_up;
    Event ended;
    bool is_cancelled = false;
    Router router;
    router.get("/", [](Request&) -> Coro<Response> { co_return Response::text("hello"); });
    router.get("/slow", [&](Request&) -> Coro<Response> {
        try {
            co_await was_given_up.wait();
            co_await turns(5);
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        ended.set();
        co_return Response::text("slow");
    });
    ServerOptions options;
    options.write_timeout = 20ms;
    run_io([&]() -> Coro<> {
        const auto wrap = [&was_given_up](io::TcpStream stream) -> Coro<StuckStream> {
            co_return StuckStream(std::move(stream), was_given_up, 0);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, options, wrap);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        co_await ended.wait();
        EXPECT_FALSE(is_cancelled);
        char buffer[100];
        const std::size_t count = co_await stream.read_some(buffer);
        EXPECT_EQ(count, 0U) << "nothing follows what was not sent";
        server.close();
        co_await with_timeout(std::optional<Duration>(5s), server.wait_closed());
    });
}

TEST(HttpServerWait, ABodyThatIsLateIsAnErrorOfTheTaskThatReadsIt) {
    Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        const auto read = [](Request& from) -> Coro<> { co_await from.read_some(); };
        Task<> reading = create_task(read(request));
        Event never;
        int status = 0;
        bool is_cancelled = false;
        const auto note = [&]() -> Coro<> {
            try {
                co_await reading;
            } catch (const http::HttpError& error) {
                status = error.status();
            }
            never.set();
        };
        Task<> noting = create_task(note());
        try {
            co_await never.wait();
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        reading.cancel();
        co_await noting;
        co_return Response::text(is_cancelled ? "cancelled" : "read: " + std::to_string(status));
    });
    ServerOptions options;
    options.body_timeout = 20ms;
    std::string answer;
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, options);
        answer = co_await say(server.local_endpoint(),
                              "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50\r\n\r\n");
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(count_of(answer, "read: 408"), 1) << answer;
}

TEST(HttpServerWait, APeerThatTakesNothingIsAnErrorOfTheTaskThatWrites) {
    Event was_given_up;
    std::error_code code;
    bool is_cancelled = false;
    Router router;
    router.get("/", [&](Request&) -> Coro<Response> {
        co_return Response::stream([&](http::BodyWriter& writer) -> Coro<> {
            Event ended;
            const auto write = [&]() -> Coro<> {
                try {
                    co_await writer.write("piece");
                } catch (const std::system_error& error) {
                    code = error.code();
                }
                ended.set();
            };
            Task<> writing = create_task(write());
            try {
                co_await ended.wait();
            } catch (const CancelledError&) {
                is_cancelled = true;
            }
            writing.cancel();
            const std::array<Task<>, 1> left = {writing};
            co_await wait(left);
        });
    });
    ServerOptions options;
    options.write_timeout = 20ms;
    run_io([&]() -> Coro<> {
        const auto wrap = [&was_given_up](io::TcpStream stream) -> Coro<StuckStream> {
            co_return StuckStream(std::move(stream), was_given_up, 1);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, options, wrap);
        const std::string answer = co_await say(server.local_endpoint(), get("/"));
        EXPECT_EQ(count_of(answer, "piece"), 0) << answer;
        server.close();
        co_await with_timeout(std::optional<Duration>(5s), server.wait_closed());
    });
    EXPECT_FALSE(is_cancelled);
    EXPECT_EQ(code, std::errc::timed_out);
}

/// What becomes of a stream that throws what no stream should.
struct Fate {
    int closed = 0;
    int waited_for = 0;
};

/// So many reads and writes are those of the stream below.
class FaultyStream {
public:
    FaultyStream(io::TcpStream stream, Fate& fate, int reads, int writes)
        : stream_(std::move(stream)), fate_(&fate), reads_(reads), writes_(writes) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        count_down(reads_);
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        count_down(writes_);
        co_await stream_.write(bytes);
    }
    void shutdown() { stream_.shutdown(); }
    void close() {
        ++fate_->closed;
        stream_.close();
    }
    Coro<> wait_closed() {
        ++fate_->waited_for;
        co_return;
    }

private:
    static void count_down(int& left) {
        if (left-- == 0) {
            throw std::runtime_error("mine");
        }
    }

    io::TcpStream stream_;
    Fate* fate_;
    int reads_;
    int writes_;
};

/// How many errors the loop is told of.
int errors_with(Router router, std::string bytes, Fate& fate, int reads, int writes) {
    int errors = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext&) { ++errors; });
        const auto wrap = [&](io::TcpStream stream) -> Coro<FaultyStream> {
            co_return FaultyStream(std::move(stream), fate, reads, writes);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, ServerOptions(), wrap);
        co_await say(server.local_endpoint(), std::move(bytes));
        server.close();
        co_await server.wait_closed();
    });
    return errors;
}

TEST(HttpServerWait, AStreamThatThrowsWhatNoneShouldIsClosedLikeAnyOther) {
    const std::string hello = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string slow = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    Router router;
    router.get("/", [](Request&) -> Coro<Response> { co_return Response::text("hello"); });
    router.get("/slow", [](Request&) -> Coro<Response> {
        co_await turns(20);  // the answer before goes meanwhile, or fails to
        co_return Response::text("slow");
    });
    constexpr int kMany = 100;
    Fate reading;
    EXPECT_EQ(errors_with(router, hello, reading, 1, kMany), 1);
    EXPECT_EQ(reading.closed, 1);
    EXPECT_EQ(reading.waited_for, 1);
    Fate writing;
    EXPECT_EQ(errors_with(router, hello + slow, writing, kMany, 0), 1);
    EXPECT_EQ(writing.closed, 1);
    EXPECT_EQ(writing.waited_for, 1);
}

TEST(HttpServerWait, AFaultThatIsNotThePeersHidesNoErrorOfTheHandlers) {
    Router router;
    router.get("/", [](Request&) -> Coro<Response> {
        co_return Response::stream([](http::BodyWriter& writer) -> Coro<> {
            try {
                co_await writer.write("piece");
            } catch (const std::runtime_error&) {
                throw std::system_error(std::make_error_code(std::errc::no_space_on_device));
            }
        });
    });
    Fate fate;
    EXPECT_EQ(errors_with(router, get("/"), fate, 100, 1), 1);
    EXPECT_EQ(fate.closed, 1);
}

TEST(HttpServerWait, AnAnswerThatIsTakenLittleByLittleIsNotLate) {
    Router router;
    router.get("/", [](Request&) -> Coro<Response> { co_return Response::text(std::string(30 << 10, 'x')); });
    run_io([&]() -> Coro<> {
        const auto wrap = [](io::TcpStream stream) -> Coro<LittleStream> {
            co_return LittleStream(std::move(stream), 20ms);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, {.write_timeout = 400ms}, wrap);
        const std::string answer = co_await say(server.local_endpoint(), get("/"));
        const std::string body(30 << 10, 'x');
        EXPECT_TRUE(answer.ends_with(body)) << answer.size() << ": 600 ms in all, 20 for each part";
        server.close();
        co_await server.wait_closed();
    });
}

}  // namespace
}  // namespace knit::test
