// The server: how long connections, handshakes and bodies may take, and what they are told.
#include <functional>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::BodyWriter;
using http::Request;
using http::Response;
using http::Router;
using http::Server;
using http::ServerOptions;
using http::UpgradedStream;

Coro<> with_router(Router router, ServerOptions options, std::function<Coro<>(Server&)> body) {
    Coro<Server> starting = http::serve(io::endpoint("127.0.0.1", 0), std::move(router), options);
    Server server = co_await std::move(starting);
    Coro<> running = body(server);
    co_await std::move(running);
    server.close();
    co_await server.wait_closed();
}

std::string answer_of(Router router, std::string request, ServerOptions options = {}) {
    std::string answer;
    run_io([&] {
        return with_router(router, options, [&](Server& server) -> Coro<> {
            answer = co_await say(server.local_endpoint(), request);
        });
    });
    return answer;
}

Coro<Response> hello(Request&) { co_return Response::text("hello"); }
Coro<Response> teapot(Request&) { co_return Response(418); }

/// A handshake that waits for a byte of the client's.
Coro<io::TcpStream> wait_for_a_byte(io::TcpStream stream) {
    char byte[1];
    co_await stream.read_some(byte);
    co_return stream;
}

TEST(HttpServerLife, ASilentHandshakeEndsWithTheServer) {
    run_io([]() -> Coro<> {
        Server server = co_await http::serve("127.0.0.1:0", small_router(), ServerOptions(), wait_for_a_byte);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        while (server.connection_count() == 0) {
            co_await sleep(1ms);
        }
        server.close();
        co_await with_timeout(std::optional<Duration>(5s), server.wait_closed());  // shutdown_timeout is 30 s
    });
}

TEST(HttpServerLife, AHandshakeHasATimeLimitAndThenSpeaks) {
    run_io([]() -> Coro<> {
        ServerOptions options;
        options.handshake_timeout = 30ms;
        Server server = co_await http::serve("127.0.0.1:0", small_router(), options, wait_for_a_byte);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        char buffer[100];
        EXPECT_EQ(co_await stream.read_some(buffer), 0U);
        const std::string answer = co_await say(server.local_endpoint(), "x" + get("/"));
        EXPECT_EQ(count_of(answer, "Hello"), 1) << answer;
        server.close();
        co_await server.wait_closed();
    });
}

TEST(HttpServerLife, AHandlersOwnTimeIsNotTheBodys) {
    Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        std::size_t size = 0;
        for (;;) {
            const std::string_view piece = co_await request.read_some();
            if (piece.empty()) {
                break;
            }
            size += piece.size();
            co_await sleep(50ms);
        }
        co_return Response::text(std::to_string(size));
    });
    ServerOptions options;
    options.body_timeout = 60ms;
    run_io([&] {
        return with_router(router, options, [](Server& server) -> Coro<> {
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            co_await stream.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50\r\n\r\n");
            for (int i = 0; i < 5; ++i) {
                co_await stream.write("0123456789");
                co_await sleep(20ms);
            }
            char buffer[1000];
            const std::size_t count = co_await stream.read_some(buffer);
            EXPECT_TRUE(std::string_view(buffer, count).ends_with("\r\n\r\n50")) << std::string_view(buffer, count);
        });
    });
}

TEST(HttpServerLife, AChunkedBodyThatIsLeftIsPassedOverOrEndsTheConnectionAsItWasTold) {
    const std::string head = "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string whole = answer_of(small_router(), head + "5\r\nhello\r\n0\r\n\r\n" + get("/"));
    EXPECT_EQ(count_of(whole, "unread"), 1) << whole;
    EXPECT_EQ(count_of(whole, "Hello"), 1);
    const std::string part = answer_of(small_router(), head + "5\r\nhel");
    EXPECT_EQ(count_of(part, "Connection: close\r\n"), 1) << part;
    EXPECT_EQ(count_of(part, "unread"), 1);
    const std::string bad = answer_of(small_router(), head + "zz\r\n" + get("/"));
    EXPECT_EQ(count_of(bad, "Connection: close\r\n"), 1) << bad;
    EXPECT_EQ(count_of(bad, "Hello"), 0);
}

TEST(HttpServerLife, HeadGoesToTheHandlerForGetBeforeTheOneForAll) {
    for (const bool is_first : {true, false}) {
        Router router;
        if (is_first) {
            router.get("/", hello).route("*", "/", teapot);
        } else {
            router.route("*", "/", teapot).get("/", hello);
        }
        const std::string answer = answer_of(router, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    }
}

TEST(HttpServerLife, EmptyFunctionsAndAnotherStatusOfAnUpgradeAreRefused) {
    EXPECT_THROW(Response::stream(nullptr), ValueError);
    EXPECT_THROW(Response::upgrade(nullptr), ValueError);
    Response response = Response::upgrade([](UpgradedStream) -> Coro<> { co_return; });
    EXPECT_THROW(response.status(200), ValueError);
}

TEST(HttpServerLife, AnUpgradedStreamMayBeUsedFromOtherLoops) {
    Router router;
    router.get("/", [](Request&) -> Coro<Response> {
        co_return Response::upgrade([](UpgradedStream stream) -> Coro<> {
            Loop& home = get_running_loop();
            Loop& other = get_runtime().loop(home.id() == 0 ? 1 : 0);
            std::array<std::byte, 1> byte;
            for (int i = 0; i < 20; ++i) {
                co_await resume_on(other);
                co_await stream.read_some(byte);
                EXPECT_EQ(&get_running_loop(), &home);
                co_await resume_on(other);
                co_await stream.write(byte);
            }
            co_await resume_on(other);  // ends elsewhere
        });
    });
    run_io([&] {
        return with_router(router, {}, [](Server& server) -> Coro<> {
            const std::string bytes = "01234567890123456789";
            const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
            const std::string answer = co_await say(server.local_endpoint(), head + bytes);
            EXPECT_TRUE(answer.ends_with("\r\n\r\n" + bytes)) << answer;
        });
    }, 2);
}

TEST(HttpServerLife, AWriteAfterAnUpgradeHasATimeLimitAndNobodyIsToldOfIt) {
    std::error_code code;
    Router router;
    router.get("/", [&code](Request&) -> Coro<Response> {
        co_return Response::upgrade([&code](UpgradedStream stream) -> Coro<> {
            const std::string much(24 << 20, 'x');
            try {
                co_await stream.write(std::as_bytes(std::span(much)));
            } catch (const std::system_error& error) {
                code = error.code();
                throw;
            }
        });
    });
    ServerOptions options;
    options.write_timeout = 50ms;
    run_io([&]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        co_await with_router(router, options, [](Server& server) -> Coro<> {
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            co_await stream.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            do {
                co_await sleep(5ms);
            } while (server.connection_count() != 0);
        });
        EXPECT_EQ(errors, 0);
    });
    EXPECT_EQ(code, std::errc::timed_out);
}

TEST(HttpServerLife, AFileThatIsCutShortIs500AndTakesNoOtherAnswerAlong) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        http::Router router = small_router();
        router.get("/short", [](http::Request&) -> Coro<http::Response> {
            Coro<io::File> opening = io::File::open("/dev/null");
            io::File file = co_await std::move(opening);
            co_return http::Response::file(std::move(file), 0, 10);
        });
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        const std::string answer = co_await say(server.local_endpoint(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                                                "GET /short HTTP/1.1\r\nHost: a\r\n\r\n" + get("/"));
        EXPECT_EQ(count_of(answer, "Hello"), 2) << answer;
        EXPECT_EQ(count_of(answer, "HTTP/1.1 200 OK"), 2) << answer;
        EXPECT_EQ(count_of(answer, "HTTP/1.1 500 "), 1) << answer;
        EXPECT_EQ(errors, 1);
        server.close();
        co_await server.wait_closed();
    });
}

TEST(HttpServerLife, ARequestThatComesInTheTurnOfTheCloseIsAnsweredOrNotTaken) {
    int answered = 0;
    bool is_ring = false;  // which has received it by then; with epoll it lies unread
    run_io([&]() -> Coro<> {
        is_ring = get_runtime().start_up_report().driver.name == "io_uring";
        for (int i = 0; i < 5; ++i) {
            int handled = 0;
            http::Router router;
            router.get("/", [&handled](http::Request&) -> Coro<http::Response> {
                ++handled;
                co_return http::Response::text("hello");
            });
            http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            char buffer[1000];
            co_await stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            co_await stream.read_some(buffer);
            co_await turns(5);
            const std::string_view request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            EXPECT_EQ(send(stream.native_handle(), request.data(), request.size(), 0), std::ssize(request));
            server.close();
            std::string answer;
            while (const std::size_t count = co_await stream.read_some(buffer)) {
                answer.append(buffer, count);
            }
            EXPECT_EQ(count_of(answer, "hello"), handled - 1);
            EXPECT_EQ(count_of(answer, "Connection: close\r\n"), handled - 1);
            answered += handled - 1;
            stream.close();
            co_await server.wait_closed();
        }
    });
    EXPECT_TRUE(answered > 0 || !is_ring);
}

TEST(HttpServerLife, WhatWhenClosingThrowsIsReported) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        http::Router router;
        Event told;
        router.get("/", [&told](http::Request&) -> Coro<http::Response> {
            co_return http::Response::upgrade([&told](http::UpgradedStream stream) -> Coro<> {
                stream.when_closing([&told] {
                    told.set();
                    throw std::out_of_range("mine");
                });
                co_await told.wait();
            });
        });
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n");
        char buffer[1000];
        co_await stream.read_some(buffer);
        server.close();
        co_await told.wait();
        stream.close();
        co_await server.wait_closed();
        EXPECT_EQ(errors, 1);
    });
}

}  // namespace
}  // namespace knit::test
