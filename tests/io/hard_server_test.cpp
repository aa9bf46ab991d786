// Hard days of a server: many connections, bad clients.
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "hard.hpp"
#include "knit/detail/worker.hpp"
#include "knit/io/server.hpp"
#include "loop_load.hpp"

namespace knit::test {
namespace {

using io::serve;
using io::Server;
using io::TcpStream;

class HardServer : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, HardServer, testing::Values(1U, 2U));

/// What goes wrong in a handler because of its client is of no interest.
Coro<> echo_while_there(TcpStream stream) {
    try {
        Coro<> body = echo(std::move(stream));
        co_await std::move(body);
    } catch (const std::system_error&) {
    }
}

/// The server still serves.
Coro<> expect_served(const Server& server) {
    TcpStream client = co_await TcpStream::connect(server.local_endpoint());
    char buffer[5];
    co_await client.write("hello");
    co_await client.read_exactly(buffer);
    EXPECT_EQ("hello", std::string(buffer, 5));
}

TEST_P(HardServer, ThousandsOfIdleConnectionsHaveABoundedCostEach) {
    const std::size_t count = many_connections();
    const std::size_t before = open_descriptors();
    run_io(
        [count]() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo_while_there);
            co_await expect_served(server);
            std::vector<detail::Fd> clients;
            clients.reserve(count);
            const std::size_t memory = resident_bytes();
            for (std::size_t i = 0; i < count; ++i) {
                clients.push_back(plain_client(server.local_endpoint().port()));
                while (server.connection_count() + 200 < clients.size()) {  // ends: they are in the queue
                    co_await yield();
                }
            }
            while (server.connection_count() < count) {
                co_await yield();
            }
            const std::size_t each = (resident_bytes() - memory) / count;
            std::printf("%zu connections, %zu bytes each with a buffer of 4096\n", count, each);
            if (!kIsSanitized) {
                EXPECT_LT(each, 4096U + 2048U);
            }
            co_await expect_served(server);
            clients.clear();
            server.close();
            co_await server.wait_closed();
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(HardServer, SlowReadersOfALargeAnswerCostNoMemory) {
    run_io(
        []() -> Coro<> {
            constexpr std::size_t kClients = 20;
            const std::string answer(std::size_t{16} << 20, 'x');
            std::atomic<std::size_t> begun = 0;
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                char first[1];
                co_await stream.read_exactly(first);
                if (first[0] != '!') {
                    co_await stream.write(std::string_view("hello"));
                    co_return;
                }
                ++begun;
                try {
                    co_await stream.write(answer);
                    ADD_FAILURE() << "nobody has read it";
                } catch (const std::system_error&) {
                }
            });
            const std::size_t memory = resident_bytes();
            std::vector<detail::Fd> clients;
            for (std::size_t i = 0; i < kClients; ++i) {
                clients.push_back(plain_client(server.local_endpoint().port()));
                EXPECT_EQ(1, send(clients.back().get(), "!", 1, 0));
            }
            while (begun < kClients) {
                co_await yield();
            }
            co_await expect_served(server);
            if (!kIsSanitized) {
                EXPECT_LT(resident_bytes() - memory, answer.size());
            }
            clients.clear();
            server.close();
            co_await server.wait_closed();
        },
        GetParam());
}

TEST_P(HardServer, ConnectAndCloseChurnLeavesNothing) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo_while_there);
            auto churn = [&server]() -> Coro<> {
                for (int i = 0; i < 250; ++i) {
                    TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                    if (i % 3 == 0) {
                        co_await client.write("x");
                    }
                }
            };
            std::vector<Task<>> clients;
            for (int i = 0; i < 4; ++i) {
                clients.push_back(spawn(churn()));
            }
            for (Task<>& client : clients) {
                co_await client;
            }
            co_await expect_served(server);
            server.close();
            co_await server.wait_closed();
            EXPECT_EQ(0U, server.connection_count());
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(HardServer, AStormOfResetsEndsNoServer) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo_while_there);
            const std::uint16_t port = server.local_endpoint().port();
            std::thread storm([port] {  // some are reset in the queue, some while they are read, some while written
                for (int i = 0; i < 1000; ++i) {
                    detail::Fd client = plain_client(port);
                    reset_on_close(client);
                    if (i % 2 == 0) {
                        send(client.get(), "x", 1, MSG_NOSIGNAL);
                    }
                }
            });
            for (int i = 0; i < 20; ++i) {
                co_await expect_served(server);
            }
            co_await to_thread([&storm] { storm.join(); });
            co_await expect_served(server);
            server.close();
            co_await server.wait_closed();
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST(HardServer, APeerKilledInTheMiddleOfAMessageIsAnIncompleteRead) {
    int to_child[2];
    int to_parent[2];
    ASSERT_EQ(0, pipe(to_child));
    ASSERT_EQ(0, pipe(to_parent));
    const pid_t child = fork();  // before there are loops
    if (child == 0) {
        std::uint16_t port = 0;
        if (read(to_child[0], &port, sizeof port) == sizeof port) {
            const detail::Fd client = plain_client(port);
            const bool is_sent = send(client.get(), "12345", 5, 0) == 5 && write(to_parent[1], "x", 1) == 1;
            pause();
            _exit(is_sent ? 0 : 1);
        }
        _exit(1);
    }
    std::string partial;
    run_io([&]() -> Coro<> {
        Event is_over;
        Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
            char message[10];
            try {
                co_await stream.read_exactly(message);
            } catch (const IncompleteReadError& error) {
                partial = error.partial();
            }
            is_over.set();
        });
        const std::uint16_t port = server.local_endpoint().port();
        EXPECT_EQ(static_cast<ssize_t>(sizeof port), write(to_child[1], &port, sizeof port));
        char ready[1];
        EXPECT_EQ(1, co_await to_thread([&] { return read(to_parent[0], ready, 1); }));
        kill(child, SIGKILL);
        co_await is_over.wait();
    });
    EXPECT_EQ("12345", partial);
    EXPECT_EQ(child, waitpid(child, nullptr, 0));
    for (const int number : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) {
        close(number);
    }
}

TEST(HardServer, ALoopWhoseHandlerBlocksGetsNoConnections) {
    run_io(
        []() -> Coro<> {
            std::atomic<bool> is_over = false;
            std::atomic<bool> is_blocking = false;
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                char first[1];
                co_await stream.read_exactly(first);
                if (first[0] == '!') {
                    co_await resume_on(get_runtime().loop(1));
                    is_blocking = true;
                    while (!is_over) {  // ends: the clients below need the other loop alone
                    }
                    co_return;
                }
                co_await stream.write(std::string_view("hello"));
            });
            const detail::Fd blocker = plain_client(server.local_endpoint().port());
            EXPECT_EQ(1, send(blocker.get(), "!", 1, 0));
            while (!is_blocking) {
                co_await yield();
            }
            // Until that shows, a new connection may still be sent there.
            detail::Worker& blocked = get_runtime().loop(1).worker();
            while (!detail::load_of(blocked).is_stuck(blocked, get_running_loop().time())) {
                co_await yield();
            }
            for (int i = 0; i < 20; ++i) {
                co_await expect_served(server);
            }
            is_over = true;
            server.close();
            co_await server.wait_closed();
        },
        2);
}

}  // namespace
}  // namespace knit::test
