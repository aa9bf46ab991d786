// Datagrams over Unix sockets.
#include "knit/io/unix_datagram.hpp"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::UnixDatagram;
using io::UnixMessage;

std::string scratch_path(const char* name) {
    return std::filesystem::temp_directory_path() / ("knit-dgram-" + std::to_string(getpid()) + name);
}

TEST(UnixDatagram, TalksOverFilesThatGoAtClose) {
    const std::size_t before = open_descriptors();
    const std::string here = scratch_path("-here");
    const std::string there = scratch_path("-there");
    run_io([&]() -> Coro<> {
        UnixDatagram server = UnixDatagram::bind(here);
        EXPECT_EQ(here, server.local_path());
        UnixDatagram client = UnixDatagram::connect(here, there);
        co_await client.send("ping");
        std::string buffer(8, '\0');
        const UnixMessage asked = co_await server.recv_from(buffer);
        EXPECT_EQ("ping", buffer.substr(0, asked.size));
        EXPECT_EQ(there, asked.from());
        co_await server.send_to("pong", asked.from());
        const UnixMessage answered = co_await client.recv(buffer);
        EXPECT_EQ("pong", buffer.substr(0, answered.size));
        EXPECT_EQ(here, answered.from());
        server.close();
        EXPECT_FALSE(std::filesystem::exists(here));
    });
    EXPECT_FALSE(std::filesystem::exists(there));
    EXPECT_EQ(before, open_descriptors());
}

TEST(UnixDatagram, AnUnnamedSenderHasNoAddressAndAnEmptyPathGetsOne) {
    run_io([]() -> Coro<> {
        UnixDatagram server = UnixDatagram::bind("");
        EXPECT_TRUE(server.local_path().starts_with('@')) << server.local_path();
        UnixDatagram client = UnixDatagram::connect(server.local_path());
        co_await client.send("x");
        std::string buffer(8, '\0');
        const UnixMessage asked = co_await server.recv_from(buffer);
        EXPECT_EQ("", asked.from());
        EXPECT_THROW(UnixDatagram::connect(""), ValueError);
    });
}

TEST(UnixDatagram, NoBytesAreADatagramAndTruncationIsTold) {
    run_io([]() -> Coro<> {
        auto [near, far] = UnixDatagram::pair();
        co_await near.send("");
        co_await near.send("0123456789");
        std::string buffer(4, '\0');
        const UnixMessage empty = co_await far.recv(buffer);
        EXPECT_EQ(0U, empty.size);
        EXPECT_FALSE(empty.is_truncated());
        const UnixMessage cut = co_await far.recv(buffer);
        EXPECT_EQ(4U, cut.size);
        EXPECT_EQ(10U, cut.sent_size);
        EXPECT_TRUE(cut.is_truncated());
    });
}

TEST(UnixDatagram, ASenderWaitsForRoomAndIsCancelledThere) {
    run_io([]() -> Coro<> {
        auto [near, far] = UnixDatagram::pair();
        auto filling = create_task([](UnixDatagram& socket) -> Coro<> {
            for (;;) {
                co_await socket.send("x");
            }
        }(near));
        co_await turns(200);
        std::string buffer(8, '\0');
        co_await far.recv(buffer);
        filling.cancel();
        EXPECT_THROW(co_await filling, CancelledError);
    });
}

TEST(UnixDatagram, AnUnconnectedSenderWaitsForRoomAtLeisure) {
    run_io([]() -> Coro<> {
        UnixDatagram server = UnixDatagram::bind("");
        UnixDatagram client = UnixDatagram::bind("");
        std::size_t sent = 0;
        auto filling = create_task([](UnixDatagram& socket, std::string to, std::size_t& count) -> Coro<> {
            for (;; ++count) {
                co_await socket.send_to("x", to);
            }
        }(client, server.local_path(), sent));
        co_await turns(2000);
        const std::size_t before = sent;
        const auto start = std::chrono::steady_clock::now();
        const std::uint64_t enters = get_runtime().metrics().loops[0].enters;
        co_await sleep(50ms);
        const auto milliseconds = (std::chrono::steady_clock::now() - start) / 1ms;
        // It looks again every other millisecond; if each look made it look, there would be thousands.
        EXPECT_LE(get_runtime().metrics().loops[0].enters - enters, static_cast<std::uint64_t>(milliseconds) + 10);
        EXPECT_EQ(before, sent);
        std::string buffer(8, '\0');
        co_await server.recv_from(buffer);
        while (sent == before) {
            co_await sleep(1ms);
        }
        filling.cancel();
        EXPECT_THROW(co_await filling, CancelledError);
    });
}

TEST(UnixDatagram, APeerThatHasGoneIsAnError) {
    run_io([]() -> Coro<> {
        UnixDatagram server = UnixDatagram::bind("");
        UnixDatagram client = UnixDatagram::connect(server.local_path());
        server.close();
        try {
            co_await client.send("x");
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_refused, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("send unix:@")) << error.what();
        }
        UnixDatagram free = UnixDatagram::bind("");
        EXPECT_THROW(co_await free.send_to("x", "/no/such/socket"), std::system_error);
    });
}

TEST(UnixDatagram, CloseWakesAReceiver) {
    run_io([]() -> Coro<> {
        auto [near, far] = UnixDatagram::pair();
        UnixDatagram receiver = std::move(near);
        std::string buffer(8, '\0');
        auto receiving = create_task(receiver.recv(buffer));
        co_await turns();
        receiver.close();
        EXPECT_THROW(co_await receiving, std::system_error);
    });
}

}  // namespace
}  // namespace knit::test
