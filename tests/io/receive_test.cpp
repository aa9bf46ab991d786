#include "knit/io/receive.hpp"

#include <array>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::Received;

TEST(Receive, GivesTheBytesAndThenTheEndOfTheStream) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.write("hello");
        Received bytes = co_await pair.far.receive();
        EXPECT_EQ("hello", bytes.text());
        bytes.release();
        EXPECT_TRUE(bytes.empty());
        pair.near.close();
        Received end = co_await pair.far.receive();
        EXPECT_TRUE(end.empty());
        Received still = co_await pair.far.receive();
        EXPECT_TRUE(still.empty());
    });
}

TEST(Receive, IsTrueUntilTheEndOfTheStream) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.write("hello");
        pair.near.shutdown();
        std::string all;
        while (const Received got = co_await pair.far.receive()) {
            all += got.text();
        }
        EXPECT_EQ("hello", all);
    });
}

TEST(Receive, WhatHasComeIsARangeOfBytesThatCanBeWritten) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.write("hello");
        const Received bytes = co_await pair.far.receive();
        co_await pair.far.write(bytes);
        const std::array<io::ConstBuffer, 2> twice{bytes, bytes};
        co_await pair.far.write(twice);
        std::array<char, 15> answer;
        co_await pair.near.read_exactly(answer);
        EXPECT_EQ("hellohellohello", std::string_view(answer.data(), answer.size()));
        const Received nothing;
        EXPECT_EQ(nothing.begin(), nothing.end());
    });
}

TEST(Receive, GivesALongMessageInPieces) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string message(100'000, 'x');
        Task<std::size_t> writing = create_task(pair.near.write(message));
        std::string all;
        while (all.size() < message.size()) {
            const Received bytes = co_await pair.far.receive();
            EXPECT_LE(bytes.size(), 4096U);
            all += bytes.text();
        }
        EXPECT_EQ(message, all);
        co_await writing;
    });
}

/// `count` receives of one byte whose buffers are all kept, on as many connections.
Coro<std::vector<Received>> receive_and_keep(std::size_t count) {
    std::vector<Received> kept;
    Pair pair = co_await connected_pair();
    for (std::size_t i = 0; i < count; ++i) {
        const std::string text(1, static_cast<char>('a' + i % 26));
        co_await pair.near.write(text);
        kept.push_back(co_await pair.far.receive());
    }
    co_return kept;
}

void expect_alphabet(const std::vector<Received>& kept) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
        ASSERT_EQ(std::string(1, static_cast<char>('a' + i % 26)), kept[i].text());
    }
}

TEST(Receive, GoesOnWhenEveryBufferOfTheLoopIsLent) {
    run_io([]() -> Coro<> {
        const std::vector<Received> kept = co_await receive_and_keep(1500);  // the loop lends 1,024
        expect_alphabet(kept);
    });
}

TEST(Receive, ManyAtOnceNeedMoreBuffersThanThereAreAtFirst) {
    run_io([]() -> Coro<> {
        std::vector<Pair> pairs;
        std::vector<Task<Received>> receiving;
        for (int i = 0; i < 100; ++i) {
            pairs.push_back(co_await connected_pair());
        }
        for (Pair& pair : pairs) {
            receiving.push_back(create_task(pair.far.receive()));
        }
        co_await turns();
        for (Pair& pair : pairs) {
            co_await pair.near.write("x");
        }
        for (Task<Received>& task : receiving) {
            const Received bytes = co_await std::move(task);
            EXPECT_EQ("x", bytes.text());
        }
    });
}

TEST(Receive, ABufferMayOutliveTheRuntime) {
    std::vector<Received> kept;
    run_io([&kept]() -> Coro<> { kept = co_await receive_and_keep(40); });
    expect_alphabet(kept);
}

TEST(Receive, ABufferGoesBackFromAnotherThread) {
    run_io([]() -> Coro<> {
        std::set<const std::byte*> buffers;
        for (int round = 0; round < 5; ++round) {
            std::vector<Received> kept = co_await receive_and_keep(400);
            for (const Received& one : kept) {
                buffers.insert(one.data());
            }
            std::thread([moved = std::move(kept)]() mutable {
                expect_alphabet(moved);
                moved.clear();
            }).join();
        }
        EXPECT_LE(buffers.size(), 1024U);  // what the loop lends: each round has those of the one before
    });
}

TEST(Receive, ABufferGoesBackFromAnotherLoopWhileTheFirstEnds) {
    for (int round = 0; round < 20; ++round) {
        std::vector<Received> kept;
        run_io([&kept]() -> Coro<> { kept = co_await receive_and_keep(30); }, 2);
        std::thread first([&kept] {
            for (std::size_t i = 0; i < kept.size() / 2; ++i) {
                kept[i].release();
            }
        });
        for (std::size_t i = kept.size() / 2; i < kept.size(); ++i) {
            kept[i].release();
        }
        first.join();
    }
}

TEST(Receive, CancelledTakesNoBytes) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Task<Received> receiving = create_task(pair.far.receive());
        co_await turns();
        receiving.cancel();
        bool was_cancelled = false;
        try {
            co_await receiving;
        } catch (const CancelledError&) {
            was_cancelled = true;
        }
        EXPECT_TRUE(was_cancelled);
        co_await pair.near.write("kept");
        const Received bytes = co_await pair.far.receive();
        EXPECT_EQ("kept", bytes.text());
    });
}

TEST(Receive, CancelledIsCancelledAlsoWhenNoBufferIsLeft) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::vector<Received> kept;
        for (int i = 0; i < 40; ++i) {  // the loop lends 16 at first
            Task<Received> receiving = create_task(pair.far.receive());
            co_await yield();
            receiving.cancel();
            EXPECT_THROW(co_await receiving, CancelledError) << i;
            co_await pair.near.write("x");
            kept.push_back(co_await pair.far.receive());
        }
    });
}

TEST(Receive, BeginsWithWhatACancelledReadExactlyHadRead) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.write("ab");
        char buffer[4];
        Task<std::size_t> reading = create_task(pair.far.read_exactly(buffer));
        co_await turns(20);
        reading.cancel();
        const std::vector<Task<std::size_t>> all(1, reading);
        co_await wait(all);
        EXPECT_TRUE(reading.cancelled());
        const Received bytes = co_await pair.far.receive();
        EXPECT_EQ("ab", bytes.text());
    });
}

TEST(Receive, OnAClosedSocketSaysSo) {
    run_io([]() -> Coro<> {
        io::TcpStream none;
        std::errc code{};
        try {
            co_await none.receive();
        } catch (const std::system_error& error) {
            code = static_cast<std::errc>(error.code().value());
        }
        EXPECT_EQ(std::errc::bad_file_descriptor, code);
    });
}

}  // namespace
}  // namespace knit::test
