// HTTP/2 servers: tasks that read a request's body, and what becomes of those that its handler leaves behind.
#include <array>
#include <optional>

#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::BodyWriter;
using http::ClientResponse;
using http::ClientSession;
using http::HttpError;
using http::Request;
using http::RequestOptions;
using http::RequestWriter;
using http::Response;
using http::Router;
using http::Server;

/// POST with ten of fifty bytes.
std::string begun() {
    std::string block = get_block("/");
    block.front() = '\x83';  // ":method: POST"
    block += field("content-length", "50");
    return frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "0123456789");
}

/// What ends the reading, in a task that the request's own is not.
struct Read {
    std::error_code code;
    Event ended;
};

Coro<> read_all(Request& request, Read& read) {
    try {
        for (std::size_t size = 1; size != 0;) {
            const std::string_view piece = co_await request.read_some();
            size = piece.size();
        }
    } catch (const std::system_error& error) {
        read.code = error.code();
    }
    read.ended.set();
}

/// Reads until a frame of that type has come.
Coro<> read_until(io::TcpStream& stream, std::uint8_t type) {
    std::string rest;
    std::array<char, 4096> buffer;
    for (bool has_come = false; !has_come;) {
        const std::size_t count = co_await wait_for(stream.read_some(buffer), 5s);
        if (count == 0) {
            throw std::runtime_error("the server has closed");
        }
        rest.append(buffer.data(), count);
        std::string_view view = rest;
        while (const auto frame = take_frame(view)) {
            has_come = has_come || frame->type == type;
        }
        rest.erase(0, rest.size() - view.size());
    }
}

/// A request that is begun, answered, and reset; how many RuntimeErrors the loop is told of.
int errors_with(Router router, Read& read) {
    int errors = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext& context) {
            try {
                std::rethrow_exception(context.exception);
            } catch (const RuntimeError&) {
                ++errors;
            }
        });
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string first = hello() + begun();
        co_await stream.write(first);
        Coro<> answering = read_until(stream, kHeaders);
        co_await std::move(answering);
        const std::string last = frame(kReset, 0, 1, number(8)) + frame(kPing, 0, 0, "12345678");
        co_await stream.write(last);
        co_await wait_for(read.ended.wait(), 5s);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
    return errors;
}

TEST(Http2Reader, WhatAFailingHandlerLeavesReadingEndsWithTheRequest) {
    Read read;
    Router router;
    router.post("/", [&read](Request& request) -> Coro<Response> {
        auto both = gather(read_all(request, read), look_up_nothing());
        co_await std::move(both);
        co_return Response();
    });
    EXPECT_EQ(errors_with(router, read), 0) << "the handler's own error is the one that is told";
    EXPECT_EQ(read.code, std::errc::operation_canceled);
}

TEST(Http2Reader, AHandlerThatLeavesATaskReadingIsTold) {
    for (const bool is_streamed : {false, true}) {
        Read read;
        Task<> left;
        Router router;
        router.post("/", [&, is_streamed](Request& request) -> Coro<Response> {
            if (!is_streamed) {
                left = create_task(read_all(request, read));
                co_await turns(3);
                co_return Response::text("left");
            }
            co_return Response::stream([&](BodyWriter& writer) -> Coro<> {
                left = create_task(read_all(request, read));
                co_await writer.write("left");
            });
        });
        EXPECT_EQ(errors_with(router, read), 1);
        EXPECT_EQ(read.code, std::errc::operation_canceled);
        left = Task<>();
    }
}

/// Reads again when it is told to.
Coro<> read_twice(Request& request, Read& read, Event& has_begun, Event& may_go_on, std::string& seen) {
    co_await request.read_some();
    has_begun.set();
    co_await may_go_on.wait();
    seen = std::string(request.method()).append(request.path()).append(request.header("content-length"));
    Coro<> reading = read_all(request, read);
    co_await std::move(reading);
}

TEST(Http2Reader, ATaskThatComesBackWhenItsRequestHasGoneIsTold) {
    for (const bool is_reset : {true, false}) {
        Read read;
        Event has_begun;
        Event may_go_on;
        std::string seen = "nothing";
        Task<> left;
        Router router;
        router.post("/", [&](Request& request) -> Coro<Response> {
            left = create_task(read_twice(request, read, has_begun, may_go_on, seen));
            co_await has_begun.wait();
            co_return Response::text("left");
        });
        run_io([&]() -> Coro<> {
            Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            const std::string first = hello() + begun();
            co_await stream.write(first);
            Coro<> answering = read_until(stream, kHeaders);
            co_await std::move(answering);
            const std::string ping = frame(kPing, 0, 0, "12345678");
            const std::string last =
                (is_reset ? frame(kReset, 0, 1, number(8)) : frame(kData, 1, 1, std::string(40, '.'))) + ping;
            co_await stream.write(last);
            Coro<> ending = read_until(stream, kPing);
            co_await std::move(ending);
            may_go_on.set();
            co_await wait_for(read.ended.wait(), 5s);
            stream.close();
            server.close();
            co_await server.wait_closed();
        });
        EXPECT_EQ(seen, "");
        EXPECT_EQ(read.code, std::errc::operation_canceled);
        left = Task<>();
    }
}

TEST(Http2Reader, TwoTasksThatReadOneBodyAreAnError) {
    Read read;
    bool is_refused = false;
    Router router;
    router.post("/", [&](Request& request) -> Coro<Response> {
        Task<> first = create_task(read_all(request, read));
        co_await turns(3);
        try {
            co_await request.text();
        } catch (const RuntimeError&) {
            is_refused = true;
        }
        throw HttpError(404);
    });
    errors_with(router, read);
    EXPECT_TRUE(is_refused);
}

TEST(Http2Reader, ABodyIsLateForAHandlerThatLooksAgainAndAgain) {
    http::Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        const std::string text = co_await look_again_and_again(request);
        co_return Response::text(text);
    });
    with_http2(router, [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await sleep(std::chrono::hours(1));
        };
        ClientResponse response = co_await session.post(url_of(server, "/"), options);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "408");
    }, {.body_timeout = 100ms});
}

}  // namespace
}  // namespace knit::test::h2
