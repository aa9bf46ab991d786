// HTTP hello on Asio's coroutines.
#include "support/asio_server.hpp"
#include "support/hello.hpp"

namespace {

bench::AsioTask answer(bench::AsioSocket socket, bench::AsioCount& count) {
    char buffer[bench::kBufferSize];
    bench::Hello hello;
    try {
        for (;;) {
            const std::size_t received = co_await socket.async_read_some(asio::buffer(buffer));
            const std::uint64_t before = hello.answered();
            const std::string_view answers = hello.answers_to({buffer, received});
            co_await asio::async_write(socket, asio::buffer(answers));
            count.requests += hello.answered() - before;
        }
    } catch (const asio::system_error&) {
        // The client has closed.
    }
}

}  // namespace

int main(int argc, char** argv) {
    return bench::asio_server_main(bench::server_options(argc, argv, "http_asio", "http"), answer);
}
