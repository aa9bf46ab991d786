// Server's own calls: when it serves, how it ends, alone and with its connections. The families SERVER-01, -03, -07.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "io_test.hpp"
#include "knit/io/server.hpp"

namespace knit::test {
namespace {

using io::serve;
using io::Server;
using io::TcpStream;

class ServerApi : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, ServerApi, testing::Values(1U, 2U, 4U));

/// A client that the server has begun to serve.
Coro<TcpStream> served_client(Server& server) {
    TcpStream client = co_await TcpStream::connect(server.local_endpoint());
    co_await client.write("x");
    char buffer[1];
    co_await client.read_exactly(buffer);
    co_return client;
}

bool is_refused(const io::Endpoint& where) {
    const int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(where.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool refused =
        connect(number, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED;
    close(number);
    return refused;
}

TEST_P(ServerApi, ServesFromStartServingToClose) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo, {.start_serving = false});
            const io::Endpoint where = server.local_endpoint();
            EXPECT_FALSE(server.is_serving());
            EXPECT_TRUE(is_refused(where));
            co_await server.start_serving();
            server.start_serving();
            EXPECT_TRUE(server.is_serving());
            {
                TcpStream client = co_await served_client(server);
            }
            server.close();
            EXPECT_FALSE(server.is_serving());
            EXPECT_TRUE(is_refused(where)) << "refused from close() on, not some turns later";
            EXPECT_TRUE(server.endpoints().empty());
            EXPECT_THROW(server.start_serving(), RuntimeError);
            co_await server.wait_closed();
        },
        GetParam());
    EXPECT_EQ(before, open_descriptors());
}

TEST(ServerApi, ANameIsLookedUpOnAnotherThread) {
    RunOptions options;
    options.loops = 1;
    options.blocking_threads = 1;
    auto main = []() -> Coro<> {
        std::promise<void> goes_on;
        Task<> busy = create_task(to_thread([&goes_on] { goes_on.get_future().wait(); }));
        co_await turns();
        Task<Server> serving = create_task(serve("localhost:0", echo));
        co_await turns(20);
        EXPECT_FALSE(serving.done()) << "the only thread for it has something else to do";
        goes_on.set_value();
        co_await busy;
        Server server = co_await std::move(serving);
        EXPECT_TRUE(server.is_serving());
    };
    run(main, options);
}

TEST(ServerApi, StartServingThatFailsMayBeTriedAgain) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        Server first = co_await serve("127.0.0.1:0", echo, {.start_serving = false});
        Server second = co_await serve(first.local_endpoint(), echo, {.start_serving = false});
        first.start_serving();
        for (int i = 0; i < 2; ++i) {
            EXPECT_THROW(second.start_serving(), std::system_error) << "the other listens";
            EXPECT_FALSE(second.is_serving());
        }
        first.close();
        co_await first.wait_closed();
        second.start_serving();
        EXPECT_TRUE(second.is_serving());
        TcpStream client = co_await served_client(second);
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(ServerApi, StartServingMayMeetCloseOnAnotherThread) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            for (int i = 0; i < 50; ++i) {
                Server server = co_await serve("127.0.0.1:0", echo, {.start_serving = false});
                std::atomic<bool> goes = false;
                std::thread closer([&] {
                    goes = true;
                    server.close();
                });
                while (!goes) {  // ends: the thread has nothing else to do
                }
                try {
                    server.start_serving();
                } catch (const RuntimeError&) {  // closed before it began
                }
                closer.join();
                co_await server.wait_closed();
            }
        },
        2);
    EXPECT_EQ(before, open_descriptors());
}

TEST(ServerApi, AServerThatNeverServedClosesAtOnce) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo, {.start_serving = false});
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(ServerApi, ServeForeverStartsServingAndRefusesAClosedServer) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo, {.start_serving = false});
        Task<> forever = create_task(server.serve_forever());
        co_await turns(3);
        EXPECT_TRUE(server.is_serving());
        forever.cancel();
        bool is_cancelled = false;
        try {
            co_await forever;
        } catch (const CancelledError&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        EXPECT_FALSE(server.is_serving());
        std::string message;
        try {
            co_await server.serve_forever();
        } catch (const RuntimeError& error) {
            message = error.what();
        }
        EXPECT_NE(std::string::npos, message.find("is closed")) << message;
    });
}

TEST(ServerApi, WaitClosedNeedsBothTheCloseAndTheEndOfTheLastConnection) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        Task<> closed = create_task(server.wait_closed());
        {
            TcpStream client = co_await served_client(server);
        }
        while (server.connection_count() != 0) {  // ends: the client has gone
            co_await yield();
        }
        co_await turns();
        EXPECT_FALSE(closed.done()) << "it still serves";
        TcpStream client = co_await served_client(server);
        server.close();
        co_await turns();
        EXPECT_FALSE(closed.done()) << "a client is connected";
        client.close();
        co_await closed;
        co_await server.wait_closed();
    });
}

TEST(ServerApi, WaitClosedSeesACloseAndALastEndInTheSameTurn) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        Task<> closed = create_task(server.wait_closed());
        TcpStream client = co_await served_client(server);
        get_running_loop().call_soon([&server] { server.close(); });
        get_running_loop().call_soon([&client] { client.close(); });
        co_await closed;
        co_await server.wait_closed();
    });
}

TEST(ServerApi, CancellingWaitClosedLeavesTheServerAsItIs) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        Task<> closed = create_task(server.wait_closed());
        co_await turns();
        closed.cancel();
        co_await gather(return_exceptions, closed);
        EXPECT_TRUE(server.is_serving());
        TcpStream client = co_await served_client(server);
    });
}

TEST_P(ServerApi, CloseClientsCancelsTheHandlersAndAcceptingGoesOn) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> cancelled = 0;
            Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
                try {
                    Coro<> body = echo(std::move(stream));
                    co_await std::move(body);
                } catch (const CancelledError&) {
                    ++cancelled;
                    throw;
                }
            });
            TcpStream first = co_await served_client(server);
            TcpStream second = co_await served_client(server);
            server.close_clients();
            char buffer[1];
            EXPECT_EQ(0U, co_await first.read_some(buffer));
            EXPECT_EQ(0U, co_await second.read_some(buffer));
            while (cancelled != 2) {  // ends: the streams are closed a moment before, on other loops
                co_await yield();
            }
            TcpStream third = co_await served_client(server);
            EXPECT_TRUE(server.is_serving());
        },
        GetParam());
}

TEST_P(ServerApi, AbortClientsResetsTheConnections) {
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo);
            TcpStream client = co_await served_client(server);
            server.abort_clients();
            std::error_code code;
            try {
                char buffer[1];
                co_await client.read_some(buffer);
            } catch (const std::system_error& error) {
                code = error.code();
            }
            EXPECT_EQ(std::errc::connection_reset, code);
        },
        GetParam());
}

TEST(ServerApi, AbortClientsMayBeCalledOnAnyThreadWhileHandlersEnd) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            Server server = co_await serve("127.0.0.1:0", echo);
            for (int i = 0; i < 20; ++i) {
                TcpStream leaves = co_await served_client(server);
                TcpStream stays = co_await served_client(server);
                leaves.close();
                std::thread other([&server] { server.abort_clients(); });
                other.join();
                std::error_code code;
                try {
                    char buffer[1];
                    co_await stays.read_some(buffer);
                } catch (const std::system_error& error) {
                    code = error.code();
                }
                EXPECT_EQ(std::errc::connection_reset, code);
            }
        },
        2);
    EXPECT_EQ(before, open_descriptors());
}

TEST(ServerApi, AbortClientsDoesNotTouchASocketThatGotTheNumberOfAHandlersOne) {
    run_io([]() -> Coro<> {
        Event is_closed;
        Event goes_on;
        Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
            stream.close();
            is_closed.set();
            co_await goes_on.wait();
        });
        TcpStream client = co_await TcpStream::connect(server.local_endpoint());
        co_await is_closed.wait();
        Pair other = co_await connected_pair();  // one of the two has the number now
        server.abort_clients();
        co_await turns();
        other.near.close();
        char buffer[1];
        EXPECT_EQ(0U, co_await other.far.read_some(buffer));
    });
}

TEST(ServerApi, AHandlerThatIsSlowToEndDoesNotBreakTheConnectionThatHasItsNumberByThen) {
    run_io([]() -> Coro<> {
        Event is_closed;
        Event goes_on;
        int number = -1;
        Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
            number = stream.native_handle();
            stream.close();
            is_closed.set();
            while (!goes_on.is_set()) {
                try {
                    co_await goes_on.wait();
                } catch (const CancelledError&) {
                    // It has much to clean up.
                }
            }
        });
        Pair other = co_await connected_pair();
        TcpStream client = co_await TcpStream::connect(server.local_endpoint());
        co_await is_closed.wait();
        EXPECT_EQ(-1, fcntl(number, F_GETFD));
        EXPECT_EQ(number, dup2(other.near.native_handle(), number));
        server.abort_clients();
        co_await sleep(30ms);  // behind the server's timer of 10 ms, which stood first
        ::close(number);
        goes_on.set();
        co_await other.near.write("x");
        char buffer[1];
        EXPECT_EQ(1U, co_await other.far.read_some(buffer));
    });
}

TEST(ServerApi, ScopeGivesTheBodysResultAndClosesTheServer) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        auto body = [&server]() -> Coro<std::string> {
            TcpStream client = co_await served_client(server);
            co_return "served";
        };
        const std::string result = co_await server.scope(body);
        EXPECT_EQ("served", result);
        EXPECT_FALSE(server.is_serving());
        EXPECT_EQ(0U, server.connection_count());
    });
}

TEST(ServerApi, ScopeClosesTheServerWhenTheBodyThrowsOrIsCancelled) {
    run_io([]() -> Coro<> {
        Server server = co_await serve("127.0.0.1:0", echo);
        auto throws = []() -> Coro<> {
            co_await yield();
            throw std::runtime_error("as asked");
        };
        std::string message;
        try {
            co_await server.scope(throws);
        } catch (const std::runtime_error& error) {
            message = error.what();
        }
        EXPECT_EQ("as asked", message);
        EXPECT_FALSE(server.is_serving());

        Server second = co_await serve("127.0.0.1:0", echo);
        auto waits = []() -> Coro<> { co_await sleep(1h); };
        Task<> scope = create_task(second.scope(waits));
        co_await turns();
        scope.cancel();
        co_await gather(return_exceptions, scope);
        EXPECT_TRUE(scope.cancelled());
        EXPECT_FALSE(second.is_serving());
    });
}

}  // namespace
}  // namespace knit::test
