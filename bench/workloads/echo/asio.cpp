// Echo server on Asio's coroutines.
#include "support/asio_server.hpp"

namespace {

bench::AsioTask echo(bench::AsioSocket socket, bench::AsioCount& count) {
    char buffer[bench::kBufferSize];
    try {
        for (;;) {
            const std::size_t received = co_await socket.async_read_some(asio::buffer(buffer));
            co_await asio::async_write(socket, asio::buffer(buffer, received));
            ++count.requests;
        }
    } catch (const asio::system_error&) {
        // The client has closed.
    }
}

}  // namespace

int main(int argc, char** argv) {
    return bench::asio_server_main(bench::server_options(argc, argv, "echo_asio", "echo"), echo);
}
