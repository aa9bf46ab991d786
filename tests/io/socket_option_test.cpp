// Options of sockets.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <string>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::TcpListener;
using io::TcpStream;

TEST(SocketOption, KeepAliveTakesItsTimes) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_FALSE(pair.near.keepalive());
        pair.near.keepalive({.idle = 30s, .interval = 1500ms, .count = 4});
        EXPECT_TRUE(pair.near.keepalive());
        EXPECT_EQ(30, pair.near.option(IPPROTO_TCP, TCP_KEEPIDLE));
        EXPECT_EQ(2, pair.near.option(IPPROTO_TCP, TCP_KEEPINTVL));
        EXPECT_EQ(4, pair.near.option(IPPROTO_TCP, TCP_KEEPCNT));
        EXPECT_THROW(pair.near.keepalive({.idle = -1s}), ValueError);
    });
}

TEST(SocketOption, UserTimeoutQuickackAndBuffers) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_EQ(Duration::zero(), pair.near.user_timeout());
        pair.near.user_timeout(2500ms);
        EXPECT_EQ(2500ms, pair.near.user_timeout());
        EXPECT_THROW(pair.near.user_timeout(-1ms), ValueError);
        pair.near.quickack(false);
        EXPECT_EQ(0, pair.near.option(IPPROTO_TCP, TCP_QUICKACK));
        pair.near.send_buffer_size(8192);
        EXPECT_GE(pair.near.send_buffer_size(), 8192);
    });
}

TEST(SocketOption, LingerOfZeroResetsThePeer) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_FALSE(pair.near.linger());
        pair.near.linger(1500ms);
        EXPECT_EQ(Duration(2s), pair.near.linger());
        pair.near.linger(std::nullopt);
        EXPECT_FALSE(pair.near.linger());
        pair.near.linger(0s);
        pair.near.close();
        char buffer[8];
        try {
            co_await pair.far.read_some(buffer);
            ADD_FAILURE() << "read";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_reset, error.code());
        }
    });
}

TEST(SocketOption, AnyOptionBySystemNumbersAndARefusalNamesIt) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.near.set_option(IPPROTO_IP, IP_TOS, 0x10);
        EXPECT_EQ(0x10, pair.near.option(IPPROTO_IP, IP_TOS));
        const timeval time{3, 0};
        pair.near.set_option(SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
        try {
            pair.near.set_option(IPPROTO_TCP, 9999, 1);
            ADD_FAILURE() << "set";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::no_protocol_option, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("set option 9999 of level 6")) << error.what();
        }
        pair.near.close();
        EXPECT_THROW(pair.near.option(IPPROTO_IP, IP_TOS), std::system_error);
    });
}

TEST(SocketOption, AListenerMayTakeOneFamilyOrBoth) {
    run_io([]() -> Coro<> {
        TcpListener both = TcpListener::bind("[::]:0", {.ipv6_only = false});
        TcpStream four = co_await TcpStream::connect(io::endpoint("127.0.0.1", both.local_endpoint().port()));
        TcpStream far = co_await both.accept();
        EXPECT_EQ("::ffff:127.0.0.1", far.peer_endpoint().host());
        TcpListener six = TcpListener::bind(":0", {.ipv6_only = true});
        auto refused = TcpStream::connect(io::endpoint("127.0.0.1", six.local_endpoint().port()));
        EXPECT_THROW(co_await std::move(refused), std::system_error);
    });
}

TEST(SocketOption, ADeferringListenerAcceptsWithTheFirstBytes) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0", {.defer_accept = 30s, .fast_open = 16,
                                                                 .receive_buffer_size = 65536});
        EXPECT_GT(listener.option(IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
        EXPECT_EQ(16, listener.option(IPPROTO_TCP, TCP_FASTOPEN));
        EXPECT_GE(listener.receive_buffer_size(), 65536);
        TcpStream near = co_await TcpStream::connect(listener.local_endpoint());
        auto accepting = create_task(listener.accept());
        co_await turns(10);
        EXPECT_FALSE(accepting.done());
        co_await near.write("x");
        TcpStream far = co_await wait_for(accepting, 30s);
        char buffer[8];
        EXPECT_EQ(1U, co_await far.read_some(buffer));
    });
}

}  // namespace
}  // namespace knit::test
