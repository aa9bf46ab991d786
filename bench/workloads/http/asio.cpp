// HTTP hello on Asio's coroutines.
#include "support/asio_server.hpp"
#include "support/hello.hpp"

namespace {

asio::awaitable<void> answer(asio::ip::tcp::socket socket, bench::AsioCount& count) {
    char buffer[bench::kBufferSize];
    bench::Hello hello;
    try {
        for (;;) {
            const std::size_t received = co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
            const std::uint64_t before = hello.answered();
            const std::string_view answers = hello.answers_to({buffer, received});
            co_await asio::async_write(socket, asio::buffer(answers), asio::use_awaitable);
            count.requests += hello.answered() - before;
        }
    } catch (const asio::system_error&) {
        // The client has closed.
    }
}

}  // namespace

int main(int argc, char** argv) { return bench::asio_server_main(argc, argv, "http_asio", "http", answer); }
