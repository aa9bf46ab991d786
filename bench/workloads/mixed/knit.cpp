// mixed on knit: what burns is spawned, so that any loop may take it, and awaited. One loop serves all connections, as
// a program written for asyncio would; or every loop serves its share.
#include <knit/knit.hpp>

#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "workloads/mixed/case.hpp"

#include "support/args.hpp"
#include "support/measure.hpp"
#include "support/server_main.hpp"
#include "support/tally.hpp"

namespace {

namespace problem = bench::mixed;

knit::Coro<> burn() {
    problem::burn();
    co_return;
}

knit::Coro<> echo(knit::io::TcpStream stream, bench::Tally& tally) {
    bench::Tally::Share share(tally, knit::get_running_loop().id());
    std::array<char, 2048> buffer;
    try {
        while (const std::size_t count = co_await stream.read_some(std::span<char>(buffer))) {
            const std::string_view message(buffer.data(), count);
            if (problem::is_heavy(message)) {
                co_await knit::spawn(burn());
            }
            co_await stream.write(message);
            share.add(1);
        }
    } catch (const std::system_error& error) {
        if (!bench::is_peer_gone(error)) {
            throw;
        }
    }
}

/// Accepts on the loop that it runs on, and starts each connection's task there.
knit::Coro<> accept_all(std::uint16_t port, bench::Tally& tally) {
    knit::io::TcpListener listener = knit::io::TcpListener::bind(knit::io::endpoint("127.0.0.1", port));
    std::printf("listening %u\n", static_cast<unsigned>(listener.local_endpoint().port()));
    std::fflush(stdout);
    try {
        for (;;) {
            knit::io::TcpStream stream = co_await listener.accept();
            knit::create_task(echo(std::move(stream), tally));
        }
    } catch (const knit::CancelledError&) {
        // One of shutdown_signals has come.
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: mixed_knit [--port N] [--loops N] [--steal on|off] [--serve one|all]");
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 0, 65535));
    const std::string steal = args.text("--steal", "on");
    const std::string serve = args.text("--serve", "one");
    knit::RunOptions options;
    options.loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    if (steal != "on" && steal != "off") {
        args.fail("--steal=" + steal + ": expected on or off");
    }
    if (serve != "one" && serve != "all") {
        args.fail("--serve=" + serve + ": expected one or all");
    }
    options.steal = steal == "on";
    options.shutdown_signals = {SIGINT, SIGTERM};
    const auto tally = std::make_unique<bench::Tally>();
    try {
        if (serve == "one") {
            knit::run(accept_all(port, *tally), options);
        } else {
            const auto handler = [&tally](knit::io::TcpStream stream) { return echo(std::move(stream), *tally); };
            knit::run(bench::serve_until_stopped(knit::io::endpoint("127.0.0.1", port), handler), options);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    bench::print_server_usage(tally->sum());
}
