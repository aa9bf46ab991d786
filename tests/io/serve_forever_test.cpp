// Server::serve_forever(), of both kinds of server.

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::Server;

Coro<Server> echo_server(bool is_streams) {
    if (!is_streams) {
        Coro<Server> serving = serve("127.0.0.1:0", echo);
        co_return co_await std::move(serving);
    }
    auto handler = [](io::StreamReader reader, io::StreamWriter writer) -> Coro<> {
        writer.write(co_await reader.readexactly(1));
        co_await reader.read();
        co_await close_writer(writer);
    };
    Coro<Server> serving = start_server(handler, "127.0.0.1:0");
    co_return co_await std::move(serving);
}

/// A client that the server has begun to serve.
Coro<io::TcpStream> served_client(const Server& server) {
    io::TcpStream client = co_await io::TcpStream::connect(server.local_endpoint());
    co_await client.write("x");
    char buffer[1];
    co_await client.read_exactly(buffer);
    co_return client;
}

class ServeForever : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Streams, ServeForever, testing::Bool());

TEST_P(ServeForever, IsCancelledByCloseWhenTheConnectionsHaveEnded) {
    run_io([is_streams = GetParam()]() -> Coro<> {
        Coro<Server> opening = echo_server(is_streams);
        Server server = co_await std::move(opening);
        Task<> forever = create_task(server.serve_forever());
        io::TcpStream client = co_await served_client(server);
        server.close();
        co_await turns(20);
        EXPECT_FALSE(forever.done()) << "a client is connected";
        client.close();
        co_await gather(return_exceptions, forever);
        EXPECT_TRUE(forever.cancelled());
        EXPECT_EQ(0U, server.connection_count());
    });
}

TEST_P(ServeForever, IsCancelledByCloseOfAnotherThread) {
    run_io([is_streams = GetParam()]() -> Coro<> {
        Coro<Server> opening = echo_server(is_streams);
        Server server = co_await std::move(opening);
        Task<> forever = create_task(server.serve_forever());
        co_await turns();
        std::thread closer([&server] { server.close(); });
        closer.join();
        co_await gather(return_exceptions, forever);
        EXPECT_TRUE(forever.cancelled());
    });
}

TEST_P(ServeForever, CancelledClosesTheServer) {
    run_io([is_streams = GetParam()]() -> Coro<> {
        Coro<Server> opening = echo_server(is_streams);
        Server server = co_await std::move(opening);
        Task<> forever = create_task(server.serve_forever());
        co_await turns();
        EXPECT_FALSE(forever.done());
        forever.cancel();
        co_await gather(return_exceptions, forever);
        EXPECT_TRUE(forever.cancelled());
        EXPECT_FALSE(server.is_serving());
    });
}

TEST_P(ServeForever, IsForOneAtATime) {
    run_io([is_streams = GetParam()]() -> Coro<> {
        Coro<Server> opening = echo_server(is_streams);
        Server server = co_await std::move(opening);
        Task<> forever = create_task(server.serve_forever());
        co_await turns();
        const std::string message = co_await error_of(server.serve_forever());
        EXPECT_NE(std::string::npos, message.find("is already being awaited on serve_forever()")) << message;
        EXPECT_FALSE(forever.done());
        EXPECT_TRUE(server.is_serving());
        forever.cancel();
        co_await gather(return_exceptions, forever);
    });
}

}  // namespace
}  // namespace knit::test
