// The client: who writes a request's body, and who keeps what an answer has.
#include <optional>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::RequestOptions;
using http::RequestWriter;
using http::Server;

void with_session(std::function<Coro<>(ClientSession&, std::string)> body, unsigned loops = 1) {
    run_io([&]() -> Coro<> {
        co_await with_server([&body](Server& server) -> Coro<> {
            ClientSession session;
            Coro<> running = body(session, "http://" + server.local_endpoint().to_string());
            co_await std::move(running);
        });
    }, loops);
}

TEST(ClientWriter, OneThatIsLeftBehindWritesNothingAnyMore) {
    for (const unsigned loops : {1U, 2U}) {
        std::error_code code;
        with_session([&, loops](ClientSession& session, std::string base) -> Coro<> {
            std::optional<RequestWriter> left;
            RequestOptions options;
            options.stream = [&left](RequestWriter& writer) -> Coro<> {
                left = writer;
                co_await writer.write("piece");
            };
            {
                ClientResponse response = co_await session.post(base + "/echo", options);
                const std::string text = co_await response.text();
                EXPECT_EQ(text, "piece");
            }
            session.close();
            co_await resume_on(get_runtime().loop(loops - 1));
            try {
                co_await left->write("late");
            } catch (const std::system_error& error) {
                code = error.code();
            }
            co_await resume_on(get_runtime().loop(0));
        }, loops);
        EXPECT_EQ(code, std::errc::operation_canceled);
    }
}

TEST(ClientWriter, AStringThatIsMovedInIsKeptUntilItIsSent) {
    http::Router router;
    router.post("/", [](http::Request& request) -> Coro<http::Response> {
        const std::string text = co_await request.text();
        co_return http::Response::stream([text](http::BodyWriter& writer) -> Coro<> {
            Coro<> writing = writer.write(text + "!");
            co_await std::move(writing);
        });
    });
    run_io([&router]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        {
            ClientSession session;
            const std::string text(1000, 'x');
            RequestOptions options;
            options.stream = [&text](RequestWriter& writer) -> Coro<> {
                Coro<> writing = writer.write(text + "?");
                co_await std::move(writing);
            };
            const std::string url = "http://" + server.local_endpoint().to_string() + "/";
            ClientResponse response = co_await session.post(url, options);
            const std::string answer = co_await response.text();
            EXPECT_EQ(answer, text + "?!");
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(ClientWriter, ATemporaryAnswerIsKeptByItsText) {
    with_session([](ClientSession& session, std::string base) -> Coro<> {
        Coro<ClientResponse> getting = session.get(base + "/");
        ClientResponse response = co_await std::move(getting);
        Coro<std::string> reading = std::move(response).raise_for_status().text();
        const std::string text = co_await std::move(reading);
        EXPECT_EQ(text, "Hello, world!\n");
        ClientResponse missing = co_await session.get(base + "/nobody");
        EXPECT_THROW(static_cast<void>(std::move(missing).raise_for_status()), http::ResponseError);
        EXPECT_EQ(http::Url(base + "/path?query").path(), "/path");
    });
}

}  // namespace
}  // namespace knit::test
