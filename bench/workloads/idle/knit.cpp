// idle on knit: an echo server for connections that mostly wait. A buffer is lent to one when it has something to read.
#include <knit/knit.hpp>

#include <memory>
#include <system_error>
#include <utility>

#include "support/server_main.hpp"
#include "support/tally.hpp"

namespace {

knit::Coro<> echo(knit::io::TcpStream stream, bench::Tally& tally) {
    bench::Tally::Share share(tally, knit::get_running_loop().id());
    try {
        for (;;) {
            const knit::io::Received received = co_await stream.receive();
            if (received.empty()) {
                break;
            }
            co_await stream.write(received.text());
            share.add(1);
        }
    } catch (const std::system_error& error) {
        if (!bench::is_peer_gone(error)) {
            throw;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto tally = std::make_unique<bench::Tally>();
    return bench::server_main(argc, argv, "idle_knit", *tally,
                              [&tally](knit::io::TcpStream stream) { return echo(std::move(stream), *tally); });
}
