// start_server() and start_unix_server(): STREAM-.. and SERVER-.. of asyncio's behaviours.

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

Coro<> echo_line(StreamReader reader, StreamWriter writer) {
    const std::string line = co_await reader.readline();
    writer.write(line);
    co_await writer.drain();
    co_await close_writer(writer);
}

/// Until the peer ends.
Coro<> read_and_close(StreamReader reader, StreamWriter writer) {
    co_await reader.read();
    co_await close_writer(writer);
}

void close_at_once(StreamReader, StreamWriter writer) { writer.close(); }

Coro<> end_server(Server& server) {
    server.close();
    co_await server.wait_closed();
}

/// What the exception handler of the loop has heard.
std::vector<std::string>& listen_for_failures() {
    static std::vector<std::string> heard;
    heard.clear();
    get_running_loop().set_exception_handler([](const ExceptionContext& context) { heard.push_back(context.message); });
    return heard;
}

TEST(StreamServer, CallsTheHandlerOncePerConnection) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        Server server = co_await start_server(echo_line, "127.0.0.1:0");
        EXPECT_TRUE(server.is_serving());
        for (const std::string text : {"hello\n", "again\n"}) {
            io::Connection near = co_await open_connection(server.local_endpoint());
            near.writer.write(text);
            EXPECT_EQ(text, co_await near.reader.readline());
            EXPECT_EQ("", co_await near.reader.read());
            co_await close_writer(near.writer);
        }
        co_await end_server(server);
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(StreamServer, APlainFunctionWillDo) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(close_at_once, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        EXPECT_FALSE(near.writer.is_closing());
        EXPECT_EQ("", co_await near.reader.read());
        co_await close_writer(near.writer);
        near.writer.write("data");
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(near.writer.drain()));
        co_await end_server(server);
    });
}

TEST(StreamServer, ACoroutinesResultIsDropped) {
    run_io([]() -> Coro<> {
        auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<int> {
            co_await reader.read();
            writer.close();
            co_return 7;
        };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
}

TEST(StreamServer, RunsTheHandlerOnTheLoopThatCalled) {
    run_io(
        []() -> Coro<> {
            co_await resume_on(get_runtime().loop(1));
            auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<> {
                EXPECT_EQ(1U, get_running_loop().id());
                co_await echo_line(std::move(reader), std::move(writer));
            };
            Server server = co_await start_server(handler, "127.0.0.1:0");
            co_await resume_on(get_runtime().loop(0));
            for (int i = 0; i < 20; ++i) {
                io::Connection near = co_await open_connection(server.local_endpoint());
                near.writer.write("x\n");
                EXPECT_EQ("x\n", co_await near.reader.read());
                co_await close_writer(near.writer);
            }
            co_await end_server(server);
        },
        2);
}

TEST(StreamServer, AHandlerThatThrowsIsReportedAndItsConnectionClosed) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<> {
            co_await reader.readline();
            writer.write("partly");
            throw std::runtime_error("broken");
        };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        near.writer.write("x\n");
        EXPECT_EQ("partly", co_await near.reader.read());
        EXPECT_EQ(std::vector<std::string>{"Unhandled exception in client_connected_cb"}, heard);
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
    EXPECT_TRUE(logged.warnings().empty());
}

TEST(StreamServer, APlainFunctionThatThrowsIsReportedAndItsConnectionClosed) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        auto handler = [](StreamReader, StreamWriter) { throw std::runtime_error("broken"); };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        EXPECT_EQ("", co_await near.reader.read());
        EXPECT_EQ(std::vector<std::string>{"Unhandled exception in client_connected_cb"}, heard);
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
    EXPECT_TRUE(logged.warnings().empty());
}

TEST(StreamServer, AHandlerThatLeavesItsWriterOpenIsWarnedOf) {
    Logged logged;
    run_io([]() -> Coro<> {
        auto handler = [](StreamReader, StreamWriter writer) -> Coro<> {
            writer.write("bye");
            co_return;
        };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        EXPECT_EQ("bye", co_await near.reader.read());
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
    ASSERT_EQ(1U, logged.warnings().size());
    EXPECT_EQ(0U, logged.warnings()[0].find("unclosed <StreamWriter"));
}

TEST(StreamServer, AWriterMayOutliveItsHandler) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<io::Connection> kept;
        auto handler = [&kept](StreamReader reader, StreamWriter writer) -> Coro<> {
            kept.push_back({std::move(reader), std::move(writer)});
            co_return;
        };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        near.writer.write("x\n");
        while (kept.empty()) {
            co_await yield();
        }
        EXPECT_EQ("x\n", co_await kept[0].reader.readline());
        EXPECT_EQ(1U, server.connection_count());
        kept[0].writer.write("y");
        kept[0].writer.close();
        EXPECT_EQ("y", co_await near.reader.read());
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
    EXPECT_TRUE(logged.warnings().empty());
}

TEST(StreamServer, CloseKeepsConnectionsAndWaitClosedWaitsForThem) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(read_and_close, "127.0.0.1:0");
        io::Connection near = co_await open_connection(server.local_endpoint());
        while (server.connection_count() == 0) {
            co_await yield();
        }
        auto waiting = create_task(server.wait_closed());
        server.close();
        co_await turns(20);
        EXPECT_FALSE(server.is_serving());
        EXPECT_FALSE(waiting.done());
        near.writer.close();
        co_await wait_for(waiting, 5s);
        co_await near.writer.wait_closed();
    });
}

TEST(StreamServer, WaitClosedIsWokenWhenCloseAndTheLastConnectionCoincide) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(read_and_close, "127.0.0.1:0");
        auto waiting = create_task(server.wait_closed());
        io::Connection near = co_await open_connection(server.local_endpoint());
        while (server.connection_count() == 0) {
            co_await yield();
        }
        get_running_loop().call_soon([&] { server.close(); });
        get_running_loop().call_soon([&] { near.writer.close(); });
        co_await wait_for(waiting, 5s);
        co_await server.wait_closed();
        co_await near.writer.wait_closed();
    });
}

TEST(StreamServer, ServesOnlyWhenToldTo) {
    run_io([]() -> Coro<> {
        const io::ServeOptions later{.start_serving = false};
        Server server = co_await start_server(close_at_once, "127.0.0.1:0", later);
        EXPECT_FALSE(server.is_serving());
        auto serving = create_task(server.serve_forever());
        co_await turns(3);
        EXPECT_TRUE(server.is_serving());
        serving.cancel();
        const auto ended = co_await as_result(std::move(serving));
        EXPECT_FALSE(ended.has_value());
        EXPECT_FALSE(server.is_serving());
        EXPECT_TRUE(server.endpoints().empty());
        std::string text;
        try {
            co_await server.serve_forever();
        } catch (const RuntimeError& error) {
            text = error.what();
        }
        EXPECT_NE(std::string::npos, text.find("is closed"));
    });
}

TEST(StreamServer, ASlowReaderCostsTheServerNoMoreThanTheHighWaterMark) {
    run_io([]() -> Coro<> {
        constexpr std::size_t kPiece = 10'000;
        constexpr int kPieces = 3'000;
        std::size_t most = 0;
        auto handler = [&most](StreamReader, StreamWriter writer) -> Coro<> {
            const std::string piece(kPiece, 'x');
            for (int i = 0; i < kPieces; ++i) {
                writer.write(piece);
                most = std::max(most, writer.get_write_buffer_size());
                co_await writer.drain();
            }
            co_await close_writer(writer);
        };
        Server server = co_await start_server(handler, "127.0.0.1:0");
        const StreamOptions small{.limit = 1000};
        io::Connection near = co_await open_connection(server.local_endpoint(), small);
        co_await turns(50);
        std::size_t count = 0;
        for (std::string part = "x"; !part.empty(); count += part.size()) {
            part = co_await near.reader.read(100'000);
        }
        EXPECT_EQ(kPiece * kPieces, count);
        EXPECT_LE(most, (std::size_t{64} << 10) + kPiece);
        co_await close_writer(near.writer);
        co_await end_server(server);
    });
}

TEST(StreamServer, OutOfDescriptorsIsReportedAndAcceptingGoesOn) {
    run_io([]() -> Coro<> {
        look_at_error_types();
        std::vector<std::string>& heard = listen_for_failures();
        Server server = co_await start_server(close_at_once, "127.0.0.1:0");
        co_await turns();
        rlimit old{};
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
        const int free = dup(0);
        close(free);
        const rlimit tight{static_cast<rlim_t>(free) + 1, old.rlim_max};
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &tight));
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server.local_endpoint().port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address));
        while (heard.empty()) {
            co_await sleep(1ms);
        }
        EXPECT_EQ("socket.accept() out of system resource", heard.front());
        EXPECT_TRUE(server.is_serving());
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
        char byte = 0;
        while (recv(client, &byte, 1, MSG_DONTWAIT) != 0) {  // until the handler has closed it
            co_await sleep(1ms);
        }
        close(client);
        co_await end_server(server);
    });
}

TEST(StreamServer, OverAUnixSocketRemovesItsFile) {
    run_io([]() -> Coro<> {
        const auto path = std::filesystem::temp_directory_path() / ("knit-server-" + std::to_string(getpid()));
        Server server = co_await start_unix_server(echo_line, path);
        EXPECT_TRUE(std::filesystem::exists(path));
        io::Connection near = co_await open_unix_connection(path);
        near.writer.write("x\n");
        EXPECT_EQ("x\n", co_await near.reader.read());
        co_await close_writer(near.writer);
        server.close();
        EXPECT_FALSE(std::filesystem::exists(path));
        co_await server.wait_closed();

        const io::ServeOptions keeps{.cleanup_socket = false};
        Server second = co_await start_unix_server(close_at_once, path, keeps);
        second.close();
        EXPECT_TRUE(std::filesystem::exists(path));
        Server third = co_await start_unix_server(close_at_once, path);  // replaces what nobody listens at
        third.close();
        EXPECT_FALSE(std::filesystem::exists(path));
    });
}

}  // namespace
}  // namespace knit::test
