// Hard days of a server: its end.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "hard.hpp"
#include "knit/io/server.hpp"

namespace knit::test {
namespace {

using io::serve;
using io::Server;
using io::TcpStream;

class HardShutdown : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, HardShutdown, testing::Values(1U, 2U));

/// Everything that comes until the end of the stream.
std::string read_all(const detail::Fd& client) {
    std::string text;
    char buffer[64];
    for (;;) {
        const ssize_t count = recv(client.get(), buffer, sizeof buffer, 0);
        if (count <= 0) {
            return text;
        }
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

TEST_P(HardShutdown, SigtermUnderLoadFinishesWhatRuns) {
    const std::size_t before = open_descriptors();
    std::atomic<std::uint16_t> port = 0;
    std::atomic<bool> is_over = false;
    std::atomic<int> whole = 0;
    std::atomic<int> torn = 0;
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back([&] {
            while (!is_over) {
                const detail::Fd client = port != 0 ? plain_client(port) : detail::Fd();
                if (!client) {
                    std::this_thread::yield();
                    continue;
                }
                send(client.get(), "x", 1, MSG_NOSIGNAL);
                const std::string answer = read_all(client);
                whole += answer == "abcdef" ? 1 : 0;
                torn += answer != "abcdef" && !answer.empty() ? 1 : 0;  // empty: it was still in the queue
            }
        });
    }
    RunOptions options;
    options.loops = GetParam();
    options.shutdown_signals = {SIGTERM};
    options.grace = 20s;
    auto main = [&]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", [](TcpStream stream) -> Coro<> {
            char buffer[1];
            co_await stream.read_exactly(buffer);
            co_await stream.write("abc");
            co_await sleep(2ms);
            co_await stream.write("def");
        });
        port = server.local_endpoint().port();
        auto killer = create_task([&whole]() -> Coro<> {
            while (whole < 50) {  // ends: the clients go on
                co_await sleep(1ms);
            }
            kill(getpid(), SIGTERM);
        });
        co_await server.serve_forever();
        ADD_FAILURE() << "not cancelled";
    };
    EXPECT_THROW(run(main, options), CancelledError);
    is_over = true;
    for (std::thread& client : clients) {
        client.join();
    }
    EXPECT_EQ(0, torn);
    EXPECT_GE(whole, 50);
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(HardShutdown, HandlersThatDoNotEndAreCancelledAtTheDeadline) {
    RunOptions options;
    options.loops = GetParam();
    options.shutdown_signals = {SIGTERM};
    std::atomic<int> cancelled = 0;
    auto main = [&]() -> Coro<> {
        Server server = co_await serve(
            "127.0.0.1:0",
            [&cancelled](TcpStream stream) -> Coro<> {
                char buffer[1];
                try {
                    co_await stream.read_exactly(buffer);
                } catch (const CancelledError&) {
                    ++cancelled;
                    throw;
                }
            },
            {.shutdown_timeout = 10ms});
        std::vector<detail::Fd> clients;
        for (int i = 0; i < 20; ++i) {
            clients.push_back(plain_client(server.local_endpoint().port()));
        }
        while (server.connection_count() != clients.size()) {
            co_await yield();
        }
        co_await turns();
        kill(getpid(), SIGTERM);
        co_await server.serve_forever();
    };
    EXPECT_THROW(run(main, options), CancelledError);
    EXPECT_LE(cancelled, 20);
    EXPECT_GE(cancelled, 1);
}

TEST(HardShutdown, ThousandsOfAcceptsEndWithTheirListener) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        int ended = 0;
        auto accepts = [&]() -> Coro<> {
            try {
                TcpStream stream = co_await listener.accept();
            } catch (const std::system_error& error) {
                ended += error.code() == std::errc::operation_canceled ? 1 : 0;
            }
        };
        std::vector<Task<>> tasks;
        for (int i = 0; i < 3000; ++i) {
            tasks.push_back(create_task(accepts()));
        }
        co_await turns();
        listener.close();
        for (Task<>& task : tasks) {
            co_await task;
        }
        EXPECT_EQ(3000, ended);
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(HardShutdown, HundredsOfServersCloseAtOnce) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            std::vector<Server> servers;
            for (int i = 0; i < 100; ++i) {
                servers.push_back(co_await serve("127.0.0.1:0", echo));
            }
            std::vector<detail::Fd> clients;
            for (const Server& server : servers) {
                clients.push_back(plain_client(server.local_endpoint().port()));
            }
            for (Server& server : servers) {
                server.close();
            }
            clients.clear();
            for (Server& server : servers) {
                co_await server.wait_closed();
            }
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

}  // namespace
}  // namespace knit::test
