/// asio_server_main: what the servers on Asio share. A context and a listening socket for each thread.
#pragma once

#include <asio.hpp>

#include <csignal>
#include <cstdint>
#include <list>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "support/listen.hpp"

namespace bench {

struct alignas(64) AsioCount {
    std::uint64_t requests = 0;
};

// The context's own executor in place of any_io_executor, which is type-erased and costs something for each operation.
using AsioExecutor = asio::io_context::executor_type;
using AsioToken = asio::use_awaitable_t<AsioExecutor>;
using AsioTask = asio::awaitable<void, AsioExecutor>;
using AsioSocket = AsioToken::as_default_on_t<asio::basic_stream_socket<asio::ip::tcp, AsioExecutor>>;
using AsioAcceptor = AsioToken::as_default_on_t<asio::basic_socket_acceptor<asio::ip::tcp, AsioExecutor>>;
using AsioHandler = AsioTask (*)(AsioSocket, AsioCount&);

inline AsioTask accept_with_asio(AsioAcceptor& acceptor, AsioHandler handler, AsioCount& count) {
    for (;;) {
        AsioSocket socket(co_await acceptor.async_accept());
        asio::co_spawn(acceptor.get_executor(), handler(std::move(socket), count), asio::detached);
    }
}

inline int asio_server_main(const ServerOptions& options, AsioHandler handler) {
    std::list<asio::io_context> contexts;
    std::list<AsioAcceptor> acceptors;
    std::vector<AsioCount> counts(options.loops);
    std::uint16_t port = options.port;
    for (unsigned i = 0; i < options.loops; ++i) {
        contexts.emplace_back(1);
        const int listener = listen_on(port, options.loops > 1);
        port = i == 0 ? announce(listener) : port;
        acceptors.emplace_back(contexts.back(), asio::ip::tcp::v4(), listener);
        asio::co_spawn(contexts.back(), accept_with_asio(acceptors.back(), handler, counts[i]), asio::detached);
    }
    asio::signal_set signals(contexts.front(), SIGTERM, SIGINT);
    signals.async_wait([&contexts](auto, int) {
        for (asio::io_context& context : contexts) {
            context.stop();
        }
    });
    std::vector<std::thread> threads;
    for (auto context = std::next(contexts.begin()); context != contexts.end(); ++context) {
        threads.emplace_back([context] { context->run(); });
    }
    contexts.front().run();
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::uint64_t requests = 0;
    for (const AsioCount& count : counts) {
        requests += count.requests;
    }
    print_server_usage(requests);
    return 0;
}

}  // namespace bench
