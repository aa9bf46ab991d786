// How connections and servers of HTTP/2 end, and what clients make of it.
#include "http2_test.hpp"

#include <array>

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::RequestOptions;
using http::Server;

TEST(Http2, AServerThatClosesLetsRunningRequestsEnd) {
    Board board;
    with_http2(board_router(board), [&board](Server& server, ClientSession& session) -> Coro<> {
        auto waiting = create_task(fetch(session, url_of(server, "/gate")));
        while (board.begun == 0) {
            co_await fetch(session, url_of(server, "/"));
        }
        server.close();
        bool is_refused = false;
        try {
            const std::string text = co_await fetch(session, url_of(server, "/"));
        } catch (const std::system_error&) {
            is_refused = true;
        }
        EXPECT_TRUE(is_refused) << "the connection takes no more, and the port is closed";
        board.go.set();
        const std::string text = co_await std::move(waiting);
        EXPECT_EQ(text, "went");
        co_await server.wait_closed();
    });
}

TEST(Http2, ADeadlineOfShutdownCancelsHandlers) {
    Board board;
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), board_router(board),
                                             {.shutdown_timeout = 20ms});
        ClientSession session(prior_knowledge());
        auto waiting = create_task(fetch(session, url_of(server, "/gate")));
        while (board.begun == 0) {
            co_await fetch(session, url_of(server, "/"));
        }
        server.close();
        co_await server.wait_closed();
        EXPECT_EQ(board.cancelled, 1);
        bool is_refused = false;
        try {
            const std::string text = co_await std::move(waiting);
        } catch (const std::system_error&) {
            is_refused = true;
        }
        EXPECT_TRUE(is_refused) << "it was sent again, and nobody listens";
    });
}

TEST(Http2, ShutsDownUnderLoad) {
    for (const unsigned loops : {1U, 2U}) {
        run_io([]() -> Coro<> {
            Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), small_router(),
                                                 {.shutdown_timeout = 5s});
            ClientSession session(prior_knowledge());
            int answered = 0;
            const auto ask = [&]() -> Coro<> {
                try {
                    for (;;) {
                        const std::string text = co_await fetch(session, url_of(server, "/stream"));
                        EXPECT_EQ(text, "piece\npiece\npiece\n");
                        ++answered;
                    }
                } catch (const std::system_error&) {
                    co_return;  // it does not listen any more
                }
            };
            std::vector<Task<>> asking;
            for (int i = 0; i < 50; ++i) {
                asking.push_back(create_task(ask()));
            }
            while (answered < 500) {
                co_await yield();
            }
            server.close();
            co_await server.wait_closed();
            for (Task<>& each : asking) {
                co_await each;
            }
            EXPECT_GE(answered, 500);
        }, loops);
    }
}

/// What comes of stream 1: how many bytes, and the flags of its last frame of data.
struct Come {
    std::size_t size = 0;
    int flags = 0;
};

/// Says its last word when `least` bytes of the answer have come, then reads until the server closes.
Coro<Come> ask_and_end(io::Endpoint where, std::string bytes, std::size_t least) {
    io::TcpStream stream = co_await io::TcpStream::connect(std::move(where));
    co_await stream.write(bytes);
    Come come;
    std::string rest;
    bool has_ended = false;
    std::vector<char> buffer(std::size_t{64} << 10);
    for (;;) {
        const std::size_t count = co_await wait_for(stream.read_some(buffer), 10s);
        if (count == 0) {
            break;
        }
        rest.append(buffer.data(), count);
        std::string_view view = rest;
        while (const auto frame = take_frame(view)) {
            if (frame->type == kData && frame->stream == 1) {
                come.size += frame->payload.size();
                come.flags = frame->flags;
            }
        }
        rest.erase(0, rest.size() - view.size());
        if (come.size >= least && !has_ended) {
            has_ended = true;
            stream.shutdown();
        }
    }
    stream.close();
    co_return come;
}

TEST(Http2, AnAnswerThatIsOnItsWayIsNotCutByThePeersLastWord) {
    Board board;
    http::Router router = board_router(board);
    constexpr std::size_t kSize = std::size_t{24} << 20;  // as /huge has it: more than sockets hold
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, {.shutdown_timeout = 5s});
        const std::string window = std::string("\0\x04", 2) + number(0x7fff'ffff);
        const std::string bytes = std::string(kPreface) + frame(kSettings, 0, 0, window) +
                                  frame(kWindow, 0, 0, number(0x7fff'0000)) + get(1, "/huge") + get(3, "/gate");
        Coro<Come> asking = ask_and_end(server.local_endpoint(), bytes, 1);
        const Come come = co_await std::move(asking);
        EXPECT_EQ(come.size, kSize);
        EXPECT_EQ(come.flags & kEndStream, kEndStream);
        EXPECT_EQ(board.cancelled, 1) << "the handler whose answer is not there";
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Http2, WhatThePeersWindowsHaveNoRoomForEndsWithItsLastWord) {
    run_io([]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), small_router(), {.shutdown_timeout = 5s});
        constexpr std::size_t kWindowSize = 65'535;
        const std::string bytes = hello() + get(1, "/large");
        Coro<Come> asking = ask_and_end(server.local_endpoint(), bytes, kWindowSize);
        const Come come = co_await std::move(asking);
        EXPECT_EQ(come.size, kWindowSize);
        EXPECT_EQ(come.flags & kEndStream, 0) << "it is not whole";
        server.close();
        co_await server.wait_closed();
    });
}

/// Answers the first connections with `frames`, each then closed, the last one with 204.
Coro<> answer_by_hand(io::TcpListener& listener, std::vector<std::string> answers) {
    for (const std::string& answer : answers) {
        io::TcpStream stream = co_await listener.accept();
        std::array<char, 4096> buffer;
        co_await stream.read_some(buffer);
        co_await stream.write(answer);
        while (true) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                break;
            }
        }
        stream.close();
    }
}

TEST(Http2, WhatTheServerHasNotLookedAtIsSentAgain) {
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        const std::string settings = frame(kSettings, 0, 0);
        const std::string good = frame(kHeaders, kEndStream | kEndHeaders, 1, "\x89");  // ":status: 204"
        std::vector<std::string> answers = {
            settings + frame(kGoaway, 0, 0, number(0) + number(0)),
            settings + frame(kReset, 0, 1, number(7)) + frame(kGoaway, 0, 0, number(0) + number(0)), settings + good};
        auto serving = create_task(answer_by_hand(listener, std::move(answers)));
        {
            ClientSession session(prior_knowledge());
            ClientResponse response =
                co_await session.post("http://" + listener.local_endpoint().to_string() + "/users/1", "body");
            EXPECT_EQ(response.status(), 204);
        }
        co_await std::move(serving);
    });
}

TEST(Http2, AServerThatSpeaksSomethingElseIsAnError) {
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        std::vector<std::string> answers = {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"};
        auto serving = create_task(answer_by_hand(listener, std::move(answers)));
        bool is_refused = false;
        {
            ClientSession session(prior_knowledge());
            try {
                ClientResponse response =
                    co_await session.get("http://" + listener.local_endpoint().to_string() + "/users/1");
            } catch (const http::ServerProtocolError&) {
                is_refused = true;
            }
        }
        EXPECT_TRUE(is_refused);
        co_await std::move(serving);
    });
}

TEST(Http2, ConnectionsThatNobodyUsesEnd) {
    run_io([]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), small_router());
        http::SessionOptions options = prior_knowledge();
        options.keepalive = Duration::zero();
        ClientSession session(options);
        co_await fetch(session, url_of(server, "/"));
        while (server.connection_count() != 0) {
            co_await yield();
        }
        co_await fetch(session, url_of(server, "/"));
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Http2, TimeoutsOfTheClientEndARequestAndNotTheConnection) {
    Board board;
    with_http2(board_router(board), [&board](Server& server, ClientSession& session) -> Coro<> {
        auto waiting = create_task(fetch(session, url_of(server, "/gate")));
        while (board.begun == 0) {
            co_await yield();
        }
        RequestOptions options;
        options.timeout = http::ClientTimeout();
        options.timeout->read = 20ms;
        bool is_late = false;
        try {
            ClientResponse response = co_await session.get(url_of(server, "/wait"), options);
        } catch (const TimeoutError&) {
            is_late = true;
        }
        EXPECT_TRUE(is_late);
        board.go.set();
        const std::string text = co_await std::move(waiting);
        EXPECT_EQ(text, "went");
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

}  // namespace
}  // namespace knit::test::h2
