// Which loop a connection is served on: at its beginning, and after rebalance().
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "io_test.hpp"
#include "knit/io/server.hpp"
#include "loop_load.hpp"

namespace knit::test {
namespace {

using io::rebalance;
using io::serve;
using io::Server;
using io::TcpStream;

constexpr std::size_t kLoopsMost = 8;

/// Keeps the loop's thread busy.
void compute(Duration time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
}

class Balance : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, Balance, testing::Values(2U, 4U));

TEST_P(Balance, AThousandConnectionsAreSpreadEvenly) {
    const std::size_t loops = GetParam();
    run_io(
        [loops]() -> Coro<> {
            constexpr std::size_t kConnections = 1000;
            std::vector<std::atomic<std::size_t>> counts(loops);
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                ++counts[get_running_loop().id()];
                Coro<> body = echo(std::move(stream));
                co_await std::move(body);
            });
            std::vector<TcpStream> clients;
            for (std::size_t i = 0; i < kConnections; ++i) {
                clients.push_back(co_await TcpStream::connect(server.local_endpoint()));
            }
            for (TcpStream& client : clients) {
                char buffer[1];
                co_await client.write("x");
                co_await client.read_exactly(buffer);
            }
            const std::size_t most = *std::max_element(counts.begin(), counts.end());
            EXPECT_LE(static_cast<double>(most * loops), 1.25 * kConnections) << most << " on one of " << loops;
            clients.clear();
            server.close();
            co_await server.wait_closed();
        },
        GetParam());
}

/// One connection after the other to these servers, each served once; gives how many there are on either of two loops.
Coro<std::pair<int, int>> spread(std::vector<int> order) {
    std::atomic<int> counts[2] = {};
    auto handler = [&counts](TcpStream stream) -> Coro<> {
        ++counts[get_running_loop().id()];
        Coro<> body = echo(std::move(stream));
        co_await std::move(body);
    };
    Server servers[2];
    for (Server& server : servers) {
        server = co_await serve("127.0.0.1:0", handler);
    }
    std::vector<TcpStream> clients;
    for (const int server : order) {
        clients.push_back(co_await TcpStream::connect(servers[server].local_endpoint()));
        char buffer[1];
        co_await clients.back().write("x");
        co_await clients.back().read_exactly(buffer);
    }
    clients.clear();
    for (Server& server : servers) {
        server.close();
        co_await server.wait_closed();
    }
    co_return std::pair<int, int>(counts[0], counts[1]);
}

// A loop whose thread the system keeps from running for a while looks like one that computes, and gets no connection:
// so most rounds, not all.

TEST(Balance, OfThreeConnectionsNoLoopHasAll) {
    run_io(
        []() -> Coro<> {
            int good = 0;
            const std::vector<int> one_server = {0, 0, 0};
            for (int round = 0; round < 20; ++round) {
                const std::pair<int, int> counts = co_await spread(one_server);
                good += counts.first != 0 && counts.second != 0 ? 1 : 0;
            }
            EXPECT_GE(good, 15);
        },
        2);
}

TEST(Balance, ConnectionsOfAllServersCount) {
    run_io(
        []() -> Coro<> {
            int good = 0;
            const std::vector<int> two_servers = {0, 1, 0, 1};
            for (int round = 0; round < 20; ++round) {
                const std::pair<int, int> counts = co_await spread(two_servers);
                good += counts.first == 2 ? 1 : 0;
            }
            EXPECT_GE(good, 15);  // servers that do not know of each other come to 10
        },
        2);
}

TEST(Balance, ALoopThatComputesKeepsNoNewConnectionWaiting) {
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo);
            std::atomic<bool> is_over = false;
            std::atomic<bool> has_begun = false;
            auto stuck = get_runtime().loop(1).create_task([&]() -> Coro<> {
                has_begun = true;
                while (!is_over) {  // ends: this loop serves the clients below all by itself
                }
                co_return;
            });
            while (!has_begun) {
                co_await yield();
            }
            for (int i = 0; i < 20; ++i) {
                TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                char buffer[1];
                co_await client.write("x");
                co_await client.read_exactly(buffer);
            }
            is_over = true;
            co_await stuck;
        },
        2);
}

/// Connections that compute whenever they are asked, all on loop 0 at first.
struct BusyServer {
    std::atomic<int> moves = 0;
    std::atomic<int> ended_on[kLoopsMost] = {};

    Coro<> handle(TcpStream stream) {
        co_await resume_on(get_runtime().loop(0));
        unsigned here = 0;
        char buffer[1];
        while (co_await stream.read_some(buffer) != 0) {
            compute(1ms);
            co_await stream.write(std::string_view(buffer, 1));
            co_await rebalance();
            const unsigned now = get_running_loop().id();
            moves += now != here ? 1 : 0;
            here = now;
        }
        ++ended_on[here];
    }
};

/// Asks until both loops serve, or the time is over.
Coro<> ask_until(TcpStream client, const std::atomic<bool>& is_over) {
    char buffer[1];
    while (!is_over) {
        co_await client.write("x");
        co_await client.read_exactly(buffer);
    }
}

TEST(Rebalance, ALoopWithAllBusyConnectionsGivesSomeAway) {
    run_io(
        []() -> Coro<> {
            BusyServer busy;
            std::atomic<bool> is_over = false;
            Server server =
                co_await serve("127.0.0.1:0", [&busy](TcpStream stream) { return busy.handle(std::move(stream)); });
            // The clients live on a loop that the server's connections may move to as well.
            std::vector<Task<>> clients;
            for (int i = 0; i < 4; ++i) {
                TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                clients.push_back(create_task(ask_until(std::move(client), is_over)));
            }
            while (busy.moves == 0) {  // ends: loop 0 is busy with four, loop 1 with none
                co_await sleep(10ms);
            }
            is_over = true;
            for (Task<>& client : clients) {
                co_await client;
            }
            server.close();
            co_await server.wait_closed();
            EXPECT_GT(busy.ended_on[1], 0);
            EXPECT_EQ(0U, server.connection_count());
        },
        2);
}

TEST(Rebalance, AConnectionCountsOnTheLoopThatItHasMovedTo) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> moves = 0;
            std::atomic<bool> is_over = false;
            Server server = co_await serve("127.0.0.1:0", [&moves](TcpStream stream) -> Coro<> {
                const unsigned first = get_running_loop().id();
                char buffer[1];
                while (co_await stream.read_some(buffer) != 0) {
                    if (get_running_loop().id() == 0) {
                        compute(1ms);
                    }
                    co_await stream.write(std::string_view(buffer, 1));
                    co_await rebalance();
                    moves += get_running_loop().id() != first ? 1 : 0;
                }
            });
            std::vector<Task<>> clients;
            for (int i = 0; i < 8; ++i) {
                TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                clients.push_back(create_task(ask_until(std::move(client), is_over)));
            }
            while (moves == 0) {  // ends: loop 0 is busy with some of them, loop 1 has next to nothing to do
                co_await sleep(10ms);
            }
            is_over = true;
            for (Task<>& client : clients) {
                co_await client;
            }
            server.close();
            co_await server.wait_closed();
            for (std::size_t index = 0; index < get_runtime().size(); ++index) {
                EXPECT_EQ(0U, detail::load_of(get_runtime().loop(index).worker()).connections()) << index;
            }
        },
        2);
}

/// Computes for a while, if it is on loop 0, and would rather do it elsewhere.
Coro<> compute_on_loop_0(std::atomic<int>& moves) {
    if (get_running_loop().id() != 0) {
        co_return;
    }
    for (int round = 0; round < 100 && get_running_loop().id() == 0; ++round) {
        compute(1ms);
        co_await yield();
        co_await rebalance();
    }
    moves += get_running_loop().id() != 0 ? 1 : 0;
}

/// Whoever ends all of a server's connections goes from loop to loop, and could miss one that moves meanwhile.
TEST(Rebalance, AConnectionThatIsBeingEndedStays) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> begun = 0;
            std::atomic<int> moves = 0;
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                ++begun;
                const Result<> ended = co_await as_result(sleep(1h));
                EXPECT_FALSE(ended.has_value()) << stream.is_open();
                Coro<> computing = compute_on_loop_0(moves);
                co_await std::move(computing);
            });
            std::vector<TcpStream> clients;
            for (int i = 0; i < 8; ++i) {
                clients.push_back(co_await TcpStream::connect(server.local_endpoint()));
            }
            while (begun < 8) {
                co_await yield();
            }
            server.abort_clients();
            server.close();
            co_await server.wait_closed();
            EXPECT_EQ(0, moves);
        },
        2);
}

TEST(Rebalance, StaysWhereAllIsEven) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> moves = 0;
            Server server = co_await serve("127.0.0.1:0", [&moves](TcpStream stream) -> Coro<> {
                const unsigned here = get_running_loop().id();
                char buffer[1];
                while (co_await stream.read_some(buffer) != 0) {
                    co_await stream.write(std::string_view(buffer, 1));
                    for (int i = 0; i < 100; ++i) {
                        co_await rebalance();
                    }
                    moves += get_running_loop().id() != here ? 1 : 0;
                }
            });
            TcpStream client = co_await TcpStream::connect(server.local_endpoint());  // the only one: nothing to gain
            char buffer[1];
            for (int i = 0; i < 500; ++i) {
                co_await client.write("x");
                co_await client.read_exactly(buffer);
            }
            client.close();
            server.close();
            co_await server.wait_closed();  // the handler counts to the end
            EXPECT_EQ(0, moves);
        },
        2);
}

TEST(Rebalance, OutsideOfAServerAndOnOneLoopItDoesNothing) {
    run_io([]() -> Coro<> {
        for (int i = 0; i < 1000; ++i) {
            co_await rebalance();
        }
        EXPECT_EQ(0U, get_running_loop().id());
    });
}

}  // namespace
}  // namespace knit::test
