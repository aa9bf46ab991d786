// ClientSession: requests and answers that cross, connections that end, and what is given back.
#include <functional>

#include "cookies.hpp"
#include "http_test.hpp"

namespace knit::test {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::RequestOptions;
using http::RequestWriter;

using Serve = std::function<Coro<>(io::TcpStream&)>;

/// Runs `body(session, url)` beside a server that does that with each connection.
void with_bare_server(Serve serve, std::function<Coro<>(ClientSession&, std::string)> body,
                      http::SessionOptions options = {}) {
    run_io([&]() -> Coro<> {
        const auto handler = [&](io::TcpStream stream) -> Coro<> {
            Coro<> serving = serve(stream);
            co_await std::move(serving);
        };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), handler);
        ClientSession session(options);
        Coro<> running = body(session, "http://" + server.local_endpoint().to_string() + "/");
        co_await std::move(running);
        server.close();
        co_await server.wait_closed();
    });
}

/// What came of the body with it.
Coro<std::string> read_head(io::TcpStream& stream) {
    std::string request;
    char buffer[4096];
    for (;;) {
        const std::size_t end = request.find("\r\n\r\n");
        if (end != std::string::npos) {
            co_return request.substr(end + 4);
        }
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            co_return "";
        }
        request.append(buffer, count);
    }
}

constexpr std::size_t kMuch = 24 << 20;  // more than sockets hold

TEST(ClientUpload, AServerMayAnswerBeforeItHasReadTheBody) {
    Event read;
    const Serve refuse = [&read](io::TcpStream& stream) -> Coro<> {
        co_await read_head(stream);
        co_await stream.write("HTTP/1.1 413 x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
        co_await read.wait();
    };
    with_bare_server(refuse, [&read](ClientSession& session, std::string url) -> Coro<> {
        ClientResponse response = co_await session.post(url, std::string(kMuch, 'x'));
        EXPECT_EQ(response.status(), 413);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "no!");
        read.set();
        EXPECT_EQ(session.idle_count(), 0U);
    });
}

TEST(ClientUpload, AServerMayAnswerAsItReads) {
    const Serve echo = [](io::TcpStream& stream) -> Coro<> {
        std::string piece = co_await read_head(stream);
        const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kMuch) + "\r\n\r\n";
        co_await stream.write(head);
        std::vector<char> buffer(256 << 10);
        for (std::size_t total = 0;;) {
            co_await stream.write(piece);
            total += piece.size();
            if (total == kMuch) {
                break;
            }
            piece.assign(buffer.data(), co_await stream.read_some(buffer));
        }
    };
    with_bare_server(echo, [](ClientSession& session, std::string url) -> Coro<> {
        ClientResponse response = co_await session.post(url, std::string(kMuch, 'x'));
        const std::string text = co_await response.text();
        EXPECT_TRUE(text == std::string(kMuch, 'x'));
        EXPECT_EQ(session.idle_count(), 1U);
    });
}

Coro<> refuse_early(io::TcpStream& stream) {
    co_await read_head(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    char byte[1000];
    while (co_await stream.read_some(byte) != 0) {
    }
}

TEST(ClientUpload, AFunctionThatWritesEndsBeforeTheAnswerHas) {
    with_bare_server(refuse_early, [](ClientSession& session, std::string url) -> Coro<> {
        bool has_ended = false;
        RequestOptions options;
        options.stream = [&has_ended](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            try {
                co_await sleep(std::chrono::hours(1));
            } catch (const CancelledError&) {
                has_ended = true;
                throw;
            }
        };
        ClientResponse response = co_await session.post(url, options);
        EXPECT_FALSE(has_ended);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "ok");
        EXPECT_TRUE(has_ended);
        EXPECT_EQ(session.idle_count(), 0U);
    });
}

TEST(ClientUpload, WhatTheFunctionThrowsComesOutThoughTheServerWaits) {
    const Serve wait = [](io::TcpStream& stream) -> Coro<> {
        char buffer[1000];
        while (co_await stream.read_some(buffer) != 0) {
        }
    };
    with_bare_server(wait, [](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await sleep(1ms);
            throw std::out_of_range("mine");
        };
        EXPECT_THROW(co_await session.post(url, options), std::out_of_range);
        bool has_ended = false;
        options.stream = [&has_ended](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            try {
                co_await sleep(std::chrono::hours(1));
            } catch (const CancelledError&) {
                has_ended = true;
                throw;
            }
        };
        auto posting = create_task(session.post(url, options));
        co_await sleep(5ms);
        posting.cancel();
        EXPECT_THROW(co_await posting, CancelledError);
        EXPECT_TRUE(has_ended);
    });
}

TEST(ClientUpload, AConnectionWhoseRequestWasNotEndedIsNotUsedAgain) {
    with_bare_server(refuse_early, [](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        Event fails;
        options.stream = [&fails](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await fails.wait();
            throw std::out_of_range("mine");
        };
        {
            ClientResponse response = co_await session.post(url, options);
            co_await sleep(5ms);  // the answer's body is there
            fails.set();
            co_await sleep(5ms);
            static_cast<void>(co_await as_result(response.text()));
            EXPECT_EQ(session.idle_count(), 0U);
        }
        ClientResponse response = co_await session.post(url, std::string("second"));
        EXPECT_EQ(response.status(), 200);
    });
}

TEST(ClientUpload, ACancellationIsNotHiddenByWhatTheFunctionMakesOfIt) {
    const Serve wait = [](io::TcpStream& stream) -> Coro<> {
        char buffer[1000];
        while (co_await stream.read_some(buffer) != 0) {
        }
    };
    with_bare_server(wait, [](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            try {
                co_await sleep(std::chrono::hours(1));
            } catch (const CancelledError&) {
                throw std::out_of_range("turned into another");
            }
        };
        auto posting = create_task(session.post(url, options));
        co_await sleep(5ms);
        posting.cancel();
        EXPECT_THROW(co_await posting, CancelledError);
        options.timeout = http::ClientTimeout{.total = 5ms};
        EXPECT_THROW(co_await session.post(url, options), TimeoutError);
    });
}

TEST(ClientUpload, AFunctionMayGoToAnotherLoop) {
    run_io([]() -> Coro<> {
        co_await with_server([](http::Server& server) -> Coro<> {
            const std::string url = "http://" + server.local_endpoint().to_string() + "/echo";
            ClientSession session;
            Loop& home = get_running_loop();
            Loop& other = get_runtime().loop(1 - home.id());
            bool is_thrown = false;
            RequestOptions options;
            options.stream = [&home, &other, &is_thrown](RequestWriter& writer) -> Coro<> {
                const std::string piece(10'000, 'x');
                for (int i = 0; i < 20; ++i) {
                    co_await resume_on(other);
                    co_await writer.write(piece);
                    EXPECT_EQ(&get_running_loop(), &home) << "where the connection is";
                }
                co_await resume_on(other);
                if (is_thrown) {
                    throw std::out_of_range("mine");
                }
            };
            for (int i = 0; i < 10; ++i) {
                ClientResponse response = co_await session.post(url, options);
                const std::string text = co_await response.text();
                EXPECT_EQ(text.size(), 200'000U);
                EXPECT_EQ(session.idle_count(), 1U);
            }
            is_thrown = true;
            EXPECT_THROW(co_await session.post(url, options), std::out_of_range);
            EXPECT_EQ(&get_running_loop(), &home);
        });
    }, 2);
}

TEST(ClientUpload, ACancellationOfWhatTheFunctionAwaitsIsAnErrorOfItsOwn) {
    const Serve wait = [](io::TcpStream& stream) -> Coro<> {
        char buffer[1000];
        while (co_await stream.read_some(buffer) != 0) {
        }
    };
    with_bare_server(wait, [](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        options.timeout = http::ClientTimeout{.total = 10s};
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            Task<> other = create_task(sleep(std::chrono::hours(1)));
            other.cancel();
            co_await other;
        };
        EXPECT_THROW(co_await session.post(url, options), CancelledError);
    });
}

TEST(ClientUpload, TheReadTimeoutBeginsWhenTheRequestIsSent) {
    const Serve late = [](io::TcpStream& stream) -> Coro<> {
        std::string body = co_await read_head(stream);
        char buffer[1000];
        while (!body.ends_with("0\r\n\r\n")) {
            body.append(buffer, co_await stream.read_some(buffer));
        }
        co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        co_await stream.read_some(buffer);
    };
    with_bare_server(late, [](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        options.timeout = http::ClientTimeout{.read = 30ms};
        options.stream = [](RequestWriter& writer) -> Coro<> {
            for (int i = 0; i < 10; ++i) {
                co_await sleep(10ms);
                co_await writer.write("x");
            }
        };
        ClientResponse response = co_await session.post(url, options);
        EXPECT_EQ(response.status(), 200);
    });
}

TEST(ClientLife, ARequestIsNotRepeatedOnceAPartOfAnAnswerHasCome) {
    int requests = 0;
    const Serve once_and_a_half = [&](io::TcpStream& stream) -> Coro<> {
        co_await read_head(stream);
        ++requests;
        co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        co_await read_head(stream);
        ++requests;
        co_await stream.write("HTTP/1.1 200 O");
    };
    with_bare_server(once_and_a_half, [&](ClientSession& session, std::string url) -> Coro<> {
        ClientResponse first = co_await session.get(url);
        co_await first.text();
        EXPECT_THROW(co_await session.get(url), http::ServerProtocolError);
        EXPECT_EQ(requests, 2);
    });
}

TEST(ClientLife, APermitIsGivenBackHoweverARequestEnds) {
    http::SessionOptions options;
    options.limit = 1;
    options.limit_per_host = 1;
    run_io([&]() -> Coro<> {
        co_await with_server({.shutdown_timeout = 0s}, [&](http::Server& server) -> Coro<> {
            const std::string base = "http://" + server.local_endpoint().to_string();
            ClientSession session(options);
            {
                ClientResponse dropped = co_await session.get(base + "/large");
                EXPECT_EQ(dropped.status(), 200);
                auto waiting = create_task(session.get(base + "/"));
                co_await sleep(5ms);
                EXPECT_FALSE(waiting.done());
                waiting.cancel();
                EXPECT_THROW(co_await waiting, CancelledError);
            }
            auto cancelled = create_task(session.get(base + "/wait"));
            co_await sleep(5ms);
            cancelled.cancel();
            EXPECT_THROW(co_await cancelled, CancelledError);
            EXPECT_THROW(co_await session.get("http://127.0.0.1:1/"), std::system_error);
            ClientResponse read = co_await session.get(base + "/");
            co_await read.text();
            ClientResponse last = co_await session.get(base + "/");  // while the one before is still held
            EXPECT_EQ(last.status(), 200);
        });
    });
}

TEST(ClientLife, ARedirectIsFollowedWhateverBecomesOfItsBody) {
    for (const std::string rest : {"Content-Length: 20\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        int requests = 0;
        const Serve redirect = [&](io::TcpStream& stream) -> Coro<> {
            co_await read_head(stream);
            const std::string answer = requests++ == 0 ? "HTTP/1.1 302 x\r\nLocation: /there\r\n" + rest
                                                       : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            co_await stream.write(answer);
        };
        with_bare_server(redirect, [](ClientSession& session, std::string url) -> Coro<> {
            ClientResponse response = co_await session.get(url);
            const std::string text = co_await response.text();
            EXPECT_EQ(text, "ok");
        });
    }
}

TEST(ClientLife, AConnectionThatNobodyAsksForAgainIsClosed) {
    http::SessionOptions options;
    options.keepalive = 20ms;
    run_io([&]() -> Coro<> {
        co_await with_server([&](http::Server& server) -> Coro<> {
            ClientSession session(options);
            ClientResponse response = co_await session.get("http://" + server.local_endpoint().to_string() + "/");
            co_await response.text();
            EXPECT_EQ(session.idle_count(), 1U);
            while (server.connection_count() != 0) {
                co_await sleep(5ms);
            }
            EXPECT_EQ(session.idle_count(), 0U);
        });
    });
}

TEST(CookieJar, WhoSetsManyPutsOutTheirOwn) {
    http::detail::CookieJar jar;
    jar.store("http://a.org/", "kept=1", 100);
    for (int i = 0; i < 4000; ++i) {
        jar.store("http://evil.org/", "n" + std::to_string(i) + "=1", 100);
    }
    jar.store("http://a.org/", "long=" + std::string(4096, 'x'), 100);
    EXPECT_EQ(jar.field_for("http://a.org/", 105), "kept=1");
    const std::string theirs = jar.field_for("http://evil.org/", 105);
    EXPECT_EQ(count_of(theirs, "=1"), 50);
    EXPECT_EQ(count_of(theirs, "n3999=1"), 1);
}

}  // namespace
}  // namespace knit::test
