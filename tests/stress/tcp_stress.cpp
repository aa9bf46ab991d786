// Many connections that come, echo, vanish and are reset at random, over several loops.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "knit/core.hpp"
#include "knit/io/io.hpp"
#include "stress.hpp"

namespace {

using knit::Coro;
using knit::io::TcpStream;
using knit::stress::Clock;
using knit::stress::end_of_test;
using knit::stress::Random;
using knit::stress::test_seed;

constexpr unsigned kSeeds = 1U << 30;

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
    Random random(seed_of_client);
    TcpStream stream = co_await TcpStream::connect(where);
    const unsigned rounds = random.below(6);
    for (unsigned i = 0; i < rounds; ++i) {
        const std::string text(1 + random.below(5000), static_cast<char>('a' + i));
        auto writing = knit::create_task(stream.write(text));
        std::string answer(text.size(), '\0');
        co_await stream.read_exactly(answer);
        EXPECT_EQ(text, answer);
        co_await writing;
    }
    switch (random.below(4)) {
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
    Random random(seed_of_task);
    while (Clock::now() < end) {
        co_await one_client(where, random.below(kSeeds));
    }
}

Coro<> storm(unsigned seed_of_test, unsigned tasks) {
    knit::io::Server server = co_await knit::io::serve("127.0.0.1:0", echo, {.max_connections = tasks / 2});
    Random random(seed_of_test);
    const auto end = end_of_test();
    std::vector<knit::Task<>> clients;
    for (unsigned i = 0; i < tasks; ++i) {
        clients.push_back(knit::spawn(clients_until(server.local_endpoint(), random.below(kSeeds), end)));
    }
    for (knit::Task<>& task : clients) {
        co_await task;
    }
    server.close();
    co_await server.wait_closed();
    EXPECT_EQ(0U, server.connection_count());
}

TEST(TcpStress, ConnectionsComeAndGoInEveryWay) {
    const unsigned first = static_cast<unsigned>(test_seed());
    for (const unsigned loops : {1U, 2U, 4U}) {
        knit::RunOptions options;
        options.loops = loops;
        options.ring_entries = loops == 4 ? 8 : 256;
        knit::run(storm(first + loops, 32), options);
    }
}

}  // namespace
