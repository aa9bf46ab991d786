// Load generator on knit: keeps a number of connections busy with echo or HTTP requests and prints rate and latency.
#include <knit/knit.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/args.hpp"
#include "support/histogram.hpp"
#include "support/measure.hpp"

namespace {

constexpr char kUsage[] =
    "usage: load --port N [options]\n"
    "  --mode echo|http    what to send (echo)\n"
    "  --host ADDRESS      (127.0.0.1)\n"
    "  --connections N     kept open, one request at a time on each (64)\n"
    "  --size BYTES        of an echo message (64)\n"
    "  --path PATH         of an HTTP request (/)\n"
    "  --pipeline N        requests sent at once on a connection (1)\n"
    "  --seconds N         how long to go on (2), or\n"
    "  --requests N        how many requests in all\n"
    "  --loops N           loops to use (1)\n"
    "  --limit N           seconds after which the run counts as failed (30 more than --seconds)";

// A connection writes all of its request before it reads: more would not fit into the sockets' buffers for sure.
constexpr std::size_t kInFlightMax = 262'144;

using Clock = std::chrono::steady_clock;

struct Plan {
    knit::io::Endpoint endpoint;
    bool is_http = false;
    std::string request;  // the bytes of all pipelined requests
    std::uint64_t pipeline = 1;
    std::uint64_t connections = 1;
    std::uint64_t trips = 0;  // over all connections; 0: until the time is over
    knit::Duration time{};
};

/// What one loop does: its share of the connections, and what it saw on them. Touched by that loop alone until it ends.
struct Shard {
    unsigned first = 0;  // number of the first connection; the others follow at a distance of `step`
    unsigned step = 1;
    std::vector<knit::io::TcpStream> streams;
    bench::Histogram latency;
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
    std::string first_error;
};

/// Length of the HTTP answer that `text` begins with, or 0 while its head is not complete.
std::size_t answer_length(std::string_view text) {
    const std::size_t head = text.find("\r\n\r\n");
    if (head == std::string_view::npos) {
        return 0;
    }
    constexpr std::string_view kField = "content-length:";
    const auto is_same = [](char left, char right) { return (left >= 'A' && left <= 'Z' ? left + 32 : left) == right; };
    const auto field = std::search(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(head), kField.begin(),
                                   kField.end(), is_same);
    const char* number = text.data() + (field - text.begin()) + kField.size();
    const char* const end = text.data() + head;
    std::size_t body = 0;
    while (number < end && *number == ' ') {
        ++number;
    }
    if (number >= end || std::from_chars(number, end, body).ec != std::errc()) {
        throw std::runtime_error("the HTTP answer has no Content-Length");
    }
    return head + 4 + body;
}

/// Sends the request and learns from the answer how long each of them is. Every later answer has to be as long.
knit::Coro<std::size_t> learn_answer_length(knit::io::TcpStream& stream, std::string_view request) {
    co_await stream.write(request);
    std::string answer(65536, '\0');
    std::size_t count = 0;
    for (;;) {
        const std::size_t more = co_await stream.read_some(std::span<char>(answer).subspan(count));
        count += more;
        const std::size_t length = answer_length(std::string_view(answer).substr(0, count));
        if (length != 0 && length == count) {
            co_return length;
        }
        if (more == 0 || (length != 0 && count > length)) {
            throw std::runtime_error("the HTTP answer is shorter or longer than it says");
        }
    }
}

bool is_right(const Plan& plan, std::string_view answer) {
    if (!plan.is_http) {
        return answer == plan.request;
    }
    const std::size_t length = answer.size() / plan.pipeline;
    for (std::size_t start = 0; start < answer.size(); start += length) {
        if (!answer.substr(start).starts_with("HTTP/1.1 200 ")) {
            return false;
        }
    }
    return true;
}

knit::Coro<> drive_connection(const Plan& plan, Shard& shard, knit::io::TcpStream& stream, std::uint64_t trips,
                              Clock::time_point deadline) {
    std::size_t length = plan.request.size();
    if (plan.is_http) {
        const std::string_view one = std::string_view(plan.request).substr(0, plan.request.size() / plan.pipeline);
        length = plan.pipeline * co_await learn_answer_length(stream, one);
    }
    std::string answer(length, '\0');
    Clock::time_point start = Clock::now();
    for (std::uint64_t trip = 0; trips == 0 ? start < deadline : trip < trips; ++trip) {
        co_await stream.write(std::string_view(plan.request));
        co_await stream.read_exactly(std::span<char>(answer));
        const Clock::time_point end = Clock::now();
        if (!is_right(plan, answer)) {
            throw std::runtime_error("a wrong answer came back");
        }
        shard.latency.add(static_cast<std::uint64_t>((end - start).count()));
        shard.requests += plan.pipeline;
        start = end;
    }
}

/// A connection that fails is counted and given up; the others go on.
knit::Coro<> guard_connection(const Plan& plan, Shard& shard, std::size_t index, Clock::time_point deadline) {
    const std::uint64_t number = shard.first + index * shard.step;
    const std::uint64_t trips = plan.trips / plan.connections + (number < plan.trips % plan.connections ? 1 : 0);
    if (plan.trips != 0 && trips == 0) {
        co_return;
    }
    try {
        co_await drive_connection(plan, shard, shard.streams[index], trips, deadline);
    } catch (const std::exception& error) {
        ++shard.errors;
        if (shard.first_error.empty()) {
            shard.first_error = error.what();
        }
    }
}

knit::Coro<> connect_shard(const Plan& plan, Shard& shard) {
    for (std::uint64_t number = shard.first; number < plan.connections; number += shard.step) {
        shard.streams.push_back(co_await knit::io::TcpStream::connect(plan.endpoint));
    }
}

knit::Coro<> drive_shard(const Plan& plan, Shard& shard, Clock::time_point deadline) {
    std::vector<knit::Coro<>> connections;
    for (std::size_t index = 0; index < shard.streams.size(); ++index) {
        connections.push_back(guard_connection(plan, shard, index, deadline));
    }
    co_await knit::gather(std::move(connections));
    shard.streams.clear();
}

/// Both phases on every loop; gives the seconds that the second one took.
knit::Coro<double> run_plan(const Plan& plan, std::vector<std::unique_ptr<Shard>>& shards) {
    knit::Runtime& runtime = knit::get_runtime();
    const auto on_each_loop = [&](auto start) {
        std::vector<knit::Task<>> tasks;
        for (std::size_t i = 0; i < shards.size(); ++i) {
            tasks.push_back(knit::create_task(start(*shards[i]), {.loop = &runtime.loop(i)}));
        }
        return tasks;
    };
    co_await knit::gather(on_each_loop([&](Shard& shard) { return connect_shard(plan, shard); }));
    const bench::Stopwatch watch;
    const Clock::time_point deadline = Clock::now() + plan.time;
    co_await knit::gather(on_each_loop([&](Shard& shard) { return drive_shard(plan, shard, deadline); }));
    co_return watch.seconds();
}

/// run_plan, but for no longer than `limit`: a server that hangs must not hang the load.
knit::Coro<double> run_limited(const Plan& plan, std::vector<std::unique_ptr<Shard>>& shards, knit::Duration limit) {
    knit::Task<double> task = knit::create_task(run_plan(plan, shards));
    knit::Handle handle = knit::get_running_loop().call_later(limit, [task]() mutable { task.cancel(); });
    double seconds = 0;
    try {
        seconds = co_await task;
    } catch (const knit::CancelledError&) {
        throw std::runtime_error("the run did not end within its limit");
    }
    handle.cancel();
    co_return seconds;
}

int print_result(const Plan& plan, const std::vector<std::unique_ptr<Shard>>& shards, double seconds) {
    Shard sum;
    for (const auto& shard : shards) {
        sum.latency.merge(shard->latency);
        sum.requests += shard->requests;
        sum.errors += shard->errors;
        if (sum.first_error.empty()) {
            sum.first_error = shard->first_error;
        }
    }
    const bench::CpuTime time = bench::CpuTime::now();
    const auto microseconds = [&](double share) { return static_cast<double>(sum.latency.quantile(share)) * 1e-3; };
    std::printf("mode=%s connections=%llu loops=%zu seconds=%.6f requests=%llu errors=%llu requests_per_second=%.0f",
                plan.is_http ? "http" : "echo", static_cast<unsigned long long>(plan.connections), shards.size(),
                seconds, static_cast<unsigned long long>(sum.requests), static_cast<unsigned long long>(sum.errors),
                static_cast<double>(sum.requests) / seconds);
    std::printf(" p50_us=%.1f p90_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f user_us=%llu system_us=%llu\n",
                microseconds(0.5), microseconds(0.9), microseconds(0.99), microseconds(0.999), microseconds(1.0),
                static_cast<unsigned long long>(time.user_us), static_cast<unsigned long long>(time.system_us));
    if (sum.errors != 0) {
        std::fprintf(stderr, "error: %llu connections failed, the first one: %s\n",
                     static_cast<unsigned long long>(sum.errors), sum.first_error.c_str());
    }
    return sum.errors == 0 && sum.requests != 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, kUsage);
    const std::string host = args.text("--host", "127.0.0.1");
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 1, 65535));
    const std::string mode = args.text("--mode", "echo");
    const std::string path = args.text("--path", "/");
    const auto size = static_cast<std::size_t>(args.number("--size", 64, 1, kInFlightMax));
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    const std::uint64_t seconds = args.number("--seconds", 2, 1, 86'400);
    const std::uint64_t limit = args.number("--limit", seconds + 30, 1, 100'000);
    const std::uint64_t requests = args.number("--requests", 0);
    Plan plan;
    plan.connections = args.number("--connections", 64, 1, 1'000'000);
    plan.pipeline = args.number("--pipeline", 1, 1, 1024);
    args.finish();
    if (size * plan.pipeline > kInFlightMax) {
        args.fail("--size times --pipeline: at most " + std::to_string(kInFlightMax) + " bytes");
    }
    if (port == 0) {
        args.fail("--port is missing");
    }
    if (mode != "echo" && mode != "http") {
        args.fail("--mode=" + mode + ": expected echo or http");
    }
    plan.is_http = mode == "http";
    plan.trips = (requests + plan.pipeline - 1) / plan.pipeline;
    plan.time = std::chrono::seconds(seconds);
    const std::string one =
        plan.is_http ? "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" : std::string(size, 'k');
    for (std::uint64_t i = 0; i < plan.pipeline; ++i) {
        plan.request += one;
    }
    std::vector<std::unique_ptr<Shard>> shards;
    for (unsigned i = 0; i < loops; ++i) {
        shards.push_back(std::make_unique<Shard>());
        shards.back()->first = i;
        shards.back()->step = loops;
    }
    try {
        plan.endpoint = knit::io::endpoint(host, port);
        const double taken = knit::run(run_limited(plan, shards, std::chrono::seconds(limit)), {.loops = loops});
        return print_result(plan, shards, taken);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
