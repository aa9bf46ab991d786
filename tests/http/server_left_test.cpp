// The server: tasks that are left over from a request that is answered, and come back to it.
#include <array>
#include <deque>
#include <memory>

#include "http_test.hpp"
#include "knit/event.hpp"
#include "knit/future.hpp"
#include "knit/queue.hpp"

namespace knit::test {
namespace {

using http::BodyWriter;
using http::Request;
using http::Response;
using http::Router;
using http::Server;
using http::ServerOptions;

std::string post(std::string_view path, std::string_view body, std::string_view fields = {}) {
    std::string bytes = "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n";
    bytes.append(fields).append("Content-Length: ").append(std::to_string(body.size()));
    return bytes.append("\r\n\r\n").append(body);
}

/// A task that reads a piece of its request, and goes on when it is told to.
struct Left {
    Event has_begun;
    Event may_go_on;
    Event has_tried;
    std::string first;
    std::string second;
    std::string seen = "nothing";
    std::error_code code;
    Task<> task;
    bool makes_early = false;  ///< its second read, which it begins when it goes on
};

Coro<> read_twice(Request& request, Left& left) {
    left.first = co_await request.read_some();
    Coro<std::string_view> reading;
    if (left.makes_early) {
        reading = request.read_some();
    }
    left.has_begun.set();
    co_await left.may_go_on.wait();
    left.seen = std::string(request.method()).append(request.path()).append(request.header("host"));
    if (!left.makes_early) {
        reading = request.read_some();
    }
    try {
        left.second = co_await std::move(reading);
    } catch (const std::system_error& error) {
        left.code = error.code();
    }
    left.has_tried.set();
}

Coro<Response> leave(Request& request, Left& left) {
    left.task = create_task(read_twice(request, left));
    co_await left.has_begun.wait();
    co_return Response::text("left");
}

Coro<Response> meet(Request& request, Left& left) {
    left.may_go_on.set();
    co_await left.has_tried.wait();
    const std::string text = co_await request.text();
    co_return Response::text("met: " + text);
}

/// Reads until the text has come, or the server has closed, which takes five seconds at most.
Coro<std::string> read_until(io::TcpStream& stream, std::string_view text) {
    std::string come;
    std::array<char, 4096> buffer;
    while (count_of(come, text) == 0) {
        const std::size_t count = co_await wait_for(stream.read_some(buffer), 5s);
        if (count == 0) {
            break;
        }
        come.append(buffer.data(), count);
    }
    co_return come;
}

/// A server of `router`, a connection to it, and the ends of both.
void with_connection(Router router, std::function<Coro<>(io::TcpStream&)> body) {
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, ServerOptions());
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        Coro<> running = body(stream);
        co_await std::move(running);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
}

void expect_nothing_read(const Left& left) {
    EXPECT_EQ(left.second, "");
    EXPECT_EQ(left.seen, "") << "the texts of another request";
    EXPECT_EQ(left.code, std::errc::operation_canceled);
}

TEST(HttpServerLeft, ATaskThatComesBackInTheNextRequestReadsNothingOfIt) {
    for (const bool is_streamed : {false, true}) {
        Left left;
        Router router;
        router.post("/leave", [&left, is_streamed](Request& request) -> Coro<Response> {
            Response response = co_await leave(request, left);
            if (is_streamed) {
                co_return Response::stream([](BodyWriter& writer) -> Coro<> { co_await writer.write("left"); });
            }
            co_return response;
        });
        router.post("/meet", [&left](Request& request) { return meet(request, left); });
        with_connection(router, [](io::TcpStream& stream) -> Coro<> {
            const std::string first = post("/leave", "first");
            co_await stream.write(first);
            std::string answer = co_await read_until(stream, "left");
            const std::string second = post("/meet", "second") + post("/meet", "third");
            co_await stream.write(second);
            answer = co_await read_until(stream, "met: third");
            EXPECT_EQ(count_of(answer, "met: second"), 1) << answer;
            EXPECT_TRUE(answer.ends_with("met: third")) << answer;
        });
        EXPECT_EQ(left.first, "first");
        expect_nothing_read(left);
        left.task = Task<>();
    }
}

TEST(HttpServerLeft, NorDoManyThatAreLeftByOneConnection) {
    constexpr std::size_t kCount = 20;
    std::deque<Left> all;
    Router router;
    router.post("/leave", [&all](Request& request) { return leave(request, all.emplace_back()); });
    router.post("/meet", [&all](Request& request) -> Coro<Response> {
        for (Left& left : all) {
            left.may_go_on.set();
            co_await left.has_tried.wait();
        }
        const std::string text = co_await request.text();
        co_return Response::text("met: " + text);
    });
    with_connection(router, [](io::TcpStream& stream) -> Coro<> {
        std::string bytes;
        for (std::size_t count = 0; count < kCount; ++count) {
            bytes += post("/leave", "first");
        }
        bytes += post("/meet", "second");
        co_await stream.write(bytes);
        const std::string answer = co_await read_until(stream, "met: ");
        EXPECT_TRUE(answer.ends_with("met: second")) << answer;
    });
    EXPECT_EQ(all.size(), kCount);
    for (Left& left : all) {
        expect_nothing_read(left);
    }
    all.clear();
}

/// The connection ends in between, by its client or by the request.
void come_back_late(std::string_view fields, bool makes_early) {
    Left left;
    left.makes_early = makes_early;
    Router router;
    router.post("/leave", [&left](Request& request) { return leave(request, left); });
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, ServerOptions());
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string first = post("/leave", "first", fields);
        co_await stream.write(first);
        const std::string answer = co_await read_until(stream, "left");
        stream.close();
        server.close();
        co_await server.wait_closed();
        left.may_go_on.set();
        co_await left.has_tried.wait();
    });
    expect_nothing_read(left);
    left.task = Task<>();
}

TEST(HttpServerLeft, ATaskThatComesBackWhenTheConnectionHasEndedIsTold) {
    for (const std::string_view fields : {"", "Connection: close\r\n"}) {
        come_back_late(fields, false);
        come_back_late(fields, true);
    }
}

TEST(HttpServerLeft, ATaskThatComesBackAfterItsHandlerWasCancelledIsTold) {
    Left left;
    Router router;
    router.post("/leave", [&left](Request& request) -> Coro<Response> {
        left.task = create_task(read_twice(request, left));
        co_await left.has_begun.wait();
        co_await sleep(std::chrono::hours(1));
        co_return Response();
    });
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 0s});
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string first = post("/leave", "first");
        co_await stream.write(first);
        co_await left.has_begun.wait();
        server.close();
        co_await server.wait_closed();
        left.may_go_on.set();
        co_await left.has_tried.wait();
        stream.close();
    });
    expect_nothing_read(left);
    left.task = Task<>();
}

TEST(HttpServerLeft, AReadThatIsBegunForARequestBeforeReadsNothingOfTheNext) {
    Left left;
    std::optional<Coro<std::string_view>> unread;
    Router router;
    router.post("/leave", [&](Request& request) -> Coro<Response> {
        unread = request.read_some();
        Response response = co_await leave(request, left);
        co_return response;
    });
    router.post("/meet", [&](Request& request) -> Coro<Response> {
        try {
            left.second = co_await std::move(*unread);
        } catch (const std::system_error& error) {
            left.code = error.code();
        }
        const std::string text = co_await request.text();
        co_return Response::text("met: " + text);
    });
    with_connection(router, [&left](io::TcpStream& stream) -> Coro<> {
        const std::string both = post("/leave", "first") + post("/meet", "second");
        co_await stream.write(both);
        const std::string answer = co_await read_until(stream, "met: ");
        EXPECT_TRUE(answer.ends_with("met: second")) << answer;
        left.may_go_on.set();
        co_await left.has_tried.wait();
    });
    expect_nothing_read(left);
    left.task = Task<>();
}

Coro<std::string> read_one(Request& request) {
    const std::string_view piece = co_await request.read_some();
    co_return std::string(piece);
}

TEST(HttpServerLeft, AReadThatNoTaskHasBegunReadsNothingOfTheNext) {
    for (const bool is_whole : {true, false}) {
        std::optional<Coro<std::string>> text;
        std::optional<Coro<std::string_view>> piece;
        Left left;
        Router router;
        router.post("/leave", [&](Request& request) -> Coro<Response> {
            text = request.text();
            piece = request.read_some();
            co_return Response::text("left");
        });
        router.post("/meet", [&, is_whole](Request& request) -> Coro<Response> {
            try {
                if (is_whole) {
                    left.second = co_await create_task(std::move(*text));
                } else {
                    left.second = std::string(co_await std::move(*piece));
                }
            } catch (const std::system_error& error) {
                left.code = error.code();
            }
            const std::string rest = co_await read_one(request);
            co_return Response::text("met: " + rest);
        });
        with_connection(router, [](io::TcpStream& stream) -> Coro<> {
            const std::string both = post("/leave", "first") + post("/meet", "second");
            co_await stream.write(both);
            const std::string answer = co_await read_until(stream, "met: ");
            EXPECT_TRUE(answer.ends_with("met: second")) << answer;
        });
        EXPECT_EQ(left.second, "");
        EXPECT_EQ(left.code, std::errc::operation_canceled);
    }
}

TEST(HttpServerLeft, OneTaskMayReadTheBodiesOfManyRequestsForTheirHandlers) {
    struct Job {
        Request& request;
        Future<std::string> text;
    };
    Queue<std::shared_ptr<Job>> jobs;
    Task<> worker;
    Router router;
    router.post("/", [&](Request& request) -> Coro<Response> {
        const auto job = std::make_shared<Job>(Job{request, Future<std::string>()});
        co_await jobs.put(job);
        Future<std::string> ended = job->text;
        const std::string text = co_await ended;
        co_return Response::text("read: " + text);
    });
    const auto work = [&jobs]() -> Coro<> {
        for (;;) {
            const std::shared_ptr<Job> job = co_await jobs.get();
            std::string text = co_await job->request.text();
            job->text.set_result(std::move(text));
        }
    };
    with_connection(router, [&](io::TcpStream& stream) -> Coro<> {
        worker = create_task(work());
        std::string bytes;
        for (const std::string_view body : {"one", "two", "three", "four"}) {
            bytes += post("/", body);
        }
        co_await stream.write(bytes);
        const std::string answer = co_await read_until(stream, "read: four");
        for (const std::string_view text : {"read: one", "read: two", "read: three", "read: four"}) {
            EXPECT_EQ(count_of(answer, text), 1) << answer;
        }
        worker.cancel();
    });
    worker = Task<>();
}

}  // namespace
}  // namespace knit::test
