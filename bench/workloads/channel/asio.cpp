// channel on Asio: its experimental concurrent channel on a pool of threads.
#include <asio.hpp>
#include <asio/experimental/concurrent_channel.hpp>

#include <atomic>

#include "workloads/channel/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::channel;

using Channel = asio::experimental::concurrent_channel<void(asio::error_code, std::int64_t)>;

/// The last producer to end tells the consumers.
asio::awaitable<void> produce(Channel& channel, std::uint64_t first, std::uint64_t items, std::atomic<int>& left) {
    for (std::uint64_t item = first; item <= items; item += problem::kProducers) {
        co_await channel.async_send(asio::error_code(), static_cast<std::int64_t>(item), asio::use_awaitable);
    }
    if (--left == 0) {
        for (std::uint64_t i = 0; i < problem::kConsumers; ++i) {
            co_await channel.async_send(asio::error_code(), 0, asio::use_awaitable);
        }
    }
}

asio::awaitable<void> consume(Channel& channel, std::atomic<std::int64_t>& all) {
    std::int64_t sum = 0;
    for (;;) {
        const std::int64_t item = co_await channel.async_receive(asio::use_awaitable);
        if (item == 0) {
            all += sum;
            co_return;
        }
        sum += item;
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: channel_asio [--items N] [--loops N]");
    const std::uint64_t items = args.number("--items", problem::kItems, 1, 1'000'000'000);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    args.finish();
    const bench::Stopwatch watch;
    asio::thread_pool pool(loops);
    Channel channel(pool.get_executor(), problem::kCapacity);
    std::atomic<std::int64_t> sum = 0;
    std::atomic<int> left = static_cast<int>(problem::kProducers);
    for (std::uint64_t i = 0; i < problem::kProducers; ++i) {
        asio::co_spawn(pool, produce(channel, i + 1, items, left), asio::detached);
    }
    for (std::uint64_t i = 0; i < problem::kConsumers; ++i) {
        asio::co_spawn(pool, consume(channel, sum), asio::detached);
    }
    pool.join();
    return bench::print_report({"channel", loops, items, sum, problem::expected(items), watch.seconds()});
}
