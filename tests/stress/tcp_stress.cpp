// Many connections that come, echo, vanish and are reset at random, over several loops.

#include <gtest/gtest.h>
#include <sys/socket.h>

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

constexpr unsigned kSeeds = 1U << 30;

unsigned pick(std::mt19937& random, unsigned below) { return static_cast<unsigned>(random() % below); }

Coro<> echo(TcpStream stream) {
    std::string buffer(1024, '\0');
    try {
        for (;;) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                co_return;
            }
            co_await stream.write(std::string_view(buffer.data(), count));
        }
    } catch (const std::system_error&) {
        // The peer has reset the connection; that is what this test does.
    }
}

/// Connects, checks some echoes, and leaves in one of several ways.
Coro<> one_client(knit::io::Endpoint where, unsigned seed_of_client) {
    std::mt19937 random(seed_of_client);
    TcpStream stream = co_await TcpStream::connect(where);
    const unsigned rounds = pick(random, 6);
    for (unsigned i = 0; i < rounds; ++i) {
        const std::string text(1 + pick(random, 5000), static_cast<char>('a' + i));
        auto writing = knit::create_task(stream.write(text));
        std::string answer(text.size(), '\0');
        co_await stream.read_exactly(answer);
        EXPECT_EQ(text, answer);
        co_await writing;
    }
    switch (pick(random, 4)) {
        case 0: break;
        case 1: stream.shutdown(); break;
        case 2: {
            const linger now{1, 0};
            setsockopt(stream.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
            break;
        }
        default: co_await stream.write("unread"); break;
    }
}

Coro<> clients_until(knit::io::Endpoint where, unsigned seed_of_task, Clock::time_point end) {
    std::mt19937 random(seed_of_task);
    while (Clock::now() < end) {
        co_await one_client(where, pick(random, kSeeds));
    }
}

Coro<> storm(unsigned seed_of_test, unsigned tasks) {
    knit::io::Server server = co_await knit::io::serve("127.0.0.1:0", echo, {.max_connections = tasks / 2});
    std::mt19937 random(seed_of_test);
    const auto end = Clock::now() + duration();
    std::vector<knit::Task<>> clients;
    for (unsigned i = 0; i < tasks; ++i) {
        clients.push_back(knit::spawn(clients_until(server.local_endpoint(), pick(random, kSeeds), end)));
    }
    for (knit::Task<>& task : clients) {
        co_await task;
    }
    server.close();
    co_await server.wait_closed();
    EXPECT_EQ(0U, server.connection_count());
}

TEST(TcpStress, ConnectionsComeAndGoInEveryWay) {
    const unsigned first = seed();
    for (const unsigned loops : {1U, 2U, 4U}) {
        knit::RunOptions options;
        options.loops = loops;
        options.ring_entries = loops == 4 ? 8 : 256;
        knit::run(storm(first + loops, 32), options);
    }
}

}  // namespace
