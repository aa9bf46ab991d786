// What the functions that servers call may throw, and what options serve() and its like refuse.

#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

/// Serves two connections, each of which the handler's exception closes.
template <class F>
void expect_survives(F handler) {
    run_io([&]() -> Coro<> {
        std::vector<std::string> heard;
        get_running_loop().set_exception_handler(
            [&heard](const ExceptionContext& context) { heard.push_back(context.message); });
        Server server = co_await start_server(handler, "127.0.0.1", 0);
        for (int i = 0; i < 2; ++i) {
            io::Connection near = co_await open_connection(server.local_endpoint());
            EXPECT_EQ("", co_await wait_for(near.reader.read(), 20s));
            co_await close_writer(near.writer);
        }
        EXPECT_EQ(std::vector<std::string>(2, "Unhandled exception in client_connected_cb"), heard);
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Handler, APlainOneMayThrowWhatIsNoException) {
    expect_survives([](StreamReader, StreamWriter) { throw 1; });
}

TEST(Handler, APlainOneMayThrowACancellationOfItsOwn) {
    expect_survives([](StreamReader, StreamWriter) { throw CancelledError("mine"); });
}

Coro<> note_that_it_begins(io::TcpStream stream, bool& has_begun) {
    has_begun = true;
    co_await echo(std::move(stream));
}

/// A plain one may end all connections, its own among them, before there is the task that is to be ended.
TEST(Handler, AConnectionThatItsOwnHandlerEndsBeforeGivingACoroutineDoesNotBegin) {
    run_io([]() -> Coro<> {
        Server* itself = nullptr;
        bool has_begun = false;
        Server server = co_await serve("127.0.0.1:0", [&](io::TcpStream stream) {
            itself->close_clients();
            return note_that_it_begins(std::move(stream), has_begun);
        });
        itself = &server;
        io::TcpStream client = co_await io::TcpStream::connect(server.local_endpoint());
        char buffer[1];
        EXPECT_EQ(0U, co_await wait_for(client.read_some(buffer), 20s));
        EXPECT_FALSE(has_begun);
        server.close();
        co_await server.wait_closed();
    });
}

bool is_value_error(const std::string& text) { return text.starts_with("ValueError"); }

TEST(ServeOptions, ThatHaveNoMeaningAreValueErrors) {
    run_io([]() -> Coro<> {
        const auto handle = [](StreamReader, StreamWriter) {};
        io::ServeOptions limited;
        limited.limit = 1000;
        EXPECT_TRUE(is_value_error(co_await error_of(serve("127.0.0.1:0", echo, limited))));
        io::ServeOptions keeps;
        keeps.cleanup_socket = false;
        EXPECT_TRUE(is_value_error(co_await error_of(serve("127.0.0.1:0", echo, keeps))));
        EXPECT_TRUE(is_value_error(co_await error_of(start_server(handle, "127.0.0.1:0", keeps))));
        io::ServeOptions shares;
        shares.reuse_port = true;
        EXPECT_TRUE(is_value_error(co_await error_of(start_unix_server(handle, "@knit", shares))));
    });
}

TEST(ServeOptions, ReusePortLetsTwoServersShareIt) {
    run_io([]() -> Coro<> {
        io::ServeOptions shares;
        shares.reuse_port = true;
        Server first = co_await serve("127.0.0.1:0", echo, shares);
        const io::Endpoint where = first.local_endpoint();
        Server second = co_await serve(where, echo, shares);
        EXPECT_EQ(where, second.local_endpoint());
        io::ServeOptions alone;
        EXPECT_NE("", co_await error_of(serve(where, echo, alone)));
    });
}

}  // namespace
}  // namespace knit::test
