// mixed on Asio: a context for each thread, and whoever got the message burns; nobody takes work from another.
#include "support/asio_server.hpp"

#include "workloads/mixed/case.hpp"

namespace {

asio::awaitable<void> echo(asio::ip::tcp::socket socket, bench::AsioCount& count) {
    char buffer[bench::kBufferSize];
    try {
        for (;;) {
            const std::size_t received = co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
            if (bench::mixed::is_heavy({buffer, received})) {
                bench::mixed::burn();
            }
            co_await asio::async_write(socket, asio::buffer(buffer, received), asio::use_awaitable);
            ++count.requests;
        }
    } catch (const asio::system_error&) {
        // The client has closed.
    }
}

}  // namespace

int main(int argc, char** argv) { return bench::asio_server_main(argc, argv, "mixed_asio", "echo", echo); }
