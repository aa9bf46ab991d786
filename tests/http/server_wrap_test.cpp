// The server: what is done to a stream before HTTP is spoken on it, by a function that changes loops.
#include <stdexcept>
#include <vector>

#include "http_test.hpp"
#include "knit/detail/base.hpp"
#include "knit/detail/worker.hpp"

namespace knit::test {
namespace {

using http::Router;
using http::Server;

constexpr unsigned kNone = 1000;

/// Says on which loop it ends: a part of the function, which each connection has a copy of.
class Ending {
public:
    explicit Ending(knit::detail::Atomic<unsigned>& loop) noexcept : loop_(&loop) {}
    Ending(const Ending&) = default;
    Ending& operator=(const Ending&) = default;
    ~Ending() {
        if (knit::detail::Worker::current() != nullptr) {
            loop_->store(get_running_loop().id(), std::memory_order_relaxed);  // relaxed: an Event orders it
        }
    }

private:
    knit::detail::Atomic<unsigned>* loop_;
};

TEST(HttpServerWrap, WhatFailsOnAnotherLoopEndsOnItsOwn) {
    // relaxed: an Event orders them
    knit::detail::Atomic<unsigned> begun{kNone};
    knit::detail::Atomic<unsigned> ended{kNone};
    run_io([&]() -> Coro<> {
        Event was_told;
        for (unsigned i = 0; i < 2; ++i) {
            get_runtime().loop(i).set_exception_handler_threadsafe([&](const ExceptionContext&) { was_told.set(); });
        }
        const auto wrap = [&begun, ending = Ending(ended)](io::TcpStream stream) -> Coro<io::TcpStream> {
            const io::TcpStream own = std::move(stream);
            begun.store(get_running_loop().id(), std::memory_order_relaxed);
            co_await resume_on(get_runtime().loop(1 - get_running_loop().id()));
            throw std::out_of_range("mine");
        };
        Server server = co_await http::serve("127.0.0.1:0", Router(), {.shutdown_timeout = 5s}, wrap);
        for (int round = 0; round < 20; ++round) {
            was_told.clear();
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            co_await wait_for(was_told.wait(), 5s);
            EXPECT_EQ(ended.load(std::memory_order_relaxed), begun.load(std::memory_order_relaxed));
            stream.close();
        }
        server.close();
        co_await server.wait_closed();
    }, 2);
}

TEST(HttpServerWrap, AConnectionThatBeginsThoughItsServerClosesEndsAtOnce) {
    run_io([]() -> Coro<> {
        Event is_wrapping;
        const auto wrap = [&is_wrapping](io::TcpStream stream) -> Coro<io::TcpStream> {
            is_wrapping.set();
            const Result<> ended = co_await as_result(sleep(1h));
            EXPECT_FALSE(ended.has_value());
            co_return stream;
        };
        const http::ServerOptions options{.idle_timeout = 0s, .shutdown_timeout = 60s};
        Server server = co_await http::serve("127.0.0.1:0", Router(), options, wrap);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await is_wrapping.wait();
        server.close();
        char byte[1];
        EXPECT_EQ(co_await wait_for(stream.read_some(byte), 5s), 0U);
        stream.close();
        co_await server.wait_closed();
    });
}

TEST(HttpServerWrap, AServerThatClosesEndsWhatHasGoneToAnotherLoop) {
    knit::detail::Atomic<int> waiting{0};
    run_io([&]() -> Coro<> {
        const auto wrap = [&waiting](io::TcpStream stream) -> Coro<io::TcpStream> {
            io::TcpStream own = std::move(stream);
            co_await resume_on(get_runtime().loop(1 - get_running_loop().id()));
            waiting.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
            co_await sleep(std::chrono::hours(1));
            co_return own;
        };
        Server server = co_await http::serve("127.0.0.1:0", Router(), {.shutdown_timeout = 5s}, wrap);
        std::vector<io::TcpStream> streams;
        for (int i = 0; i < 20; ++i) {
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            streams.push_back(std::move(stream));
        }
        while (waiting.load(std::memory_order_relaxed) != 20) {  // relaxed: a count
            co_await yield();
        }
        server.close();
        co_await wait_for(server.wait_closed(), 5s);
    }, 2);
}

}  // namespace
}  // namespace knit::test
