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

}  // namespace
}  // namespace knit::test
