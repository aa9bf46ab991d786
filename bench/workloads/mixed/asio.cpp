// mixed on Asio: a context for each thread; what burns is run by a pool of threads and awaited, or burns in place.
#include "support/asio_server.hpp"

#include "workloads/mixed/case.hpp"

namespace {

using Pool = asio::thread_pool;

Pool* pool = nullptr;  // set before any thread starts; none: burn in place

asio::awaitable<void, Pool::executor_type> burn_in_pool() {
    bench::mixed::burn();
    co_return;
}

bench::AsioTask echo(bench::AsioSocket socket, bench::AsioCount& count) {
    char buffer[bench::kBufferSize];
    try {
        for (;;) {
            const std::size_t received = co_await socket.async_read_some(asio::buffer(buffer));
            if (bench::mixed::is_heavy({buffer, received})) {
                if (pool != nullptr) {
                    co_await asio::co_spawn(pool->get_executor(), burn_in_pool(), bench::AsioToken());
                } else {
                    bench::mixed::burn();
                }
            }
            co_await asio::async_write(socket, asio::buffer(buffer, received));
            ++count.requests;
        }
    } catch (const asio::system_error&) {
        // The client has closed.
    }
}

}  // namespace

int main(int argc, char** argv) {
    const bench::ServerOptions options = bench::server_options(argc, argv, "mixed_asio", "echo", "pool|place");
    Pool threads(options.loops);
    pool = options.form == "pool" ? &threads : nullptr;
    return bench::asio_server_main(options, echo);
}
