// Servers that start, serve, move connections between loops, end them in every way, while clients come and go.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "knit/core.hpp"
#include "knit/io/io.hpp"
#include "loop_load.hpp"
#include "stress.hpp"

namespace {

using knit::Coro;
using knit::io::Server;
using knit::io::TcpStream;
using knit::stress::Clock;
using knit::stress::end_of_test;
using knit::stress::Random;
using knit::stress::test_seed;

/// Echoes, and moves to any loop between two messages, by itself or as rebalance() sees fit.
Coro<> echo_here_and_there(TcpStream stream, unsigned seed_of_connection) {
    Random random(seed_of_connection);
    char buffer[64];
    try {
        for (;;) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                co_return;
            }
            co_await stream.write(std::string_view(buffer, count));
            if (random.below(4) == 0) {
                co_await knit::resume_on(knit::get_runtime().loop(random.below(2)));
            } else {
                co_await knit::io::rebalance();
            }
        }
    } catch (const std::system_error&) {
        // Reset by the client or by abort_clients(); that is what this test does.
    }
}

Coro<> one_client(knit::io::Endpoint where, unsigned seed_of_client) {
    Random random(seed_of_client);
    try {
        TcpStream stream = co_await TcpStream::connect(where);
        const unsigned rounds = random.below(20);
        for (unsigned i = 0; i < rounds; ++i) {
            char buffer[8];
            const std::string text(sizeof buffer, static_cast<char>('a' + i));
            co_await stream.write(text);
            co_await stream.read_exactly(buffer);
            EXPECT_EQ(text, std::string(buffer, sizeof buffer));
        }
        if (random.below(3) == 0) {
            const linger now{1, 0};
            setsockopt(stream.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
    } catch (const std::system_error&) {
        // The server has been closed.
    } catch (const knit::IncompleteReadError&) {
    }
}

/// A server's life, from a random loop.
Coro<> one_server(unsigned seed_of_server) {
    Random random(seed_of_server);
    co_await knit::resume_on(knit::get_runtime().loop(random.below(2)));
    std::atomic<unsigned> connections = 0;
    auto handler = [&connections, seed_of_server](TcpStream stream) -> Coro<> {
        return echo_here_and_there(std::move(stream), seed_of_server + ++connections);
    };
    knit::io::ServeOptions options;
    options.max_connections = random.below(3) == 0 ? 2 : 0;
    options.shutdown_timeout = std::chrono::milliseconds(random.below(5));
    Server server = co_await knit::io::serve("127.0.0.1:0", handler, options);
    std::vector<knit::Task<>> clients;
    const unsigned count = 1 + random.below(12);
    for (unsigned i = 0; i < count; ++i) {
        clients.push_back(knit::spawn(one_client(server.local_endpoint(), seed_of_server + i)));
    }
    co_await knit::sleep(std::chrono::microseconds(random.below(4000)));
    switch (random.below(4)) {
        case 0: server.close_clients(); break;
        case 1: server.abort_clients(); break;
        case 2: co_await knit::resume_on(knit::get_runtime().loop(random.below(2))); break;
        default: break;
    }
    server.close();
    co_await server.wait_closed();
    EXPECT_EQ(0U, server.connection_count());
    for (knit::Task<>& client : clients) {
        co_await client;
    }
}

Coro<> run_servers(unsigned first_seed) {
    Random random(first_seed);
    const auto end = end_of_test();
    do {
        std::vector<knit::Task<>> servers;
        for (int i = 0; i < 4; ++i) {
            servers.push_back(knit::spawn(one_server(random.below(1U << 30))));
        }
        for (knit::Task<>& server : servers) {
            co_await server;
        }
    } while (Clock::now() < end);
    for (std::size_t index = 0; index < 2; ++index) {  // each was counted where it was
        EXPECT_EQ(0U, knit::detail::load_of(knit::get_runtime().loop(index).worker()).connections()) << index;
    }
}

TEST(ServerStress, ServersComeAndGoWithConnectionsThatMove) {
    knit::RunOptions options;
    options.loops = 2;
    knit::run(run_servers(static_cast<unsigned>(test_seed())), options);
}

}  // namespace
