// Datagrams over UDP.
#include "knit/io/udp.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::Datagram;
using io::SocketAddress;
using io::UdpSocket;

Coro<> expect_talk(io::Endpoint where) {
    UdpSocket server = UdpSocket::bind(where);
    UdpSocket client = UdpSocket::bind(where);
    std::string buffer(64, '\0');
    EXPECT_EQ(4U, co_await client.send_to("ping", server.local_endpoint()));
    const Datagram asked = co_await server.recv_from(buffer);
    EXPECT_EQ("ping", buffer.substr(0, asked.size));
    EXPECT_FALSE(asked.is_truncated());
    const io::Endpoint from = asked.from;
    EXPECT_EQ(client.local_endpoint(), from);
    EXPECT_EQ(4U, co_await server.send_to("pong", asked.from));
    const Datagram answered = co_await client.recv_from(buffer);
    EXPECT_EQ("pong", buffer.substr(0, answered.size));
}

TEST(Udp, TalksOverIpv4) {
    run_io([]() -> Coro<> { co_await expect_talk("127.0.0.1:0"); });
}

TEST(Udp, TalksOverIpv6) {
    run_io([]() -> Coro<> { co_await expect_talk("[::1]:0"); });
}

TEST(Udp, ASocketOfBothFamiliesAnswersIpv4) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind(":0");
        UdpSocket client = UdpSocket::bind("127.0.0.1:0");
        const io::Endpoint where("127.0.0.1", server.local_endpoint().port());
        co_await client.send_to("x", where);
        std::string buffer(8, '\0');
        const Datagram asked = co_await server.recv_from(buffer);
        co_await server.send_to("to whom it came from", asked.from);
        co_await server.send_to("as an address", client.local_endpoint());
        std::string answer(64, '\0');
        const Datagram first = co_await client.recv_from(answer);
        EXPECT_EQ(20U, first.size);
        const Datagram second = co_await client.recv_from(answer);
        EXPECT_EQ(13U, second.size);
    });
}

TEST(Udp, ADatagramOfNoBytesIsOne) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        UdpSocket client = UdpSocket::bind("127.0.0.1:0");
        EXPECT_EQ(0U, co_await client.send_to("", server.local_endpoint()));
        std::string buffer(8, 'x');
        const Datagram got = co_await server.recv_from(buffer);
        EXPECT_EQ(0U, got.size);
        EXPECT_EQ(client.local_endpoint(), got.from);
    });
}

TEST(Udp, TruncationIsTold) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        UdpSocket client = co_await UdpSocket::connect(server.local_endpoint());
        co_await client.send("0123456789");
        co_await client.send("next");
        std::string buffer(4, '\0');
        const Datagram got = co_await server.recv_from(buffer);
        EXPECT_EQ(4U, got.size);
        EXPECT_EQ(10U, got.sent_size);
        EXPECT_TRUE(got.is_truncated());
        EXPECT_EQ("0123", buffer);
        const Datagram next = co_await server.recv_from(buffer);
        EXPECT_FALSE(next.is_truncated());
        EXPECT_EQ("next", buffer);
    });
}

TEST(Udp, OneThatIsTooLargeIsAnErrorThatNamesOperationAndPeer) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        UdpSocket client = co_await UdpSocket::connect(server.local_endpoint());
        const std::string much(70000, 'x');
        try {
            co_await client.send(much);
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::message_size, error.code());
            const std::string what = error.what();
            EXPECT_NE(std::string::npos, what.find("send ")) << what;
            EXPECT_NE(std::string::npos, what.find(server.local_endpoint().to_string())) << what;
        }
    });
}

TEST(Udp, AConnectedSocketHearsOfItsPeerAloneAndThatNobodyListens) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        UdpSocket stranger = UdpSocket::bind("127.0.0.1:0");
        UdpSocket client = co_await UdpSocket::connect(server.local_endpoint());
        EXPECT_EQ(server.local_endpoint(), client.peer_endpoint());
        EXPECT_THROW(server.peer_endpoint(), std::system_error);
        co_await stranger.send_to("not for you", client.local_endpoint());
        co_await server.send_to("for you", client.local_endpoint());
        std::string buffer(64, '\0');
        const Datagram got = co_await client.recv(buffer);
        EXPECT_EQ("for you", buffer.substr(0, got.size));
        server.close();
        co_await client.send("anybody?");
        try {
            co_await client.recv(buffer);
            ADD_FAILURE() << "received";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_refused, error.code());
        }
        // One that is not connected is not told.
        UdpSocket free = UdpSocket::bind("127.0.0.1:0");
        co_await free.send_to("anybody?", client.peer_endpoint());
        co_await stranger.send_to("hello", free.local_endpoint());
        const Datagram hello = co_await free.recv_from(buffer);
        EXPECT_EQ("hello", buffer.substr(0, hello.size));
    });
}

TEST(Udp, ConnectTakesANameAndALocalEndpoint) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        const io::Endpoint where("localhost", server.local_endpoint().port());
        auto connecting = UdpSocket::connect(io::Endpoint("127.0.0.1", where.port()), io::Endpoint("127.0.0.7", 0));
        UdpSocket client = co_await std::move(connecting);
        EXPECT_EQ("127.0.0.7", client.local_endpoint().host());
        UdpSocket by_name = co_await UdpSocket::connect(where);
        EXPECT_NE(0, by_name.local_endpoint().port());
    });
}

TEST(Udp, ANameWhereAnAddressBelongsSaysWhatToDo) {
    run_io([]() -> Coro<> {
        UdpSocket socket = UdpSocket::bind("127.0.0.1:0");
        try {
            co_await socket.send_to("x", io::Endpoint("localhost:80"));
            ADD_FAILURE() << "sent";
        } catch (const ValueError& error) {
            EXPECT_NE(std::string::npos, std::string(error.what()).find("getaddrinfo")) << error.what();
        }
    });
}

TEST(Udp, ACancelledReceiveLosesNoDatagram) {
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        UdpSocket client = UdpSocket::bind("127.0.0.1:0");
        std::string buffer(64, '\0');
        for (int i = 0; i < 5; ++i) {
            auto receiving = create_task(server.recv_from(buffer));
            co_await turns(i);
            receiving.cancel();
            EXPECT_THROW(co_await receiving, CancelledError);
        }
        co_await client.send_to("still there", server.local_endpoint());
        const Datagram got = co_await server.recv_from(buffer);
        EXPECT_EQ("still there", buffer.substr(0, got.size));
    });
}

TEST(Udp, CloseWakesAReceiverAndLeavesNoDescriptor) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        UdpSocket server = UdpSocket::bind("127.0.0.1:0");
        std::string buffer(8, '\0');
        auto receiving = create_task(server.recv_from(buffer));
        co_await turns();
        server.close();
        try {
            co_await receiving;
            ADD_FAILURE() << "received";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::operation_canceled, error.code());
        }
        EXPECT_THROW(co_await server.recv_from(buffer), std::system_error);
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(Udp, MulticastReachesWhoHasJoinedAndBroadcastNeedsItsOption) {
    run_io([]() -> Coro<> {
        UdpSocket receiver = UdpSocket::bind("0.0.0.0:0", {.reuse_address = true});
        const io::Endpoint group("239.255.77.7", receiver.local_endpoint().port());
        receiver.join(group, "lo");
        UdpSocket sender = UdpSocket::bind("127.0.0.1:0");
        sender.multicast_interface("lo");
        sender.multicast_hops(0);
        sender.multicast_loop(true);
        co_await sender.send_to("to all of you", group);
        std::string buffer(64, '\0');
        auto receiving = create_task(receiver.recv_from(buffer));
        const Datagram got = co_await wait_for(receiving, 30s);
        EXPECT_EQ("to all of you", buffer.substr(0, got.size));
        receiver.leave(group, "lo");
        EXPECT_THROW(receiver.leave(group, "lo"), std::system_error);
        EXPECT_THROW(receiver.join(group, "no-such-interface"), std::system_error);

        EXPECT_FALSE(sender.broadcast());
        try {
            co_await sender.send_to("x", io::Endpoint("255.255.255.255:9"));
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            // Without a route the system does not get as far as the option.
            const bool is_no_route = error.code() == std::errc::network_unreachable;
            EXPECT_TRUE(is_no_route || error.code() == std::errc::permission_denied) << error.what();
        }
        sender.broadcast(true);
        EXPECT_TRUE(sender.broadcast());
    });
}

TEST(Udp, APortIsSharedOnRequest) {
    UdpSocket first = UdpSocket::bind("127.0.0.1:0", {.reuse_port = true});
    EXPECT_NO_THROW(UdpSocket::bind(first.local_endpoint(), {.reuse_port = true}));
    EXPECT_THROW(UdpSocket::bind(first.local_endpoint()), std::system_error);
}

TEST(SocketAddress, IsMadeOfAnAddressAndMapsIpv4) {
    const SocketAddress four(io::Endpoint("192.0.2.1:80"));
    EXPECT_EQ("192.0.2.1:80", four.to_string());
    EXPECT_EQ("[::ffff:192.0.2.1]:80", four.mapped_to_ipv6().to_string());
    const SocketAddress six(io::Endpoint("[2001:db8::1]:80"));
    EXPECT_EQ("[2001:db8::1]:80", six.to_string());
    EXPECT_EQ(six, six.mapped_to_ipv6());
    EXPECT_NE(six, four);
    EXPECT_EQ("fe80::1%1", SocketAddress(io::Endpoint("fe80::1%lo", 80)).host());
    EXPECT_EQ("fe80::1%7", SocketAddress(io::Endpoint("fe80::1%7", 80)).host());
    EXPECT_THROW(SocketAddress(io::Endpoint("fe80::1%none", 80)), ValueError);
}

}  // namespace
}  // namespace knit::test
