// What the epoll driver asks the heap for in the steady state, and receive() on either driver: nothing. A binary of its
// own, because it replaces operator new.

#include <gtest/gtest.h>

#include <string_view>

#include "counted_news.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using test::news_now;

Coro<> echo(io::TcpStream stream) {
    char buffer[64];
    std::size_t count = co_await stream.read_some(buffer);
    while (count != 0) {
        co_await stream.write(std::string_view(buffer, count));
        count = co_await stream.read_some(buffer);
    }
}

Coro<> exchange(io::TcpStream& stream, int rounds) {
    char buffer[64];
    for (int round = 0; round < rounds; ++round) {
        co_await stream.write(std::string_view("hello"));
        std::size_t count = 0;
        while (count < 5) {
            const std::size_t more = co_await stream.read_some(std::span(buffer).subspan(count));
            count += more;
        }
    }
}

TEST(EpollSteadyState, AnEchoAllocatesNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new";
    }
    RunOptions options;
    options.loops = 1;
    options.slow_task = Duration::zero();  // a report that the machine had no processor for the loop allocates
    options.driver = DriverKind::epoll;
    run(
        []() -> Coro<> {
            io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
            io::TcpStream near = co_await io::TcpStream::connect(listener.local_endpoint());
            io::TcpStream far = co_await listener.accept();
            Task<> echoing = create_task(echo(std::move(far)));
            co_await exchange(near, 100);
            const std::size_t before = news_now();
            co_await exchange(near, 1000);
            EXPECT_EQ(before, news_now());
            near.close();
            co_await echoing;
        },
        options);
}

/// Each receive waits for its byte.
Coro<> receive_late(io::TcpStream& near, io::TcpStream& far, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        Task<io::Received> receiving = create_task(far.receive());
        co_await yield();
        co_await near.write(std::string_view("x"));
        const io::Received bytes = co_await std::move(receiving);
        EXPECT_EQ("x", bytes.text());
    }
}

/// Each goes back as the next takes its place.
Coro<> receive_into_one(io::TcpStream& near, io::TcpStream& far, int rounds) {
    io::Received last;
    for (int round = 0; round < rounds; ++round) {
        co_await near.write(std::string_view("x"));
        last = co_await far.receive();
        EXPECT_EQ("x", last.text());
    }
}

/// A loop has 1,024 buffers to lend: a round that lost one would be heard of.
void expect_no_news(Coro<> (*receive)(io::TcpStream& near, io::TcpStream& far, int rounds)) {
    for (const DriverKind kind : {DriverKind::epoll, DriverKind::uring}) {
        RunOptions options;
        options.loops = 1;
        options.slow_task = Duration::zero();
        options.driver = kind;
        run(
            [&]() -> Coro<> {
                io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
                io::TcpStream near = co_await io::TcpStream::connect(listener.local_endpoint());
                io::TcpStream far = co_await listener.accept();
                co_await receive(near, far, 50);
                const std::size_t before = news_now();
                co_await receive(near, far, 3000);
                EXPECT_EQ(before, news_now());
            },
            options);
    }
}

TEST(SteadyStateOfBoth, AReceiveThatWaitsAllocatesNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new";
    }
    expect_no_news(receive_late);
}

TEST(SteadyStateOfBoth, WhatIsReceivedIntoTheSameObjectAgainAndAgainAllocatesNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new";
    }
    expect_no_news(receive_into_one);
}

}  // namespace
}  // namespace knit
