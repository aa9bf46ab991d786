// Servers that start, serve, move connections between loops, end them in every way, while clients come and go.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "knit/core.hpp"
#include "knit/io/io.hpp"

namespace {

using knit::Coro;
using knit::io::Server;
using knit::io::TcpStream;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds duration() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::atoi(text) : 250);
}

unsigned seed() {
    const char* const text = std::getenv("KNIT_TEST_SEED");
    const unsigned long value = text != nullptr ? std::strtoul(text, nullptr, 10) : std::random_device()();
    std::printf("KNIT_TEST_SEED=%lu\n", value);
    return static_cast<unsigned>(value);
}

unsigned pick(std::mt19937& random, unsigned below) { return static_cast<unsigned>(random() % below); }

/// Echoes, and moves to any loop between two messages, by itself or as rebalance() sees fit.
Coro<> echo_here_and_there(TcpStream stream, unsigned seed_of_connection) {
    std::mt19937 random(seed_of_connection);
    char buffer[64];
    try {
        for (;;) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                co_return;
            }
            co_await stream.write(std::string_view(buffer, count));
            if (pick(random, 4) == 0) {
                co_await knit::resume_on(knit::get_runtime().loop(pick(random, 2)));
            } else {
                co_await knit::io::rebalance();
            }
        }
    } catch (const std::system_error&) {
        // Reset by the client or by abort_clients(); that is what this test does.
    }
}

Coro<> one_client(knit::io::Endpoint where, unsigned seed_of_client) {
    std::mt19937 random(seed_of_client);
    try {
        TcpStream stream = co_await TcpStream::connect(where);
        const unsigned rounds = pick(random, 20);
        for (unsigned i = 0; i < rounds; ++i) {
            char buffer[8];
            const std::string text(sizeof buffer, static_cast<char>('a' + i));
            co_await stream.write(text);
            co_await stream.read_exactly(buffer);
            EXPECT_EQ(text, std::string(buffer, sizeof buffer));
        }
        if (pick(random, 3) == 0) {
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
    std::mt19937 random(seed_of_server);
    co_await knit::resume_on(knit::get_runtime().loop(pick(random, 2)));
    std::atomic<unsigned> connections = 0;
    auto handler = [&connections, seed_of_server](TcpStream stream) -> Coro<> {
        return echo_here_and_there(std::move(stream), seed_of_server + ++connections);
    };
    knit::io::ServeOptions options;
    options.max_connections = pick(random, 3) == 0 ? 2 : 0;
    options.shutdown_timeout = std::chrono::milliseconds(pick(random, 5));
    Server server = co_await knit::io::serve("127.0.0.1:0", handler, options);
    std::vector<knit::Task<>> clients;
    const unsigned count = 1 + pick(random, 12);
    for (unsigned i = 0; i < count; ++i) {
        clients.push_back(knit::spawn(one_client(server.local_endpoint(), seed_of_server + i)));
    }
    co_await knit::sleep(std::chrono::microseconds(pick(random, 4000)));
    switch (pick(random, 4)) {
        case 0: server.close_clients(); break;
        case 1: server.abort_clients(); break;
        case 2: co_await knit::resume_on(knit::get_runtime().loop(pick(random, 2))); break;
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
    std::mt19937 random(first_seed);
    const auto end = Clock::now() + duration();
    do {
        std::vector<knit::Task<>> servers;
        for (int i = 0; i < 4; ++i) {
            servers.push_back(knit::spawn(one_server(static_cast<unsigned>(random() % (1U << 30)))));
        }
        for (knit::Task<>& server : servers) {
            co_await server;
        }
    } while (Clock::now() < end);
}

TEST(ServerStress, ServersComeAndGoWithConnectionsThatMove) {
    knit::RunOptions options;
    options.loops = 2;
    knit::run(run_servers(seed()), options);
}

}  // namespace
