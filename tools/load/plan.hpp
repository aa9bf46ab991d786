/// What the load generator is asked to do, and what it saw.
#pragma once

#include <knit/io/endpoint.hpp>
#include <knit/time.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/histogram.hpp"
#include "support/measure.hpp"

namespace load {

struct Plan {
    knit::io::Endpoint endpoint;
    bool is_http = false;
    std::string request;       // the bytes of all pipelined requests
    std::size_t size = 0;      // of one echo message
    std::string expected_end;  // of each HTTP answer: the blank line and the body; empty: any
    double heavy_share = 0;    // of the echo messages that are marked for the server as ones to work for
    std::uint64_t seed = 1;    // of the choice which are heavy
    std::uint64_t pipeline = 1;
    std::uint64_t connections = 1;
    unsigned loops = 1;
    bool is_reconnecting = false;  // a connection for each request
    bool is_gated = false;         // says "begin" and "end" and waits for a line at each, so that others may look
    double rate = 0;               // requests a second over all connections; 0: each follows the answer before it
    std::uint64_t trips = 0;       // over all connections; 0: until the time is over
    knit::Duration time{};
    knit::Duration limit{};
    bool shows_progress = false;
};

/// What one loop does: its share of the connections, and what it saw on them. Touched by that loop alone until it ends,
/// but for the counter.
struct Shard {
    unsigned number = 0;
    bench::Histogram latency;
    bench::Histogram heavy_latency;
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
    std::uint64_t bytes = 0;
    std::string first_error;
    // Written by the shard's loop, read by the one that shows progress: a number and nothing else.
    std::atomic<std::uint64_t> shown_requests = 0;
};

struct Outcome {
    std::vector<std::unique_ptr<Shard>> shards;
    double seconds = 0;
    std::uint64_t user_us = 0;  // CPU time of this process while it sent
    std::uint64_t system_us = 0;
};

/// Connects, sends and measures as the plan says. Throws what knit::run() does, and std::runtime_error past the limit.
Outcome drive(const Plan& plan);

}  // namespace load
