#include "knit/io/server.hpp"

#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::serve;
using io::Server;
using io::TcpStream;

/// Asks an echo server and checks the answer.
Coro<> ask_echo(io::Endpoint where, int rounds) {
    TcpStream stream = co_await TcpStream::connect(where);
    for (int i = 0; i < rounds; ++i) {
        const std::string text = "message " + std::to_string(i);
        co_await stream.write(text);
        std::string answer(text.size(), '\0');
        co_await stream.read_exactly(answer);
        EXPECT_EQ(text, answer);
    }
}

Coro<> serve_clients(std::size_t clients, int rounds) {
    Server server = co_await serve("127.0.0.1:0", echo);
    EXPECT_TRUE(server.is_serving());
    std::vector<Task<>> tasks;
    for (std::size_t i = 0; i < clients; ++i) {
        tasks.push_back(spawn(ask_echo(server.local_endpoint(), rounds)));
    }
    for (Task<>& task : tasks) {
        co_await task;
    }
    server.close();
    EXPECT_FALSE(server.is_serving());
    co_await server.wait_closed();
    EXPECT_EQ(0U, server.connection_count());
}

/// The deadline of the connections ends with the last of them.
TEST(Server, WaitClosedLeavesNoTimer) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        co_await ask_echo(server.local_endpoint(), 1);
        server.close();
        co_await server.wait_closed();
        EXPECT_EQ(0U, get_running_loop().timer_count());
    });
}

class ServerOnLoops : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, ServerOnLoops, testing::Values(1U, 2U, 4U));

TEST_P(ServerOnLoops, ServesTwoHundredConnectionsAndLeavesNoDescriptor) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> { co_await serve_clients(200, 5); }, GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(ServerOnLoops, WorksWithATinyRing) {
    run_io([]() -> Coro<> { co_await serve_clients(250, 2); }, GetParam(), 8);  // 500 operations in flight
}

TEST_P(ServerOnLoops, ClosesFromAnyLoopAndWithClientsConnected) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo);
            TcpStream client = co_await TcpStream::connect(server.local_endpoint());
            co_await client.write("x");
            char buffer[1];
            co_await client.read_exactly(buffer);
            co_await resume_on(get_runtime().loop(get_runtime().size() - 1));
            server.close();
            server.close();
            Task<> closed = create_task(server.wait_closed());
            co_await resume_on(get_runtime().loop(0));
            // The handler still runs.
            co_await client.write("y");
            co_await client.read_exactly(buffer);
            EXPECT_EQ('y', buffer[0]);
            EXPECT_FALSE(closed.done());
            client.close();
            co_await closed;
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST(Server, RunsEachHandlerOnOneLoop) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> served = 0;
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                const unsigned here = get_running_loop().id();
                char buffer[16];
                const std::size_t count = co_await stream.read_some(buffer);
                EXPECT_EQ(here, get_running_loop().id());
                ++served;
                co_await stream.write(std::string_view(buffer, count));
            });
            for (int i = 0; i < 64; ++i) {
                co_await ask_echo(server.local_endpoint(), 1);
            }
            server.close();
            co_await server.wait_closed();
            EXPECT_EQ(64, served);
        },
        2);
}

TEST(Server, AHandlerThatThrowsIsReportedAndTheServerGoesOn) {
    std::atomic<int> reports = 0;
    RunOptions options;
    options.loops = 2;
    options.exception_handler = [&reports](const ExceptionContext& context) {
        EXPECT_NE(std::string::npos, context.message.find("Unhandled exception in the handler of a connection to"));
        EXPECT_TRUE(context.task.has_value());
        EXPECT_NE(nullptr, context.exception);
        ++reports;
    };
    run(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", [](TcpStream stream) -> Coro<> {
                char buffer[1];
                co_await stream.read_exactly(buffer);
                if (buffer[0] == '!') {
                    throw std::runtime_error("as asked");
                }
                co_await stream.write(std::string_view(buffer, 1));
            });
            for (const char* text : {"!", "a", "!", "b"}) {
                TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                co_await client.write(text);
                char buffer[1];
                EXPECT_EQ(*text == '!' ? 0U : 1U, co_await client.read_some(buffer));
            }
            server.close();
            co_await server.wait_closed();
        },
        options);
    EXPECT_EQ(2, reports);
}

TEST(Server, CancelsHandlersThatDoNotEndInTime) {
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo, {.shutdown_timeout = 1ms});
            TcpStream client = co_await TcpStream::connect(server.local_endpoint());
            co_await client.write("x");
            char buffer[1];
            co_await client.read_exactly(buffer);
            server.close();
            co_await server.wait_closed();
            EXPECT_EQ(0U, co_await client.read_some(buffer));
        },
        2);
}

TEST(Server, KeepsTheHandlerUntilItsLastCoroutineHasEnded) {
    run_io([]() -> Coro<> {
        auto alive = std::make_shared<int>(7);
        const std::weak_ptr<int> watch = alive;
        TcpStream client;
        {
            auto handler = [alive = std::move(alive)](TcpStream stream) -> Coro<> {
                char buffer[1];
                co_await stream.read_exactly(buffer);
                buffer[0] = static_cast<char>(*alive);
                co_await stream.write(std::string_view(buffer, 1));
            };
            Server server = co_await serve("127.0.0.1:0", std::move(handler));
            client = co_await TcpStream::connect(server.local_endpoint());
            while (server.connection_count() == 0) {  // ends: the connection is in the queue
                co_await yield();
            }
        }
        co_await client.write("x");
        char buffer[1];
        co_await client.read_exactly(buffer);
        EXPECT_EQ(7, buffer[0]);
        EXPECT_EQ(0U, co_await client.read_some(buffer));
        co_await turns(20);
        EXPECT_TRUE(watch.expired());
    });
}

TEST(Server, NeverRunsMoreHandlersThanTheLimit) {
    for (const unsigned loops : {1U, 2U}) {
        run_io(
            []() -> Coro<> {
                std::atomic<int> running = 0;
                std::atomic<int> most = 0;
                Server server = co_await serve(
                    "127.0.0.1:0",
                    [&](TcpStream stream) -> Coro<> {
                        const int now = ++running;
                        int seen = most;
                        while (now > seen && !most.compare_exchange_weak(seen, now)) {
                        }
                        co_await turns();
                        --running;
                        Coro<> body = echo(std::move(stream));
                        co_await std::move(body);
                    },
                    {.max_connections = 3});
                std::vector<Task<>> tasks;
                for (int i = 0; i < 40; ++i) {
                    tasks.push_back(spawn(ask_echo(server.local_endpoint(), 2)));
                }
                for (Task<>& task : tasks) {
                    co_await task;
                }
                EXPECT_LE(most, 3);
                EXPECT_LE(server.connection_count(), 3U);
                server.close();
                co_await server.wait_closed();
            },
            loops);
    }
}

TEST(Server, BacksOffWithoutDescriptorsSaysSoAndRecovers) {
    std::mutex mutex;
    std::vector<std::string> log;
    set_log_sink([&](const LogRecord& record) {
        const std::lock_guard lock(mutex);
        log.push_back(record.message);
    });
    const auto has_logged = [&] {
        const std::lock_guard lock(mutex);
        return !log.empty();
    };
    run_io([&]() -> Coro<> {
        // Once with descriptors: UBSan needs a pipe for its first look at an object's type, and remembers it.
        Server early = co_await serve("127.0.0.1:0", echo);
        co_await ask_echo(early.local_endpoint(), 1);
        early.close();
        co_await early.wait_closed();
        look_at_error_types();
        Server server = co_await serve("127.0.0.1:0", echo);
        const int client = socket(AF_INET, SOCK_STREAM, 0);
        rlimit before{};
        getrlimit(RLIMIT_NOFILE, &before);
        const rlimit none{0, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server.local_endpoint().port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address));
        while (!has_logged()) {  // ends: accepting fails
            co_await sleep(1ms);
        }
        EXPECT_EQ(0U, server.connection_count());
        setrlimit(RLIMIT_NOFILE, &before);
        co_await ask_echo(server.local_endpoint(), 3);
        close(client);
        server.close();
        co_await server.wait_closed();
    });
    set_log_sink({});
    ASSERT_FALSE(log.empty());
    EXPECT_NE(std::string::npos, log[0].find("serve: accept 127.0.0.1:")) << log[0];
    EXPECT_NE(std::string::npos, log[0].find("Too many open files")) << log[0];
}

TEST(Server, APortInUseIsAnErrorOnAnyNumberOfLoops) {
    for (const unsigned loops : {1U, 2U}) {
        run_io(
            []() -> Coro<> {
                Server server = co_await serve("127.0.0.1:0", echo);
                try {
                    static_cast<void>(co_await serve(server.local_endpoint(), echo));
                    ADD_FAILURE() << "served twice";
                } catch (const std::system_error& error) {
                    EXPECT_EQ(std::errc::address_in_use, error.code());
                }
            },
            loops);
    }
}

TEST(Server, ServesIpv6AndEveryAddressOfAName) {
    run_io([]() -> Coro<> {
        for (const char* where : {"[::1]:0", "localhost:0", ":0"}) {
            Server server = co_await serve(where, echo);
            for (const io::Endpoint& endpoint : server.endpoints()) {
                EXPECT_EQ(server.local_endpoint().port(), endpoint.port());
                const bool any = endpoint.host() == "::" || endpoint.host() == "0.0.0.0";
                const io::Endpoint client = any ? io::Endpoint("127.0.0.1", endpoint.port()) : endpoint;
                co_await ask_echo(client, 1);
            }
        }
    });
}

TEST(Server, TheEndOfRunEndsAServerThatNobodyClosed) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo);
            auto* const forgotten = new Server(std::move(server));
            TcpStream client = co_await TcpStream::connect(forgotten->local_endpoint());
            co_await client.write("x");
            create_task([](Server* owned, TcpStream kept) -> Coro<> {
                const std::unique_ptr<Server> owner(owned);
                char buffer[8];
                for (;;) {
                    co_await kept.read_some(buffer);
                }
            }(forgotten, std::move(client)));
            co_await turns();
        },
        2);
    EXPECT_EQ(before, open_descriptors());
}

TEST(Server, ALoopBusyWithReadyTasksStillServes) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        bool is_over = false;
        auto busy = create_task([&is_over]() -> Coro<> {
            while (!is_over) {
                co_await yield();
            }
        });
        co_await ask_echo(server.local_endpoint(), 10);
        is_over = true;
        co_await busy;
    });
}

}  // namespace
}  // namespace knit::test
