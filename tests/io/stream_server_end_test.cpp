// start_server(): how its connections are ended, and what outlives it.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

/// A server that writes `much` to each client and waits for the end.
Coro<Server> start_sending(const std::string& much) {
    auto handler = [&much](StreamReader reader, StreamWriter writer) -> Coro<> {
        writer.write(much);
        co_await reader.read();
        EXPECT_TRUE(writer.is_closing());
    };
    return start_server(handler, "127.0.0.1:0");
}

TEST(StreamServerEnd, CloseClientsSendsWhatIsBufferedAndCloses) {
    run_io([]() -> Coro<> {
        const std::string much(8 << 20, 'x');
        Server server = co_await start_sending(much);
        io::Connection near = co_await open_connection(server.local_endpoint());
        EXPECT_EQ("x", co_await near.reader.readexactly(1));
        server.close();
        server.close_clients();
        const std::string rest = co_await near.reader.read();
        EXPECT_EQ(much.size() - 1, rest.size());
        near.writer.close();
        co_await wait_for(server.wait_closed(), 5s);
    });
}

TEST(StreamServerEnd, AbortClientsDoesNot) {
    run_io([]() -> Coro<> {
        const std::string much(32 << 20, 'x');
        Server server = co_await start_sending(much);
        io::Connection near = co_await open_connection(server.local_endpoint());
        EXPECT_EQ("x", co_await near.reader.readexactly(1));
        server.close();
        server.abort_clients();
        co_await wait_for(server.wait_closed(), 5s);
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(near.reader.read()));
    });
}

TEST(StreamServerEnd, APeerThatDoesNotReadKeepsTheServerNoLongerThanTheDeadline) {
    run_io([]() -> Coro<> {
        const std::string much(32 << 20, 'x');
        auto handler = [&much](StreamReader reader, StreamWriter writer) -> Coro<> {
            writer.write(much);
            writer.close();
            co_await reader.read();
        };
        const io::ServeOptions short_wait{.shutdown_timeout = 10ms};
        Server server = co_await start_server(handler, "127.0.0.1:0", short_wait);
        io::Connection near = co_await open_connection(server.local_endpoint(), {.limit = 1});
        EXPECT_EQ("x", co_await near.reader.readexactly(1));
        server.close();
        co_await wait_for(server.wait_closed(), 20s);
        EXPECT_EQ(0U, server.connection_count());
    });
}

TEST(StreamServerEnd, AWriterAndItsServerMayOutliveTheRuntime) {
    const std::size_t before = open_descriptors();
    Logged logged;
    {
        std::optional<Server> server;
        std::vector<io::Connection> kept;
        run_io([&]() -> Coro<> {
            auto handler = [&kept](StreamReader reader, StreamWriter writer) {
                kept.push_back({std::move(reader), std::move(writer)});
            };
            server = co_await start_server(handler, "127.0.0.1:0");
            io::Connection near = co_await open_connection(server->local_endpoint());
            while (kept.empty()) {
                co_await yield();
            }
            near.writer.close();
        });
        server->close_clients();
        server->abort_clients();
        EXPECT_EQ(1U, server->connection_count());
        kept.clear();
        EXPECT_EQ(0U, server->connection_count());
    }
    EXPECT_EQ(before, open_descriptors());
}

TEST(StreamServerEnd, EndsWithTheRunThatLeavesItOpen) {
    const std::size_t before = open_descriptors();
    Logged logged;
    run_io([]() -> Coro<> {
        auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<> {
            co_await reader.read();
            writer.close();
        };
        static std::optional<Server> server;
        server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server->local_endpoint());
        while (server->connection_count() == 0) {
            co_await yield();
        }
        near.writer.abort();
        server.reset();
    });
    EXPECT_EQ(before, open_descriptors());
    EXPECT_TRUE(logged.warnings().empty());
}

}  // namespace
}  // namespace knit::test
