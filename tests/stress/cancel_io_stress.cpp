// Cancellations at random moments of reads, exact reads, accepts: no byte and no connection is lost.

#include <dirent.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "knit/core.hpp"
#include "knit/io/io.hpp"
#include "stress.hpp"

namespace {

using knit::Coro;
using knit::Task;
using knit::io::TcpListener;
using knit::io::TcpStream;
using knit::stress::Clock;
using knit::stress::end_of_test;
using knit::stress::Random;
using knit::stress::test_seed;

std::size_t open_descriptors() {
    std::size_t count = 0;
    DIR* const directory = opendir("/proc/self/fd");
    while (readdir(directory) != nullptr) {
        ++count;
    }
    closedir(directory);
    return count;
}

constexpr std::size_t kPeriod = 251;  // a prime: a lost or doubled piece shifts the pattern

Coro<> write_pattern(TcpStream& stream, unsigned seed_of_task, Clock::time_point end, std::size_t& sent) {
    Random random(seed_of_task);
    while (Clock::now() < end) {
        std::string text(1 + random.below(300), '\0');
        for (char& byte : text) {
            byte = static_cast<char>(sent++ % kPeriod);
        }
        co_await stream.write(text);
        for (unsigned i = random.below(4); i > 0; --i) {
            co_await knit::yield();
        }
    }
    stream.shutdown();
}

/// One read, some or exact. What came is appended even if the cancellation, which comes later, is thrown elsewhere.
Coro<> read_once(TcpStream& stream, unsigned size, bool exact, std::string& received, bool& at_end) {
    std::string buffer(size, '\0');
    std::size_t count = 0;
    try {
        if (exact) {
            count = co_await stream.read_exactly(buffer);
        } else {
            count = co_await stream.read_some(buffer);
            at_end = count == 0;
        }
    } catch (const knit::IncompleteReadError& error) {
        buffer = error.partial();
        count = buffer.size();
        at_end = true;
    }
    received.append(buffer, 0, count);
}

Coro<> read_and_cancel(TcpStream& stream, unsigned seed_of_task, std::string& received) {
    Random random(seed_of_task);
    bool at_end = false;
    while (!at_end) {
        const unsigned size = 1 + random.below(500);
        const bool exact = random.below(2) == 0;
        Task<> reading = knit::create_task(read_once(stream, size, exact, received, at_end));
        for (unsigned i = random.below(6); i > 0; --i) {
            co_await knit::yield();
        }
        if (random.below(4) != 0) {
            reading.cancel();
        }
        try {
            co_await reading;
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
}

Coro<> check_bytes(unsigned seed_of_test) {
    TcpListener listener = TcpListener::bind("127.0.0.1:0");
    TcpStream near = co_await TcpStream::connect(listener.local_endpoint());
    TcpStream far = co_await listener.accept();
    std::size_t sent = 0;
    std::string received;
    Task<> writing = knit::create_task(write_pattern(near, seed_of_test, end_of_test(), sent));
    co_await read_and_cancel(far, seed_of_test + 1, received);
    co_await writing;
    EXPECT_EQ(sent, received.size());
    for (std::size_t i = 0; i < received.size(); ++i) {
        if (received[i] != static_cast<char>(i % kPeriod)) {
            ADD_FAILURE() << "byte " << i << " is wrong";
            break;
        }
    }
}

TEST(CancelIoStress, NoByteIsLostOrDoubled) { knit::run(check_bytes(static_cast<unsigned>(test_seed()))); }

Coro<> accept_once(TcpListener& listener, std::size_t& accepted) {
    const TcpStream stream = co_await listener.accept();
    ++accepted;
}

Coro<> check_connections(unsigned seed_of_test) {
    Random random(seed_of_test);
    TcpListener listener = TcpListener::bind("127.0.0.1:0");
    std::size_t connected = 0;
    std::size_t accepted = 0;
    const auto end = end_of_test();
    while (Clock::now() < end || accepted < connected) {
        Task<> accepting = knit::create_task(accept_once(listener, accepted));
        std::optional<Task<TcpStream>> connecting;
        if (Clock::now() < end && random.below(2) == 0) {
            connecting = knit::create_task(TcpStream::connect(listener.local_endpoint()));
            ++connected;
        }
        for (unsigned i = random.below(6); i > 0; --i) {
            co_await knit::yield();
        }
        if (random.below(2) == 0) {
            accepting.cancel();
        }
        if (connecting) {
            const TcpStream stream = co_await std::move(*connecting);
        }
        accepting.cancel();
        try {
            co_await accepting;
        } catch (const knit::CancelledError&) {
            continue;
        }
    }
    EXPECT_EQ(connected, accepted);
}

TEST(CancelIoStress, NoConnectionAndNoDescriptorIsLost) {
    const std::size_t before = open_descriptors();
    knit::run(check_connections(static_cast<unsigned>(test_seed())));
    EXPECT_EQ(before, open_descriptors());
}

}  // namespace
