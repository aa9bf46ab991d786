// TCP echo server on knit: what it reads on a connection it writes back, on every loop.
#include <knit/knit.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "support/server_main.hpp"
#include "support/tally.hpp"

namespace {

knit::Coro<> echo(knit::io::TcpStream stream, bench::Tally& tally) {
    bench::Tally::Share share(tally, knit::get_running_loop().id());
    std::array<std::byte, 2048> buffer;
    try {
        while (const std::size_t count = co_await stream.read_some(std::span<std::byte>(buffer))) {
            co_await stream.write(std::span<const std::byte>(buffer.data(), count));
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
    return bench::server_main(argc, argv, "echo_server", *tally,
                              [&tally](knit::io::TcpStream stream) { return echo(std::move(stream), *tally); });
}
