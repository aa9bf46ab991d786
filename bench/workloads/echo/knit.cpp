// echo on knit: a server on every loop, and clients that are spawned over the loops.
#include <knit/knit.hpp>

#include <cstddef>
#include <span>
#include <vector>

#include "workloads/echo/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::echo;

struct Load {
    std::uint64_t connections;
    std::uint64_t messages;
    std::size_t size;
};

knit::Coro<> echo_back(knit::io::TcpStream stream) {
    std::vector<std::byte> buffer(2048);
    while (const std::size_t count = co_await stream.read_some(std::span<std::byte>(buffer))) {
        co_await stream.write(std::span<const std::byte>(buffer.data(), count));
    }
}

/// How many of its messages came back as they were sent.
knit::Coro<std::int64_t> run_client(knit::io::Endpoint endpoint, Load load) {
    knit::io::TcpStream stream = co_await knit::io::TcpStream::connect(endpoint);
    std::vector<std::byte> message(load.size);
    std::vector<std::byte> echoed(load.size);
    std::int64_t right = 0;
    for (std::uint64_t number = 0; number < load.messages; ++number) {
        for (std::size_t i = 0; i < load.size; ++i) {
            message[i] = std::byte{problem::byte_at(number, i)};
        }
        co_await stream.write(std::span<const std::byte>(message));
        co_await stream.read_exactly(std::span<std::byte>(echoed));
        right += echoed == message ? 1 : 0;
    }
    co_return right;
}

struct Outcome {
    std::int64_t right;
    double seconds;
};

knit::Coro<Outcome> run_load(Load load) {
    knit::io::Server server = co_await knit::io::serve(knit::io::endpoint("127.0.0.1", 0), echo_back);
    const bench::Stopwatch watch;
    std::vector<knit::Task<std::int64_t>> clients;
    for (std::uint64_t i = 0; i < load.connections; ++i) {
        clients.push_back(knit::spawn(run_client(server.local_endpoint(), load)));
    }
    std::int64_t right = 0;
    for (const std::int64_t one : co_await knit::gather(std::move(clients))) {
        right += one;
    }
    const double seconds = watch.seconds();
    server.close();
    co_await server.wait_closed();
    co_return Outcome{right, seconds};
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: echo_knit [--connections N] [--messages N (on each)] [--size BYTES] [--loops N]");
    const Load load{.connections = args.number("--connections", problem::kConnections, 1, 10'000),
                    .messages = args.number("--messages", problem::kMessages, 1),
                    .size = static_cast<std::size_t>(args.number("--size", problem::kSize, 1, problem::kSizeMost))};
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const Outcome outcome = runtime.run_until_complete(run_load(load));
    const std::uint64_t all = load.connections * load.messages;
    return bench::print_report({"echo", static_cast<unsigned>(runtime.size()), all, outcome.right,
                                static_cast<std::int64_t>(all), outcome.seconds});
}
