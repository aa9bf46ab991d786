// What stands between a start_server() and the streams of its connections, where a library above io makes those.

#include <stdexcept>
#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

/// Does as its peer says first: 't' throws, 'n' gives no stream, all else a stream.
Coro<detail::StreamCoreRef> open_as_told(io::TcpStream socket, std::size_t limit) {
    char order[1];
    co_await socket.read_some(order);
    if (order[0] == 't') {
        throw std::logic_error("an opener that is wrong");
    }
    detail::StreamCoreRef core;
    if (order[0] != 'n') {
        core = detail::StreamCoreRef::share(*detail::make_stream_core(std::move(socket), limit, true, true));
    }
    co_return core;
}

TEST(StreamOpener, AConnectionWithoutAStreamHasNoHandlerAndWhatIsThrownIsReported) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        std::vector<std::string> heard;
        get_running_loop().set_exception_handler(
            [&heard](const ExceptionContext& context) { heard.push_back(context.message); });
        std::string handled;
        detail::StreamHandler handler = [&handled](StreamReader reader, StreamWriter writer) -> Coro<> {
            handled += co_await reader.read();
            writer.close();
        };
        Coro<Server> serving = detail::serve_streams("127.0.0.1:0", handler, io::ServeOptions(), open_as_told);
        Server server = co_await std::move(serving);
        for (const std::string order : {"t", "n", "yes"}) {
            io::TcpStream near = co_await io::TcpStream::connect(server.local_endpoint());
            co_await near.write(order);
            near.shutdown();
            char byte[1];
            EXPECT_EQ(0U, co_await near.read_some(byte));
        }
        server.close();
        co_await server.wait_closed();
        EXPECT_EQ("es", handled);
        EXPECT_EQ(std::vector<std::string>{"Error on transport creation for incoming connection"}, heard);
        get_running_loop().set_exception_handler(nullptr);
    });
    EXPECT_EQ(before, open_descriptors());
}

/// A stream whose close() goes on in the background, until it is told to end.
class Lingering {
public:
    Lingering(io::TcpStream stream, Event& end) : stream_(std::move(stream)), end_(&end) {}
    auto read_some(std::span<std::byte> buffer) { return stream_.read_some(buffer); }
    auto write(std::span<const std::byte> bytes) { return stream_.write(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }
    void abort() {
        close();
        end_->set();
    }
    Coro<> wait_closed() { co_await end_->wait(); }

private:
    io::TcpStream stream_;
    Event* end_;
};

/// A server, one of whose connections lingers.
Coro<Server> start_lingering(Event& end, io::ServeOptions options = {}) {
    detail::StreamOpener<io::TcpStream> opener = [&end](io::TcpStream socket,
                                                        std::size_t limit) -> Coro<detail::StreamCoreRef> {
        const auto made = detail::make_stream_core(Lingering(std::move(socket), end), limit, true, true);
        co_return detail::StreamCoreRef::share(*made);
    };
    detail::StreamHandler handler = [](StreamReader, StreamWriter writer) -> Coro<> { co_await close_writer(writer); };
    Coro<Server> serving = detail::serve_streams("127.0.0.1:0", std::move(handler), options, std::move(opener));
    Server server = co_await std::move(serving);
    io::Connection near = co_await open_connection(server.local_endpoint());
    EXPECT_EQ("", co_await near.reader.read());
    co_await close_writer(near.writer);
    co_await turns(20);
    EXPECT_EQ(1U, server.connection_count());  // though the writer is closed
    co_return server;
}

TEST(StreamOpener, AConnectionCountsUntilTheStreamBelowIsClosed) {
    run_io([]() -> Coro<> {
        Event end;
        Server server = co_await start_lingering(end);
        server.close();
        server.close_clients();
        co_await turns(20);
        EXPECT_EQ(1U, server.connection_count());
        end.set();
        co_await server.wait_closed();
    });
}

TEST(StreamOpener, AStreamThatIsStillClosingIsAborted) {
    for (const bool is_deadline : {false, true}) {
        run_io([is_deadline]() -> Coro<> {
            Event end;
            Server server = co_await start_lingering(end, {.shutdown_timeout = is_deadline ? 1ms : 1h});
            server.close();
            if (!is_deadline) {
                server.abort_clients();
            }
            co_await server.wait_closed();
            EXPECT_TRUE(end.is_set());
        });
    }
}

TEST(StreamOpener, AnAbortAfterCloseReachesAStreamThatIsStillClosing) {
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        Event end;
        io::TcpStream socket = co_await io::TcpStream::connect(listener.local_endpoint());
        io::Connection near = io::make_streams(Lingering(std::move(socket), end));
        co_await close_writer(near.writer);
        EXPECT_FALSE(end.is_set());
        near.writer.abort();
        EXPECT_TRUE(end.is_set());
    });
}

TEST(StreamOpener, TheRunMayEndWhileAStreamIsStillClosing) {
    const std::size_t before = open_descriptors();
    Event end;
    run_io([&end]() -> Coro<> { const Server server = co_await start_lingering(end); });
    EXPECT_EQ(before, open_descriptors());
    EXPECT_FALSE(end.is_set());
}

}  // namespace
}  // namespace knit::test
