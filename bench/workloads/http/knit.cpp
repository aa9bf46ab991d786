// http on knit's HTTP library, with its routing, limits and deadlines. (tools/http_hello.cpp is the same on the bare
// parser.)
#include <knit/http.hpp>
#include <knit/knit.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "support/args.hpp"
#include "support/measure.hpp"
#include "support/tally.hpp"

namespace {

namespace http = knit::http;

knit::Coro<> serve_until_stopped(std::uint16_t port, bench::Tally& tally) {
    http::Router router;
    router.get("/", [&tally](http::Request&) -> knit::Coro<http::Response> {
        bench::Tally::Share(tally, knit::get_running_loop().id()).add(1);
        co_return http::Response::text("Hello, world!\n");
    });
    http::ServerOptions options;
    options.shutdown_timeout = std::chrono::seconds(1);
    http::Server server = co_await http::serve(knit::io::endpoint("127.0.0.1", port), std::move(router), options);
    std::printf("listening %u\n", static_cast<unsigned>(server.local_endpoint().port()));
    std::fflush(stdout);
    try {
        co_await server.serve_forever();
    } catch (const knit::CancelledError&) {
        // One of shutdown_signals has come, and the server has ended.
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: http_knit [--port N (default 0: any)] [--loops N]");
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 0, 65535));
    knit::RunOptions options;
    options.loops = static_cast<unsigned>(args.number("--loops", 0, 0, bench::Tally::kLoopsMost));
    args.finish();
    options.shutdown_signals = {SIGINT, SIGTERM};
    const auto tally = std::make_unique<bench::Tally>();
    try {
        knit::run(serve_until_stopped(port, *tally), options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    bench::print_server_usage(tally->sum());
}
