// HTTP/2 from end to end: ClientSession against the server of the same library.
#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::RequestOptions;
using http::RequestWriter;
using http::Response;
using http::Server;

TEST(Http2, AHundredRequestsAtATimeShareAConnection) {
    for (const unsigned loops : {1U, 2U}) {
        with_http2(small_router(), [](Server& server, ClientSession& session) -> Coro<> {
            std::vector<Coro<std::string>> fetches;
            for (int i = 0; i < 300; ++i) {
                fetches.push_back(fetch(session, url_of(server, "/users/" + std::to_string(i))));
            }
            auto gathering = gather(std::move(fetches));
            const std::vector<std::string> texts = co_await std::move(gathering);
            for (int i = 0; i < 300; ++i) {
                EXPECT_EQ(texts[static_cast<std::size_t>(i)], "user " + std::to_string(i) + " none");
            }
            EXPECT_EQ(server.connection_count(), 1U);
        }, {}, loops);
    }
}

/// More than a session has frames in its queue.
TEST(Http2, AThousandRequestsWaitForTheirTurn) {
    with_http2(small_router(), [](Server& server, ClientSession& session) -> Coro<> {
        std::vector<Coro<std::string>> fetches;
        for (int i = 0; i < 1200; ++i) {
            fetches.push_back(fetch(session, url_of(server, "/")));
        }
        auto gathering = gather(std::move(fetches));
        const std::vector<std::string> texts = co_await std::move(gathering);
        for (const std::string& text : texts) {
            EXPECT_EQ(text, "Hello, world!\n");
        }
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2, SendsAndReadsEveryKindOfMessage) {
    Board board;
    with_http2(board_router(board), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.headers = {{"X-Mixed", " value "}, {"Cookie", "a=1; b=2"}, {"Connection", "close"}};
        ClientResponse seen = co_await session.get(url_of(server, "/cookies"), options);
        EXPECT_EQ(seen.header("x-seen"), "value");
        std::string text = co_await seen.text();
        EXPECT_EQ(text, "a=1; b=2|" + server.local_endpoint().to_string());
        ClientResponse head = co_await session.head(url_of(server, "/"));
        EXPECT_EQ(head.header("content-length"), "14");
        text = co_await head.text();
        EXPECT_EQ(text, "");
        ClientResponse posted = co_await session.post(url_of(server, "/echo"), std::string(500'000, 'p'));
        text = co_await posted.text();
        EXPECT_EQ(text, std::string(500'000, 'p'));
        ClientResponse streamed = co_await session.get(url_of(server, "/stream"));
        text = co_await streamed.text();
        EXPECT_EQ(text, "piece\npiece\npiece\n");
        RequestOptions streaming;
        streaming.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("one");
            co_await writer.write("two");
        };
        ClientResponse echoed = co_await session.put(url_of(server, "/echo"), "");
        text = co_await echoed.text();
        EXPECT_EQ(text, "");
        ClientResponse made = co_await session.post(url_of(server, "/echo"), streaming);
        text = co_await made.text();
        EXPECT_EQ(text, "onetwo");
        ClientResponse expecting = co_await session.request("PURGE", url_of(server, "/"));
        EXPECT_EQ(expecting.status(), 405);
        expecting = co_await session.get(url_of(server, "/nobody"));
        EXPECT_EQ(expecting.status(), 404);
        expecting = co_await session.get(url_of(server, "/upgrade"));
        EXPECT_EQ(expecting.status(), 426);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2, OfTheFieldsOfAConnectionOneIsSent) {
    http::Router router;
    router.get("/te", [](http::Request& request) -> Coro<Response> {
        co_return Response::text(std::string(request.header("te")));
    });
    with_http2(std::move(router), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.headers = {{"TE", "trailers"}};
        ClientResponse response = co_await session.get(url_of(server, "/te"), options);
        std::string text = co_await response.text();
        EXPECT_EQ(text, "trailers");
        options.headers = {{"TE", "gzip"}};
        response = co_await session.get(url_of(server, "/te"), options);
        text = co_await response.text();
        EXPECT_EQ(text, "");
    });
}

TEST(Http2, ExpectedBodiesAreAskedFor) {
    with_http2(small_router(), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.headers = {{"Expect", "100-continue"}};
        options.body = "body";
        ClientResponse response = co_await session.post(url_of(server, "/echo"), options);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "body");
        response = co_await session.post(url_of(server, "/unread"), options);
        const std::string unread = co_await response.text();
        EXPECT_EQ(unread, "unread");
    });
}

TEST(Http2, ABodyThatIsNotReadStopsItsSenderAndNobodyElse) {
    Board board;
    with_http2(board_router(board), [&board](Server& server, ClientSession& session) -> Coro<> {
        std::size_t sent = 0;
        RequestOptions options;
        options.stream = [&sent](RequestWriter& writer) -> Coro<> {
            const std::string piece(kPiece, 'u');
            for (; sent < kTenMegabytes; sent += kPiece) {
                co_await writer.write(piece);
            }
        };
        auto posting = create_task(session.post(url_of(server, "/hold"), options));
        for (int i = 0; i < 10; ++i) {
            const std::string text = co_await fetch(session, url_of(server, "/large"));
            EXPECT_EQ(text.size(), std::size_t{1} << 20);
        }
        EXPECT_GT(sent, 0U);
        EXPECT_LE(sent, 65'535U) << "one window";
        board.go.set();
        ClientResponse response = co_await std::move(posting);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, std::to_string(kTenMegabytes));
    });
}

TEST(Http2, AnAnswerThatIsNotReadStopsItsWriterAndNobodyElse) {
    Board board;
    with_http2(board_router(board), [&board](Server& server, ClientSession& session) -> Coro<> {
        ClientResponse many = co_await session.get(url_of(server, "/many"));
        for (int i = 0; i < 10; ++i) {
            const std::string text = co_await fetch(session, url_of(server, "/large"));
            EXPECT_EQ(text.size(), std::size_t{1} << 20);
        }
        EXPECT_GT(board.written, 0U);
        EXPECT_LE(board.written, std::size_t{256} << 10) << "one window";
        const std::string text = co_await many.text();
        EXPECT_EQ(text.size(), kTenMegabytes);
    });
}

TEST(Http2, ACancelledRequestResetsItsStreamAndCancelsItsHandler) {
    Board board;
    with_http2(board_router(board), [&board](Server& server, ClientSession& session) -> Coro<> {
        auto waiting = create_task(session.get(url_of(server, "/gate")));
        while (board.begun == 0) {
            co_await fetch(session, url_of(server, "/"));
        }
        waiting.cancel();
        bool is_cancelled = false;
        try {
            ClientResponse response = co_await std::move(waiting);
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        co_await board.was_cancelled.wait();
        EXPECT_EQ(board.cancelled, 1);
        const std::string text = co_await fetch(session, url_of(server, "/"));
        EXPECT_EQ(text, "Hello, world!\n");
        EXPECT_EQ(server.connection_count(), 1U);
        // One whose answer is dropped in the middle likewise.
        {
            ClientResponse many = co_await session.get(url_of(server, "/many"));
            co_await many.read_some();
        }
        co_await fetch(session, url_of(server, "/"));
        EXPECT_LT(board.written, kTenMegabytes);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2, AnAnswerThatIsCutOffIsAnErrorOfItsOwn) {
    with_http2(small_router(), [](Server& server, ClientSession& session) -> Coro<> {
        get_running_loop().set_exception_handler([](const ExceptionContext&) {});
        ClientResponse response = co_await session.get(url_of(server, "/cut"));
        bool is_cut = false;
        try {
            const std::string text = co_await response.text();
        } catch (const http::ServerProtocolError&) {
            is_cut = true;
        }
        EXPECT_TRUE(is_cut);
        response = co_await session.get(url_of(server, "/fail"));
        EXPECT_EQ(response.status(), 500);
        response = co_await session.get(url_of(server, "/cancelled"));
        EXPECT_EQ(response.status(), 500);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

}  // namespace
}  // namespace knit::test::h2
