// channel on knit: a Queue; producers and consumers are spawned over the loops.
#include <knit/core.hpp>

#include <vector>

#include "workloads/channel/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::channel;

using Channel = knit::Queue<std::int64_t>;

knit::Coro<> produce(Channel& channel, std::uint64_t first, std::uint64_t items) {
    for (std::uint64_t item = first; item <= items; item += problem::kProducers) {
        co_await channel.put(static_cast<std::int64_t>(item));
    }
}

knit::Coro<std::int64_t> consume(Channel& channel) {
    std::int64_t sum = 0;
    for (;;) {
        const std::int64_t item = co_await channel.get();
        if (item == 0) {
            co_return sum;
        }
        sum += item;
    }
}

knit::Coro<std::int64_t> carry(std::uint64_t items) {
    Channel channel(problem::kCapacity);
    std::vector<knit::Task<>> producers;
    std::vector<knit::Task<std::int64_t>> consumers;
    for (std::uint64_t i = 0; i < problem::kProducers; ++i) {
        producers.push_back(knit::spawn(produce(channel, i + 1, items)));
    }
    for (std::uint64_t i = 0; i < problem::kConsumers; ++i) {
        consumers.push_back(knit::spawn(consume(channel)));
    }
    for (const knit::Task<>& producer : producers) {
        co_await producer;
    }
    for (std::uint64_t i = 0; i < problem::kConsumers; ++i) {
        co_await channel.put(0);
    }
    std::int64_t sum = 0;
    for (const knit::Task<std::int64_t>& consumer : consumers) {
        sum += co_await consumer;
    }
    co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: channel_knit [--items N] [--loops N]");
    const std::uint64_t items = args.number("--items", problem::kItems, 1, 1'000'000'000);
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    knit::Runtime runtime({.loops = loops});
    const bench::Stopwatch watch;
    const std::int64_t answer = runtime.run_until_complete(carry(items));
    const double seconds = watch.seconds();
    return bench::print_report(
        {"channel", static_cast<unsigned>(runtime.size()), items, answer, problem::expected(items), seconds});
}
