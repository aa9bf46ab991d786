// The client of HTTP/2: answers that come while the request is still sent.
#include <optional>
#include <stdexcept>

#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::BodyWriter;
using http::ClientResponse;
using http::ClientSession;
using http::Request;
using http::RequestOptions;
using http::RequestWriter;
using http::Response;
using http::Server;

Coro<> write_late(BodyWriter& writer) { co_await writer.write("late"); }

/// POST /mirror: answers with each piece as it comes. POST /early: answers, and reads nothing. POST /patient: streams
/// an answer when the body is late.
http::Router mirror_router() {
    http::Router router;
    router.post("/mirror", [](Request& request) -> Coro<Response> {
        co_return Response::stream([&request](BodyWriter& writer) -> Coro<> {
            for (;;) {
                const std::string_view part = co_await request.read_some();
                const std::string piece(part);
                if (piece.empty()) {
                    break;
                }
                co_await writer.write(piece);
            }
        });
    });
    router.post("/early", [](Request&) -> Coro<Response> { co_return Response(413, "no!"); });
    router.post("/patient", [](Request& request) -> Coro<Response> {
        bool is_late = false;
        try {
            const std::string text = co_await request.text();
        } catch (const http::HttpError&) {
            is_late = true;
        }
        EXPECT_TRUE(is_late);
        co_return Response::stream(write_late);
    });
    router.post("/wait", [](Request& request) -> Coro<Response> {
        const std::string text = co_await request.text();
        co_return Response::text(text);
    });
    return router;
}

TEST(Http2Upload, AServerMayAnswerAsItReads) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        Event read;
        RequestOptions options;
        options.stream = [&read](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await read.wait();
            co_await writer.write("second");
        };
        ClientResponse response = co_await session.post(url_of(server, "/mirror"), options);
        const std::string_view piece = co_await response.read_some();
        std::string text(piece);
        EXPECT_EQ(text, "first");
        read.set();
        text = co_await response.text();
        EXPECT_EQ(text, "second");
        options.stream = nullptr;
        options.body = std::string(kTenMegabytes, 'x');
        response = co_await session.post(url_of(server, "/mirror"), options);
        text = co_await response.text();
        EXPECT_TRUE(text == options.body);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Upload, ABodyThatIsReadAfterTheHeadIsNotAskedFor) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.headers = {{"Expect", "100-continue"}};
        options.body = "body";
        ClientResponse response = co_await session.post(url_of(server, "/mirror"), options);
        EXPECT_EQ(response.status(), 200);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "body");
    });
}

TEST(Http2Upload, AFunctionMayGoToAnotherLoop) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        Loop& other = get_runtime().loop(1 - get_running_loop().id());
        RequestOptions options;
        bool is_thrown = false;
        options.stream = [&other, &is_thrown](RequestWriter& writer) -> Coro<> {
            const std::string piece(kPiece, 'x');
            for (int i = 0; i < 20; ++i) {
                co_await resume_on(other);
                co_await writer.write(piece);
            }
            co_await resume_on(other);
            if (is_thrown) {
                throw std::out_of_range("mine");
            }
        };
        for (int i = 0; i < 10; ++i) {
            ClientResponse response = co_await session.post(url_of(server, "/wait"), options);
            const std::string text = co_await response.text();
            EXPECT_EQ(text.size(), 20 * kPiece);
        }
        is_thrown = true;
        EXPECT_THROW(co_await session.post(url_of(server, "/wait"), options), std::out_of_range);
        EXPECT_EQ(server.connection_count(), 1U);
    }, {}, 2);
}

Coro<> write_both(RequestWriter& writer, std::string_view first, std::string_view second) {
    std::vector<Coro<>> writes;
    writes.push_back(writer.write(first));
    writes.push_back(writer.write(second));
    auto gathering = gather(std::move(writes));
    co_await std::move(gathering);
}

TEST(Http2Upload, TwoTasksThatWriteOneBodyAreAnError) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        const std::string piece(500'000, 'x');
        RequestOptions options;
        options.stream = [&piece](RequestWriter& writer) { return write_both(writer, piece, piece); };
        EXPECT_THROW(co_await session.post(url_of(server, "/wait"), options), RuntimeError);
        Task<> left;
        options.stream = [&piece, &left](RequestWriter& writer) -> Coro<> {
            left = create_task(writer.write(piece));
            co_await yield();
        };
        EXPECT_THROW(co_await session.post(url_of(server, "/wait"), options), RuntimeError);
        EXPECT_THROW(co_await left, std::system_error);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Upload, AWriterThatIsLeftBehindWritesNothingAnyMore) {
    for (const unsigned loops : {1U, 2U}) {
        std::error_code code;
        with_http2(mirror_router(), [&, loops](Server& server, ClientSession& session) -> Coro<> {
            std::optional<RequestWriter> left;
            RequestOptions options;
            options.stream = [&left](RequestWriter& writer) -> Coro<> {
                left = writer;
                co_await writer.write("piece");
            };
            {
                ClientResponse response = co_await session.post(url_of(server, "/wait"), options);
                const std::string text = co_await response.text();
                EXPECT_EQ(text, "piece");
            }
            co_await resume_on(get_runtime().loop(loops - 1));
            try {
                co_await left->write("late");
            } catch (const std::system_error& error) {
                code = error.code();
            }
            co_await resume_on(get_runtime().loop(0));
        }, {}, loops);
        EXPECT_EQ(code, std::errc::operation_canceled);
    }
}

TEST(Http2Upload, TheAnswerToALateBodyMayBeStreamed) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await sleep(std::chrono::hours(1));
        };
        ClientResponse response = co_await session.post(url_of(server, "/patient"), options);
        EXPECT_EQ(response.status(), 200);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "late");
    }, {.body_timeout = 20ms});
}

/// Waits for its cancellation, and notes that.
std::function<Coro<>(RequestWriter&)> endless(bool& has_ended) {
    return [&has_ended](RequestWriter& writer) -> Coro<> {
        co_await writer.write("first");
        try {
            co_await sleep(std::chrono::hours(1));
        } catch (const CancelledError&) {
            has_ended = true;
            throw;
        }
    };
}

TEST(Http2Upload, AFunctionThatWritesEndsBeforeTheAnswerHas) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        bool has_ended = false;
        RequestOptions options;
        options.stream = endless(has_ended);
        ClientResponse response = co_await session.post(url_of(server, "/early"), options);
        EXPECT_EQ(response.status(), 413);
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "no!");
        EXPECT_TRUE(has_ended);
        response = co_await session.post(url_of(server, "/wait"), "again");
        EXPECT_EQ(response.status(), 200);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Upload, WhatTheFunctionThrowsComesOutThoughTheServerWaits) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            co_await writer.write("first");
            co_await sleep(1ms);
            throw std::out_of_range("mine");
        };
        EXPECT_THROW(co_await session.post(url_of(server, "/wait"), options), std::out_of_range);
        bool is_caught = false;
        try {  // before the answer's head has come, or after it
            ClientResponse response = co_await session.post(url_of(server, "/mirror"), options);
            const std::string text = co_await response.text();
        } catch (const std::out_of_range&) {
            is_caught = true;
        }
        EXPECT_TRUE(is_caught);
        bool has_ended = false;
        options.stream = endless(has_ended);
        auto posting = create_task(session.post(url_of(server, "/wait"), options));
        co_await sleep(5ms);
        posting.cancel();
        EXPECT_THROW(co_await posting, CancelledError);
        EXPECT_TRUE(has_ended);
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Upload, TheReadTimeoutBeginsWhenTheRequestIsSent) {
    with_http2(mirror_router(), [](Server& server, ClientSession& session) -> Coro<> {
        RequestOptions options;
        options.timeout = http::ClientTimeout{.read = 200ms};
        options.stream = [](RequestWriter& writer) -> Coro<> {
            for (int i = 0; i < 10; ++i) {
                co_await sleep(50ms);
                co_await writer.write("x");
            }
        };
        ClientResponse response = co_await session.post(url_of(server, "/wait"), options);
        EXPECT_EQ(response.status(), 200);
    });
}

}  // namespace
}  // namespace knit::test::h2
