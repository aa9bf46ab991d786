// load: sends echo messages or HTTP requests to a server and says how fast the answers come.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "load/output.hpp"
#include "load/plan.hpp"
#include "support/args.hpp"

namespace {

constexpr char kUsage[] =
    "usage: load --port N [options]\n"
    "Sends requests to a server and prints the rate and the latency of its answers, each of which is checked.\n"
    "\n"
    "what is sent\n"
    "  --mode echo|http    bytes that have to come back, or GET requests (echo)\n"
    "  --host NAME         of the server (127.0.0.1)\n"
    "  --size BYTES        of an echo message (64)\n"
    "  --path PATH         of an HTTP request (/)\n"
    "  --pipeline N        requests sent at once on a connection (1)\n"
    "  --heavy PERCENT     of echo messages that begin with 'B', chosen by chance, and told apart in the latency (0)\n"
    "  --seed N            of that choice (1)\n"
    "  --expect TEXT       the body that each HTTP answer has to have (any)\n"
    "how\n"
    "  --connections N     kept open (64)\n"
    "  --rate N            requests a second over all connections, at fixed times whatever the answers do; latency\n"
    "                      counts from the time at which a request was due. Without it each connection sends as soon\n"
    "                      as the answer is there: a slow server then slows the load, and latency looks too good\n"
    "  --reconnect         a new connection for each request\n"
    "  --duration TIME     such as 10, 0.5, 500ms, 2m (2 s); --seconds N is the same, or\n"
    "  --requests N        how many requests in all\n"
    "  --limit N           seconds after which the run counts as failed (30 more than the duration)\n"
    "  --loops N           loops to use, each a thread (1)\n"
    "  --gate              says \"begin\" when connected and \"end\" when all is answered, on stdout, and waits for a\n"
    "                      line on stdin each time: so that one may look at the server before and after\n"
    "what is printed: one line of key=value, and\n"
    "  --histogram         how the latencies are distributed\n"
    "  --json FILE         all of it and the histogram's buckets; - is stdout, instead of the line\n"
    "  --quiet             no progress on a terminal\n"
    "The status is 0 if every request was answered rightly, 1 if not, 2 for a wrong option.";

// A connection writes all of its request before it reads: more would not fit into the sockets' buffers for sure.
constexpr std::size_t kInFlightMost = 262'144;

/// "10", "0.5", "10s", "500ms", "2m" as seconds.
double parse_duration(const bench::Args& args, std::string_view word) {
    double value = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    const std::string_view unit(rest, static_cast<std::size_t>(word.data() + word.size() - rest));
    for (const auto& [name, factor] :
         {std::pair("", 1.0), std::pair("s", 1.0), std::pair("ms", 1e-3), std::pair("m", 60.0)}) {
        if (error == std::errc() && unit == name && value > 0 && value * factor <= 86'400) {
            return value * factor;
        }
    }
    args.fail("--duration=" + std::string(word) + ": expected a time such as 10, 0.5, 500ms or 2m, at most a day");
}

double parse_percent(const bench::Args& args, const std::string& word) {
    double value = 0;
    const char* const end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc() || rest != end || !(value >= 0 && value <= 100)) {
        args.fail("--heavy=" + word + ": expected a percentage from 0 to 100");
    }
    return value;
}

/// All but the endpoint, which may throw; and no line of progress yet.
load::Plan parse_plan(bench::Args& args, const std::string& host) {
    load::Plan plan;
    const std::string mode = args.text("--mode", "echo");
    const std::string path = args.text("--path", "/");
    const auto size = static_cast<std::size_t>(args.number("--size", 64, 1, kInFlightMost));
    const std::string seconds = args.text("--seconds", "2");
    const double duration = parse_duration(args, args.text("--duration", seconds));
    const std::uint64_t limit = args.number("--limit", static_cast<std::uint64_t>(duration) + 30, 1, 100'000);
    const std::uint64_t requests = args.number("--requests", 0);
    plan.rate = static_cast<double>(args.number("--rate", 0, 0, 1'000'000'000));
    plan.heavy_share = parse_percent(args, args.text("--heavy", "0")) / 100;
    plan.seed = args.number("--seed", 1);
    plan.is_reconnecting = args.flag("--reconnect");
    plan.is_gated = args.flag("--gate");
    plan.size = size;
    plan.loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    plan.connections = args.number("--connections", 64, 1, 1'000'000);
    plan.pipeline = args.number("--pipeline", 1, 1, 1024);
    plan.shows_progress = !args.flag("--quiet") && isatty(STDERR_FILENO) != 0;
    if (size * plan.pipeline > kInFlightMost) {
        args.fail("--size times --pipeline: at most " + std::to_string(kInFlightMost) + " bytes");
    }
    if (mode != "echo" && mode != "http") {
        args.fail("--mode=" + mode + ": expected echo or http");
    }
    plan.is_http = mode == "http";
    if (const std::string body = args.text("--expect", ""); !body.empty()) {
        plan.expected_end = "\r\n\r\n" + body;
    }
    if (plan.is_http && plan.heavy_share > 0) {
        args.fail("--heavy is for --mode echo: a server tells a heavy message by its first byte");
    }
    plan.trips = (requests + plan.pipeline - 1) / plan.pipeline;
    plan.time = std::chrono::nanoseconds(static_cast<std::int64_t>(duration * 1e9));
    plan.limit = std::chrono::seconds(limit);
    const std::string one =
        plan.is_http ? "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" : std::string(size, '.');
    for (std::uint64_t i = 0; i < plan.pipeline; ++i) {
        plan.request += one;
    }
    return plan;
}

/// A connection is a descriptor, and many shells allow but 1,024: takes what may be had without asking for rights.
void raise_descriptor_limit(const bench::Args& args, std::uint64_t connections) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    constexpr std::uint64_t kOthers = 64;
    if (connections + kOthers > limit.rlim_max) {
        args.fail("--connections=" + std::to_string(connections) + ": this process may have only " +
                  std::to_string(limit.rlim_max) + " descriptors; raise it with ulimit -Hn");
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, kUsage);
    const std::string host = args.text("--host", "127.0.0.1");
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 1, 65535));
    load::OutputOptions output;
    output.shows_histogram = args.flag("--histogram");
    output.json = args.text("--json", "");
    load::Plan plan = parse_plan(args, host);
    args.finish();
    if (port == 0) {
        args.fail("--port is missing");
    }
    raise_descriptor_limit(args, plan.connections);
    try {
        plan.endpoint = knit::io::endpoint(host, port);
        const load::Outcome outcome = load::drive(plan);
        return load::print_outcome(plan, outcome, output);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
