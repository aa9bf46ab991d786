// The server: answers, connections, limits and timeouts.
#include <atomic>
#include <functional>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::Server;
using http::ServerOptions;

void serve_and(std::function<Coro<>(Server&)> body, ServerOptions options = {}, unsigned loops = 1) {
    run_io([&] { return with_server(options, body); }, loops);
}

/// What the server at the other end of `requests` says.
std::string answers(std::string requests, ServerOptions options = {}, bool is_ended = false) {
    std::string result;
    serve_and([&](Server& server) -> Coro<> {
        result = co_await say(server.local_endpoint(), requests, is_ended);
    }, options);
    return result;
}

TEST(HttpServer, AnswersWithStatusLengthTypeAndDate) {
    const std::string answer = answers(get("/"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\nDate: ")) << answer;
    EXPECT_TRUE(answer.ends_with("Connection: close\r\n\r\nHello, world!\n")) << answer;
}

TEST(HttpServer, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
    std::string requests;
    for (int i = 0; i < 40; ++i) {
        requests += "GET /users/" + std::to_string(i) + "?q=%41+b HTTP/1.1\r\nHost: a\r\n\r\n";
    }
    const std::string answer = answers(requests + get("/"));
    EXPECT_EQ(count_of(answer, "HTTP/1.1 200 OK"), 41);
    std::size_t at = 0;
    for (int i = 0; i < 40; ++i) {
        at = answer.find("\r\n\r\nuser " + std::to_string(i) + " A b", at);
        ASSERT_NE(at, std::string::npos) << i;
    }
}

TEST(HttpServer, AHandlerThatWaitsDoesNotHoldUpTheAnswersBeforeItsOwn) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        char buffer[4096];
        const std::size_t count = co_await stream.read_some(buffer);
        EXPECT_NE(std::string_view(buffer, count).find("Hello"), std::string_view::npos);
        stream.close();
    }, {.shutdown_timeout = 0s});
}

TEST(HttpServer, TakesRequestsInSinglePieces) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                                    "Connection: close\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n";
        for (const char letter : request) {
            co_await stream.write(std::string_view(&letter, 1));
            co_await yield();
        }
        std::string answer;
        char buffer[1024];
        while (const std::size_t count = co_await stream.read_some(buffer)) {
            answer.append(buffer, count);
        }
        EXPECT_TRUE(answer.ends_with("\r\n\r\nhello world")) << answer;
    });
}

TEST(HttpServer, ReadsBodiesOfEveryLengthAndTheRequestBehindThem) {
    for (const std::size_t size : {0U, 1U, 4000U, 4096U, 70'000U, 1'000'000U}) {
        const std::string body(size, 'b');
        const std::string answer =
            answers("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body +
                    get("/"));
        EXPECT_EQ(count_of(answer, "HTTP/1.1 200 OK"), 2) << size;
        EXPECT_EQ(count_of(answer, "\r\n\r\n" + body + "HTTP/1.1"), 1) << size;
    }
}

TEST(HttpServer, ABodyThatTheHandlerLeavesIsNoRequest) {
    const std::string answer = answers("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n"
                                       "GET /fail HTTP/1.1\r\n\r\n" + get("/"));
    EXPECT_EQ(count_of(answer, "HTTP/1.1"), 2) << answer;
    EXPECT_EQ(count_of(answer, "unread"), 1);
    EXPECT_EQ(count_of(answer, "Hello"), 1);
}

TEST(HttpServer, HeadHasTheFieldsOfGetAndNoBody) {
    const std::string answer = answers("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" +
                                       get("/"));
    EXPECT_EQ(count_of(answer, "Content-Length: 14"), 2) << answer;
    EXPECT_EQ(count_of(answer, "Hello"), 1);
    EXPECT_EQ(count_of(answer, "piece"), 0);
}

TEST(HttpServer, StreamsInChunksAndBareForHttp10) {
    EXPECT_TRUE(answers(get("/stream")).ends_with("\r\n\r\n6\r\npiece\n\r\n6\r\npiece\n\r\n6\r\npiece\n\r\n0\r\n\r\n"));
    const std::string old = answers("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_TRUE(old.ends_with("Connection: close\r\n\r\npiece\npiece\npiece\n")) << old;
}

TEST(HttpServer, AStreamForHttp10ThatFailsDoesNotEndAsIfItWereWhole) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        co_await with_server([](Server& server) -> Coro<> {
            const std::string answer = co_await say(server.local_endpoint(), "GET /cut HTTP/1.0\r\n\r\n");
            EXPECT_TRUE(answer.ends_with("piece\n[reset]")) << answer;
        });
        EXPECT_EQ(errors, 1);
    });
}

TEST(HttpServer, KeepsHttp10ConnectionsWhenAsked) {
    const std::string answer = answers("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    EXPECT_EQ(count_of(answer, "HTTP/1.1 200 OK"), 2);
    EXPECT_EQ(count_of(answer, "Connection: keep-alive"), 1);
    EXPECT_EQ(count_of(answer, "Connection: close"), 1);
}

TEST(HttpServer, SendsLargeBodiesWhole) {
    const std::string answer = answers(get("/large"));
    EXPECT_NE(answer.find("Content-Length: 1048576"), std::string::npos);
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 1U << 20);
}

TEST(HttpServer, AnErrorInAHandlerIs500AndTheConnectionGoesOn) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        co_await with_server([](Server& server) -> Coro<> {
            const std::string answer =
                co_await say(server.local_endpoint(), "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n" + get("/"));
            EXPECT_EQ(count_of(answer, "500 Internal Server Error"), 1) << answer;
            EXPECT_EQ(count_of(answer, "Hello"), 1);
            EXPECT_EQ(count_of(answer, "fault"), 0);
            const std::string cut = co_await say(server.local_endpoint(), get("/cut"));
            EXPECT_EQ(count_of(cut, "piece"), 1);
            EXPECT_EQ(count_of(cut, "\r\n0\r\n"), 0) << cut;
        });
        EXPECT_EQ(errors, 2);
    });
}

TEST(HttpServer, UnknownPathsAre404AndOtherMethods405) {
    EXPECT_TRUE(answers(get("/nobody")).starts_with("HTTP/1.1 404 Not Found"));
    EXPECT_TRUE(answers(get("/users/1/more")).starts_with("HTTP/1.1 404 Not Found"));
    const std::string answer = answers("DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 405 Method Not Allowed"));
    EXPECT_EQ(count_of(answer, "Allow: GET, HEAD\r\n"), 1);
}

TEST(HttpServer, ExpectIsAnsweredWhenTheBodyIsWanted) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        char buffer[1024];
        std::size_t count = co_await stream.read_some(buffer);
        EXPECT_EQ(std::string_view(buffer, count), "HTTP/1.1 100 Continue\r\n\r\n");
        co_await stream.write("ok");
        count = co_await stream.read_some(buffer);
        EXPECT_TRUE(std::string_view(buffer, count).ends_with("\r\n\r\nok"));
        // Not wanted: the answer, and the end, since nobody knows whether the body comes.
        co_await stream.write("POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        count = co_await stream.read_some(buffer);
        EXPECT_NE(std::string_view(buffer, count).find("Connection: close"), std::string_view::npos);
    });
}

TEST(HttpServer, ACloseWaitsForTheAnswerAndEndsIdleConnections) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream idle = co_await io::TcpStream::connect(server.local_endpoint());
        co_await idle.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        char buffer[1024];
        co_await idle.read_some(buffer);
        io::TcpStream busy = co_await io::TcpStream::connect(server.local_endpoint());
        co_await busy.write("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                            "Content-Length: 2\r\n\r\n");
        co_await busy.read_some(buffer);  // 100: the handler has begun
        server.close();
        EXPECT_EQ(co_await idle.read_some(buffer), 0U);
        co_await busy.write("ok");
        const std::size_t count = co_await busy.read_some(buffer);
        EXPECT_NE(std::string_view(buffer, count).find("Connection: close"), std::string_view::npos);
        EXPECT_EQ(co_await busy.read_some(buffer), 0U);
        co_await server.wait_closed();
    }, {}, 2);
}

TEST(HttpServer, ACloseLetsAnAnswerReachItsEndHoweverSlowlyItIsRead) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
        std::vector<char> buffer(1 << 20);
        std::size_t total = co_await stream.read_some(buffer);
        server.close();
        co_await yield();
        while (const std::size_t count = co_await stream.read_some(buffer)) {
            total += count;
        }
        EXPECT_GT(total, std::size_t{24} << 20);
    });
}

TEST(HttpServer, AStreamsHeadGoesBeforeItsFirstPiece) {
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
        char buffer[1024];
        const std::size_t count = co_await stream.read_some(buffer);
        EXPECT_TRUE(std::string_view(buffer, count).starts_with("HTTP/1.1 200 OK\r\n"));
    }, {.shutdown_timeout = 0s});
}

TEST(HttpServer, WhatAHandlerDoesWrongIsReportedAndCutOff) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        co_await with_server([&](Server& server) -> Coro<> {
            const std::string empty = co_await say(server.local_endpoint(), get("/empty") + get("/"));
            EXPECT_EQ(count_of(empty, "Content-Length: 0\r\n"), 1);
            EXPECT_EQ(count_of(empty, "piece"), 0);
            EXPECT_EQ(errors, 1);
            const std::string cancelled = co_await say(server.local_endpoint(), get("/cancelled"));
            EXPECT_TRUE(cancelled.starts_with("HTTP/1.1 500")) << cancelled;
            EXPECT_EQ(errors, 2);
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            co_await stream.write("GET /giving-up HTTP/1.1\r\nHost: a\r\n\r\n");
            while (errors == 2) {
                co_await sleep(1ms);
            }
            std::string answer;
            std::vector<char> buffer(1 << 20);
            while (const std::size_t count = co_await stream.read_some(buffer)) {
                answer.assign(buffer.data(), count);
            }
            EXPECT_FALSE(answer.ends_with("0\r\n\r\n"));
        });
        EXPECT_EQ(errors, 3);
    });
}

TEST(HttpServer, AnUpgradeIsForWhoAsksAndEndsWithItsFunction) {
    const std::string wish = "Connection: Upgrade\r\nUpgrade: line\r\n";
    const std::string head = "GET /upgrade HTTP/1.1\r\nHost: a\r\n" + wish;
    const std::string changed = answers(head + "\r\nline");
    EXPECT_TRUE(changed.starts_with("HTTP/1.1 101")) << changed;
    EXPECT_TRUE(changed.ends_with("\r\n\r\nline")) << changed;
    EXPECT_TRUE(answers("POST /upgrade HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" + wish + "\r\nbodyline")
                    .ends_with("\r\n\r\nline"));
    const std::string unasked = answers(get("/upgrade"));
    EXPECT_TRUE(unasked.starts_with("HTTP/1.1 426")) << unasked;
    EXPECT_EQ(count_of(unasked, "\r\nUpgrade: line\r\n"), 1);
    const std::string left = answers("GET /upgrade?left HTTP/1.1\r\nHost: a\r\n" + wish + "\r\n");
    EXPECT_EQ(count_of(left, "[open]"), 0) << left;
}

TEST(HttpServer, LimitsAreKept) {
    EXPECT_TRUE(answers("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 414"));
    EXPECT_TRUE(answers("GET /" + std::string(9000, 'a')).starts_with("HTTP/1.1 414"));
    EXPECT_TRUE(answers("GET / HTTP/1.1\r\nX: " + std::string(40'000, 'a')).starts_with("HTTP/1.1 431"));
    std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 200; ++i) {
        many += "X: y\r\n";
    }
    EXPECT_TRUE(answers(many + "\r\n").starts_with("HTTP/1.1 431"));
    ServerOptions options;
    options.body_max = 10;
    const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    EXPECT_TRUE(answers(head + "Content-Length: 11\r\n\r\n", options).starts_with("HTTP/1.1 413"));
    EXPECT_TRUE(answers(head + "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", options)
                    .starts_with("HTTP/1.1 413"));
}

TEST(HttpServer, PeersThatKeepItWaitingAreEnded) {
    ServerOptions options;
    options.header_timeout = 30ms;
    options.idle_timeout = 20ms;
    options.body_timeout = 30ms;
    EXPECT_EQ(answers("", options), "");
    EXPECT_TRUE(answers("GET / HT", options).starts_with("HTTP/1.1 408"));
    EXPECT_TRUE(answers("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", options)
                    .starts_with("HTTP/1.1 408"));
}

TEST(HttpServer, ASlowlorisIsEndedThoughItNeverStops) {
    ServerOptions options;
    options.header_timeout = 50ms;
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write("GET / HTTP/1.1\r\n");
        bool is_ended = false;
        // Ends because the server does: each line comes well before the timeout.
        auto reading = create_task([&]() -> Coro<> {
            char buffer[1024];
            const std::size_t count = co_await stream.read_some(buffer);
            EXPECT_TRUE(std::string_view(buffer, count).starts_with("HTTP/1.1 408"));
            is_ended = true;
        });
        while (!is_ended) {
            try {
                co_await stream.write("X: y\r\n");
            } catch (const std::system_error&) {
                break;
            }
            co_await sleep(5ms);
        }
        co_await reading;
    }, options);
}

TEST(HttpServer, APeerThatTakesNothingIsEnded) {
    ServerOptions options;
    options.write_timeout = 50ms;
    serve_and([](Server& server) -> Coro<> {
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        std::string requests;
        for (int i = 0; i < 40; ++i) {
            requests += "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
        }
        co_await stream.write(requests);
        while (server.connection_count() != 0) {
            co_await sleep(5ms);
        }
    }, options);
}

TEST(HttpServer, AClientThatOnlyReadsOnGetsItsAnswer) {
    EXPECT_EQ(count_of(answers("GET / HTTP/1.1\r\nHost: a\r\n\r\n", {}, true), "Hello"), 1);
}

TEST(HttpServer, ServesFromAllLoops) {
    serve_and([](Server& server) -> Coro<> {
        std::vector<Task<std::string>> asked;
        for (int i = 0; i < 50; ++i) {
            asked.push_back(create_task(say(server.local_endpoint(), get("/"))));
        }
        for (Task<std::string>& task : asked) {
            const std::string answer = co_await task;
            EXPECT_EQ(count_of(answer, "Hello"), 1);
        }
    }, {}, 2);
}

TEST(HttpServer, MistakesAreSaid) {
    http::Router router;
    const auto handler = [](http::Request&) -> Coro<http::Response> { co_return http::Response(); };
    EXPECT_THROW(router.get("users", handler), ValueError);
    EXPECT_THROW(router.get("/{}", handler), ValueError);
    EXPECT_THROW(router.get("/a{b}", handler), ValueError);
    EXPECT_THROW(router.get("/{a:.*}/b", handler), ValueError);
    EXPECT_THROW(router.route("GE T", "/", handler), ValueError);
    router.get("/", handler);
    EXPECT_THROW(router.get("/", handler), ValueError);
    EXPECT_THROW(http::Response(99), ValueError);
    http::Response response;
    EXPECT_THROW(response.header("X", "a\r\nY: b"), ValueError);
    EXPECT_THROW(response.header("Content-Length", "3"), ValueError);
    EXPECT_THROW(response.cookie("a", "b;c"), ValueError);
    EXPECT_THROW(http::HttpError(200), ValueError);
    EXPECT_THROW(http::Response::literal("a", "text/html\r\nX: y"), ValueError);
    EXPECT_THROW(Server().close(), RuntimeError);
    EXPECT_THROW(http::ClientResponse().status(), RuntimeError);
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        EXPECT_THROW(router.post("/", handler), RuntimeError);
        server.close();
        co_await server.wait_closed();
    });
}

}  // namespace
}  // namespace knit::test
