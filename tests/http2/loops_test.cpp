// The client of HTTP/2: answers that leave the loop of their connection.
#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::Server;

enum class Way { read, read_a_part, destroyed };

/// Takes an answer to the other loop, and lets it go there or reads it there.
Coro<> leave_with_answer(ClientSession& session, http::Url url, Way way) {
    Loop& home = get_running_loop();
    Loop& other = get_runtime().loop(1 - home.id());
    {
        ClientResponse response = co_await session.get(std::move(url));
        co_await resume_on(other);
        if (way == Way::read) {
            const std::string text = co_await response.text();
            EXPECT_EQ(text, "piece\npiece\npiece\n");
            EXPECT_EQ(&get_running_loop(), &home);
        } else if (way == Way::read_a_part) {
            const std::string_view piece = co_await response.read_some();
            EXPECT_TRUE(piece.starts_with("piece\n"));
            co_await resume_on(other);
        }
    }
    co_await resume_on(home);
}

void run_with_keepalive(Duration keepalive, std::function<Coro<>(Server&, ClientSession&)> body) {
    run_io([&]() -> Coro<> {
        Coro<Server> starting = http::serve(io::endpoint("127.0.0.1", 0), small_router(), {.shutdown_timeout = 5s});
        Server server = co_await std::move(starting);
        {
            http::SessionOptions options = prior_knowledge();
            options.keepalive = keepalive;
            ClientSession session(options);
            Coro<> running = body(server, session);
            co_await std::move(running);
        }
        server.close();
        co_await server.wait_closed();
    }, 2);
}

TEST(Http2Loops, AnswersMayBeReadAndDestroyedOnAnotherLoopThanTheirConnections) {
    run_with_keepalive(15s, [](Server& server, ClientSession& session) -> Coro<> {
        for (int round = 0; round < 5; ++round) {
            std::vector<Coro<>> fetches;
            for (int i = 0; i < 20; ++i) {
                const Way way = i % 3 == 0 ? Way::read : i % 3 == 1 ? Way::read_a_part : Way::destroyed;
                fetches.push_back(leave_with_answer(session, url_of(server, "/stream"), way));
            }
            auto gathering = gather(std::move(fetches));
            auto staying = create_task(fetch(session, url_of(server, "/stream")));
            co_await std::move(gathering);
            const std::string text = co_await std::move(staying);
            EXPECT_EQ(text, "piece\npiece\npiece\n");
        }
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

TEST(Http2Loops, TheLastAnswerOfAConnectionMayEndOnAnotherLoop) {
    run_with_keepalive(1ms, [](Server& server, ClientSession& session) -> Coro<> {
        for (int round = 0; round < 10; ++round) {
            for (const Way way : {Way::read_a_part, Way::destroyed}) {
                Coro<> fetching = leave_with_answer(session, url_of(server, "/stream"), way);
                co_await std::move(fetching);
            }
            co_await sleep(2ms);
        }
    });
}

TEST(Http2Loops, AnAnswerMayBeDestroyedWhenItsConnectionHasEnded) {
    std::vector<ClientResponse> kept;
    run_with_keepalive(15s, [&kept](Server& server, ClientSession& session) -> Coro<> {
        for (int i = 0; i < 3; ++i) {
            ClientResponse response = co_await session.get(url_of(server, "/nobody"));
            kept.push_back(std::move(response));
        }
        ClientResponse open = co_await session.get(url_of(server, "/stream"));
        kept.push_back(std::move(open));
    });
    EXPECT_EQ(kept.back().status(), 200);
    EXPECT_EQ(kept.front().status(), 404);
    kept.clear();  // no loop runs any more
}

}  // namespace
}  // namespace knit::test::h2
