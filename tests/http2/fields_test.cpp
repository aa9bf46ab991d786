// Header fields of HTTP/2 that are large, and that are larger than what is sent.
#include <array>

#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::Request;
using http::RequestOptions;
using http::Response;
using http::Server;

constexpr int kSmall = 100;  // fields of a KiB each: more than nghttp2 sends when it is not told otherwise
constexpr int kLarge = 150;

Coro<> write_piece(http::BodyWriter& writer) { co_await writer.write("piece"); }

void add_fields(Response& response, int count) {
    for (int i = 0; i < count; ++i) {
        response.header("X-Field", std::string(1024, 'x'));
    }
}

/// GET /fields/{count}: so many KiB of fields. GET /streamed/{count}: with a body that is made on the way. GET /long:
/// one of 70 KiB.
http::Router fields_router() {
    http::Router router = small_router();
    router.get("/fields/{count}", [](Request& request) -> Coro<Response> {
        Response response = Response::text("whole");
        add_fields(response, std::stoi(std::string(request.param("count"))));
        co_return response;
    });
    router.get("/streamed/{count}", [](Request& request) -> Coro<Response> {
        Response response = Response::stream(write_piece);
        add_fields(response, std::stoi(std::string(request.param("count"))));
        co_return response;
    });
    router.get("/long", [](Request&) -> Coro<Response> {
        Response response = Response::text("whole");
        response.header("X-Field", std::string(70 << 10, 'x'));
        co_return response;
    });
    return router;
}

RequestOptions with_fields(int count, std::size_t size) {
    RequestOptions options;
    options.timeout = http::ClientTimeout{.total = 10s};
    for (int i = 0; i < count; ++i) {
        options.headers.emplace_back("X-Field-" + std::to_string(i), std::string(size, 'x'));
    }
    return options;
}

TEST(Http2Fields, AnAnswerMayHaveAHundredKilobytesOfThem) {
    with_http2(fields_router(), [](Server& server, ClientSession& session) -> Coro<> {
        for (const std::string path : {"/fields/", "/streamed/"}) {
            ClientResponse response = co_await session.get(url_of(server, path + std::to_string(kSmall)),
                                                           with_fields(0, 0));
            EXPECT_EQ(response.status(), 200);
            EXPECT_EQ(response.headers().get_all("x-field").size(), static_cast<std::size_t>(kSmall));
            const std::string text = co_await response.text();
            EXPECT_EQ(text, path == "/fields/" ? "whole" : "piece");
        }
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Fields, AnAnswerOfMoreIs500AndAnErrorOfTheHandlers) {
    with_http2(fields_router(), [](Server& server, ClientSession& session) -> Coro<> {
        std::vector<std::string> messages;
        get_running_loop().set_exception_handler([&messages](const ExceptionContext& context) {
            try {
                std::rethrow_exception(context.exception);
            } catch (const std::exception& error) {
                messages.emplace_back(error.what());
            }
        });
        const std::string large = std::to_string(kLarge);
        const std::array<std::string, 3> paths = {"/fields/" + large, "/streamed/" + large, "/long"};
        for (const std::string& path : paths) {
            ClientResponse response = co_await session.get(url_of(server, path), with_fields(0, 0));
            EXPECT_EQ(response.status(), 500) << path;
            const std::string text = co_await response.text();
            EXPECT_TRUE(text.starts_with("500")) << text;
        }
        EXPECT_EQ(messages.size(), 3U);
        for (const std::string& message : messages) {
            EXPECT_NE(message.find("header fields"), std::string::npos) << message;
        }
        const std::string text = co_await fetch(session, url_of(server, "/"));
        EXPECT_EQ(text, "Hello, world!\n");
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Fields, ARequestMayHaveAHundredKilobytesOfThem) {
    http::ServerOptions options;
    options.head_max = 256 << 10;
    options.header_count_max = 1000;
    with_http2(fields_router(), [](Server& server, ClientSession& session) -> Coro<> {
        ClientResponse response = co_await session.get(url_of(server, "/"), with_fields(kSmall, 1024));
        EXPECT_EQ(response.status(), 200);
    }, options);
}

TEST(Http2Fields, ARequestOfMoreIsAnErrorThatSaysSo) {
    with_http2(fields_router(), [](Server& server, ClientSession& session) -> Coro<> {
        for (const RequestOptions& options : {with_fields(kLarge, 1024), with_fields(1, 70 << 10)}) {
            std::string text;
            try {
                ClientResponse response = co_await session.get(url_of(server, "/"), options);
            } catch (const ValueError& error) {
                text = error.what();
            } catch (const std::exception& error) {
                text = std::string("another error: ") + error.what();
            }
            EXPECT_NE(text.find("the request's header fields are larger"), std::string::npos) << text;
        }
        const std::string text = co_await fetch(session, url_of(server, "/"));
        EXPECT_EQ(text, "Hello, world!\n");
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

}  // namespace
}  // namespace knit::test::h2
