/// server_main: what every server program here does around its handler.
#pragma once

#include <knit/knit.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "support/args.hpp"
#include "support/measure.hpp"
#include "support/tally.hpp"

namespace bench {

inline constexpr char kServerOptions[] =
    "[--host ADDRESS (default 127.0.0.1)] [--port N (default 0: any)] [--loops N (default: one for each CPU)]\n"
    "Prints \"listening PORT\"; at SIGTERM or SIGINT ends gracefully and prints CPU time and requests.";

/// A client that went away in the middle: no fault of the server's, nothing to report.
inline bool is_peer_gone(const std::system_error& error) {
    return error.code() == std::errc::connection_reset || error.code() == std::errc::broken_pipe;
}

template <class Handler>
knit::Coro<> serve_until_stopped(knit::io::Endpoint endpoint, Handler handler) {
    knit::io::ServeOptions options;
    options.shutdown_timeout = std::chrono::seconds(1);
    knit::io::Server server = co_await knit::io::serve(endpoint, std::move(handler), options);
    std::printf("listening %u\n", static_cast<unsigned>(server.local_endpoint().port()));
    std::fflush(stdout);
    try {
        co_await server.serve_forever();
    } catch (const knit::CancelledError&) {
        // One of shutdown_signals has come: what is left to do needs awaits, so it follows below.
    }
    server.close();
    co_await server.wait_closed();
}

/// Serves with `handler` until SIGTERM or SIGINT, then prints CPU time and the tally. Gives the exit status.
template <class Handler>
int server_main(int argc, char** argv, const char* name, const Tally& tally, Handler handler) {
    Args args(argc, argv, std::string("usage: ") + name + " " + kServerOptions);
    const std::string host = args.text("--host", "127.0.0.1");
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 0, 65535));
    const auto loops = static_cast<unsigned>(args.number("--loops", 0, 0, Tally::kLoopsMost));
    args.finish();
    try {
        knit::RunOptions options;
        options.loops = loops;
        options.shutdown_signals = {SIGINT, SIGTERM};
        knit::run(serve_until_stopped(knit::io::endpoint(host, port), std::move(handler)), options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    print_server_usage(tally.sum());
    return 0;
}

}  // namespace bench
