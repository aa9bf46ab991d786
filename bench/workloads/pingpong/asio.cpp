// pingpong on Asio: its experimental channels; a context for each of the two tasks when there are two loops.
#include <asio.hpp>
#include <asio/experimental/channel.hpp>
#include <asio/experimental/concurrent_channel.hpp>

#include <thread>

#include "workloads/pingpong/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::pingpong;

using Local = asio::experimental::channel<void(asio::error_code, std::int64_t)>;
using Shared = asio::experimental::concurrent_channel<void(asio::error_code, std::int64_t)>;

template <class Channel>
asio::awaitable<void> answer_all(Channel& source, Channel& target, std::uint64_t trips) {
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        const std::int64_t value = co_await source.async_receive(asio::use_awaitable);
        co_await target.async_send(asio::error_code(), value + 1, asio::use_awaitable);
    }
}

template <class Channel>
asio::awaitable<void> ask_all(Channel& there, Channel& back, std::uint64_t trips, std::int64_t& value) {
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        co_await there.async_send(asio::error_code(), value + 1, asio::use_awaitable);
        value = co_await back.async_receive(asio::use_awaitable);
    }
}

template <class Channel>
std::int64_t play(std::uint64_t trips, bool has_two) {
    asio::io_context first(1);
    asio::io_context second(1);
    asio::io_context& other = has_two ? second : first;
    Channel there(other, 1);
    Channel back(first, 1);
    std::int64_t value = 0;
    asio::co_spawn(first, ask_all(there, back, trips, value), asio::detached);
    asio::co_spawn(other, answer_all(there, back, trips), asio::detached);
    std::thread thread([&second] { second.run(); });
    first.run();
    thread.join();
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: pingpong_asio [--trips N] [--loops 1|2]");
    const std::uint64_t trips = args.number("--trips", problem::kTrips, 1);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 2));
    args.finish();
    const bench::Stopwatch watch;
    const std::int64_t answer = loops == 1 ? play<Local>(trips, false) : play<Shared>(trips, true);
    return bench::print_report({"pingpong", loops, trips, answer, problem::expected(trips), watch.seconds()});
}
