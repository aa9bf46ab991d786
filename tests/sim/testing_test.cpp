// What <knit/testing.hpp> promises to users.

#include "knit/testing.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <system_error>
#include <vector>

#include "knit/core.hpp"
#include "knit/io/byte_stream.hpp"
#include "sim_seeds.hpp"

namespace knit::test {
namespace {

using namespace std::chrono_literals;

static_assert(io::ByteStream<testing::Stream>);

constexpr std::size_t kBytes = 5000;

Coro<> echo(testing::Stream stream) {
    std::vector<std::byte> buffer(700);
    for (;;) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            stream.shutdown();
            co_return;
        }
        co_await stream.write(std::span(buffer).first(count));
    }
}

Coro<> serve(testing::Listener& listener, int connections) {
    std::vector<Task<>> tasks;
    for (; connections > 0; --connections) {
        testing::Stream stream = co_await listener.accept();
        tasks.push_back(spawn(echo(std::move(stream))));
    }
    for (Task<>& task : tasks) {
        const Result<void> outcome = co_await as_result(task);  // a connection that broke
        static_cast<void>(outcome);
    }
}

Coro<> send(testing::Stream& stream, const std::vector<std::byte>& bytes) {
    co_await stream.write(bytes);
    stream.shutdown();
}

/// Gives how many bytes came back, each of them the right one.
Coro<std::size_t> ask(std::string address) {
    testing::Stream stream = co_await testing::connect(std::move(address));
    std::vector<std::byte> sent(kBytes);
    for (std::size_t index = 0; index < kBytes; ++index) {
        sent[index] = static_cast<std::byte>(index * 7);
    }
    const Task<> sender = create_task(send(stream, sent));
    std::size_t count = 0;
    std::vector<std::byte> buffer(900);
    std::exception_ptr lost;
    try {
        for (;;) {
            const std::size_t more = co_await stream.read_some(buffer);
            if (more == 0) {
                break;
            }
            for (std::size_t index = 0; index < more; ++index) {
                if (buffer[index] != sent.at(count + index)) {
                    throw std::logic_error("a wrong byte came back");
                }
            }
            count += more;
        }
    } catch (const std::system_error&) {
        lost = std::current_exception();
    }
    const Result<void> outcome = co_await as_result(sender);
    if (lost == nullptr && outcome.has_value() && count != kBytes) {
        throw std::logic_error("bytes were lost on a connection that did not break");
    }
    co_return count;
}

Coro<std::size_t> echo_main() {
    testing::Listener listener = testing::listen("echo:7");
    const Task<> server = spawn(serve(listener, 3));
    std::vector<Task<std::size_t>> clients;
    for (int count = 0; count < 3; ++count) {
        clients.push_back(spawn(ask("echo:7")));
    }
    const std::vector<std::size_t> counts = co_await gather(std::move(clients));
    co_await server;
    co_return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

testing::SimulationOptions echo_options(std::uint64_t seed, testing::SimulationReport* report) {
    testing::SimulationOptions options;
    options.loops = 1 + static_cast<unsigned>(seed % 3);
    options.network.window = 1500;
    options.keeps_trace = true;
    options.report = report;
    options.run.exception_handler = [](const ExceptionContext&) {};
    return options;
}

TEST(Simulation, EchoesEveryByteWhateverTheSeed) {
    EXPECT_NO_THROW(testing::for_each_seed(first_seed(), seed_count(100), [](std::uint64_t seed) {
        if (testing::simulate(seed, echo_options(seed, nullptr), echo_main()) != 3 * kBytes) {
            throw std::logic_error("not all came back");
        }
    }));
}

TEST(Simulation, GoesOnWhenConnectionsBreak) {
    std::uint64_t broken = 0;
    std::uint64_t seeds = 0;
    testing::for_each_seed(first_seed(), seed_count(100), [&](std::uint64_t seed) {
        testing::SimulationOptions options = echo_options(seed, nullptr);
        options.network.losses = 30;
        ++seeds;
        broken += testing::simulate(seed, options, echo_main()) < 3 * kBytes ? 1 : 0;
    });
    EXPECT_TRUE(broken > 0 || seeds < 20);
}

TEST(Simulation, IsTheSameEachTimeWithTheSameSeed) {
    testing::SimulationReport first;
    testing::SimulationReport again;
    testing::SimulationReport other;
    testing::simulate(5, echo_options(5, &first), echo_main());
    testing::simulate(5, echo_options(5, &again), echo_main());
    testing::simulate(8, echo_options(5, &other), echo_main());
    EXPECT_GT(first.steps, 20U);
    EXPECT_EQ(first.trace, again.trace);
    EXPECT_EQ(first.trace_hash, again.trace_hash);
    EXPECT_EQ(first.elapsed, again.elapsed);
    EXPECT_NE(first.trace, other.trace);
}

Coro<> sleeper() {
    co_await sleep(24h);
    testing::note("slept");
    testing::pass_time(1h);
}

TEST(Simulation, TimeIsVirtual) {
    testing::SimulationReport report;
    testing::SimulationOptions options;
    options.keeps_trace = true;
    options.report = &report;
    testing::simulate(1, options, sleeper());
    EXPECT_EQ(report.elapsed, 25h);
    EXPECT_NE(report.trace.find("slept\n"), std::string::npos);
}

Coro<> hold_and_want(Lock& held, Lock& wanted) {
    co_await held.acquire();
    co_await sleep(1ms);
    co_await wanted.acquire();
}

Coro<> embrace(Lock& one, Lock& two) {
    TaskOptions named;
    named.name = "the other way round";
    const Task<> other = create_task(hold_and_want(two, one), named);
    co_await hold_and_want(one, two);
    co_await other;
}

TEST(Simulation, ADeadlockIsReportedWithTheTasksThatWait) {
    Lock one;
    Lock two;
    try {
        testing::simulate(3, {}, embrace(one, two));
        FAIL() << "it ended";
    } catch (const testing::DeadlockError& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("seed 3"), std::string::npos) << text;
        EXPECT_NE(text.find("the other way round"), std::string::npos) << text;
        EXPECT_NE(text.find("Lock.acquire"), std::string::npos) << text;
    }
}

Coro<> round_and_round() {
    for (;;) {
        co_await yield();
    }
}

TEST(Simulation, ARunThatGoesRoundInCirclesIsEnded) {
    testing::SimulationOptions options;
    options.steps_max = 1000;
    EXPECT_THROW(testing::simulate(1, options, round_and_round()), RuntimeError);
}

Coro<std::string> ends_of_a_stream() {
    std::pair<testing::Stream, testing::Stream> ends = testing::stream_pair();
    std::vector<std::byte> buffer(10);
    Task<std::size_t> reader = create_task(ends.first.read_some(buffer));
    co_await yield();
    reader.cancel();
    const Result<std::size_t> cancelled = co_await as_result(reader);
    co_await ends.second.write("abc");
    ends.second.close();
    std::string text = cancelled.has_value() ? "not cancelled:" : "";
    for (;;) {
        const std::size_t count = co_await ends.first.read_some(buffer);
        if (count == 0) {
            break;
        }
        text.append(reinterpret_cast<const char*>(buffer.data()), count);
    }
    const Result<void> outcome = co_await as_result(ends.first.write("late"));
    text += outcome.has_value() ? ", written" : ", refused";
    Result<testing::Stream> nobody = co_await as_result(testing::connect("nowhere:1"));
    text += nobody.has_value() ? ", connected" : ", refused";
    co_return text;
}

TEST(SimulatedStream, ACancelledReadTakesNothingAndAClosedEndIsSeen) {
    EXPECT_EQ(testing::simulate(1, {}, ends_of_a_stream()), "abc, refused, refused");
}

template <class F>
std::error_code error_of(F action) {
    try {
        action();
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

TEST(SimulatedStream, WhatIsClosedIsABadDescriptorAsTheRealOne) {
    testing::simulate(1, {}, []() -> Coro<> {
        auto ends = testing::stream_pair();
        testing::Stream& near = ends.first;
        near.close();
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { near.shutdown(); }));
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { near.lose(); }));
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { static_cast<void>(near.available()); }));
        std::byte byte[1];
        auto reading = create_task(near.read_some(byte));
        auto writing = create_task(near.write_some(byte));
        testing::Listener listener = testing::listen("here");
        listener.close();
        auto accepting = create_task(listener.accept());
        co_await yield();
        co_await yield();
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { static_cast<void>(reading.result()); }));
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { static_cast<void>(writing.result()); }));
        EXPECT_EQ(std::errc::bad_file_descriptor, error_of([&] { static_cast<void>(accepting.result()); }));
    });
}

}  // namespace
}  // namespace knit::test
