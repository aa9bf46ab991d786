// A handler of serve() is a task: how it is ended, what it sees, who hears of its failure.

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "io_test.hpp"
#include "knit/context_var.hpp"
#include "knit/io/server.hpp"

namespace knit::test {
namespace {

using io::serve;
using io::Server;
using io::TcpStream;

class HandlerTask : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, HandlerTask, testing::Values(1U, 2U, 4U));

/// Writes much without a copy; the peer does not read. The kernel answers the first kind at once, and the second kind
/// when it is cancelled.
Coro<> write_some_of_much(TcpStream stream) {
    stream.zero_copy_threshold(1);
    const std::string much(32 << 20, 'x');
    static_cast<void>(co_await stream.write_some(much));
}
Coro<> write_all_of_much(TcpStream stream) {
    stream.zero_copy_threshold(1);
    const std::string much(32 << 20, 'x');
    static_cast<void>(co_await stream.write(much));
}
constexpr auto kWriters = {write_some_of_much, write_all_of_much};

TEST_P(HandlerTask, AbortClientsEndsAHandlerWhoseMemoryThePeerHolds) {
    for (const auto writer : kWriters) {
        run_io(
            [writer]() -> Coro<> {
                Server server = co_await serve("127.0.0.1:0", writer);
                const TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                while (server.connection_count() == 0) {
                    co_await yield();
                }
                co_await turns(20);
                server.abort_clients();
                server.close();
                co_await wait_for(server.wait_closed(), 20s);
            },
            GetParam());
    }
}

TEST_P(HandlerTask, TheEndOfTheRunEndsAHandlerWhoseMemoryThePeerHolds) {
    for (const auto writer : kWriters) {
        std::optional<TcpStream> client;
        run_io(
            [&]() -> Coro<> {
                Server server = co_await serve("127.0.0.1:0", writer);
                client.emplace(co_await TcpStream::connect(server.local_endpoint()));
                while (server.connection_count() == 0) {
                    co_await yield();
                }
                co_await turns(20);
            },
            GetParam());
    }
}

ContextVar<int> g_request("request");

Coro<> tell_request(TcpStream stream) {
    const std::string text = std::to_string(g_request.get());
    co_await stream.write(text);
}

TEST_P(HandlerTask, WhatThePlainPartOfAHandlerSetsItsTaskSees) {
    run_io(
        []() -> Coro<> {
            std::atomic<int> next = 0;
            Server server = co_await serve("127.0.0.1:0", [&next](TcpStream stream) -> Coro<> {
                g_request.set(next++);
                return tell_request(std::move(stream));
            });
            for (int i = 0; i < 8; ++i) {
                TcpStream client = co_await TcpStream::connect(server.local_endpoint());
                char answer[8];
                const std::size_t count = co_await client.read_some(answer);
                EXPECT_EQ(std::to_string(i), std::string_view(answer, count));
            }
            EXPECT_EQ(-1, g_request.get(-1));
        },
        GetParam());
}

TEST(HandlerTask, AHandlerThatFailsAtTheEndOfTheRunIsReportedOnce) {
    int reports = 0;
    std::optional<TcpStream> client;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++reports; });
        Event has_begun;
        Server server = co_await serve("127.0.0.1:0", [&](TcpStream stream) -> Coro<> {
            has_begun.set();
            bool is_ending = false;
            try {
                char buffer[1];
                co_await stream.read_some(buffer);
            } catch (const CancelledError&) {
                is_ending = true;
            }
            if (is_ending) {
                throw std::runtime_error("the clean-up failed");
            }
        });
        client.emplace(co_await TcpStream::connect(server.local_endpoint()));
        co_await has_begun.wait();
    });
    EXPECT_EQ(1, reports);
}

}  // namespace
}  // namespace knit::test
