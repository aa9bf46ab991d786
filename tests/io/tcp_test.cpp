#include "knit/io/tcp.hpp"

#include <sys/resource.h>

#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::endpoint;
using io::TcpListener;
using io::TcpStream;

Coro<std::string> ask(io::Endpoint where, std::string text) {
    TcpStream stream = co_await TcpStream::connect(where);
    co_await stream.write(text);
    stream.shutdown();
    std::string answer(text.size(), '\0');
    co_await stream.read_exactly(answer);
    char rest[1];
    EXPECT_EQ(0U, co_await stream.read_some(rest));
    co_return answer;
}

Coro<> expect_echo(io::Endpoint where) {
    TcpListener listener = TcpListener::bind(where);
    EXPECT_NE(0, listener.local_endpoint().port());
    Task<std::string> answer = create_task(ask(listener.local_endpoint(), "hello"));
    TcpStream stream = co_await listener.accept();
    EXPECT_EQ(listener.local_endpoint().port(), stream.local_endpoint().port());
    co_await echo(std::move(stream));
    EXPECT_EQ("hello", co_await answer);
}

TEST(Tcp, EchoesOverIpv4AndPicksThePort) {
    run_io([]() -> Coro<> { co_await expect_echo("127.0.0.1:0"); });
}

TEST(Tcp, EchoesOverIpv6) {
    run_io([]() -> Coro<> { co_await expect_echo("[::1]:0"); });
}

TEST(Tcp, ConnectsByName) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        TcpStream near = co_await TcpStream::connect(endpoint("localhost", listener.local_endpoint().port()));
        TcpStream far = co_await listener.accept();
        EXPECT_EQ(near.local_endpoint(), far.peer_endpoint());
        EXPECT_EQ(near.peer_endpoint(), far.local_endpoint());
    });
}

TEST(Tcp, ListensOnEveryInterfaceForAnEmptyHost) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind(":0");
        const auto port = listener.local_endpoint().port();
        TcpStream near = co_await TcpStream::connect(endpoint("127.0.0.1", port));
        TcpStream far = co_await listener.accept();
        EXPECT_TRUE(far.is_open());
    });
}

TEST(Tcp, AnUnknownNameIsAnErrorOfGetaddrinfo) {
    run_io([]() -> Coro<> {
        try {
            co_await TcpStream::connect("no-such-host.invalid:80");
            ADD_FAILURE() << "connected";
        } catch (const std::system_error& error) {
            EXPECT_STREQ("getaddrinfo", error.code().category().name());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("no-such-host.invalid:80"));
        }
    });
}

TEST(Tcp, ARefusedConnectionNamesOperationAndPeer) {
    run_io([]() -> Coro<> {
        io::Endpoint nobody;
        {
            TcpListener listener = TcpListener::bind("127.0.0.1:0");
            nobody = listener.local_endpoint();
        }
        try {
            co_await TcpStream::connect(nobody);
            ADD_FAILURE() << "connected";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_refused, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("connect ")) << error.what();
            EXPECT_NE(std::string::npos, std::string(error.what()).find(nobody.to_string())) << error.what();
        }
    });
}

TEST(Tcp, APortInUseIsAnError) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        try {
            TcpListener::bind(listener.local_endpoint());
            ADD_FAILURE() << "bound twice";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::address_in_use, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find(listener.local_endpoint().to_string()));
        }
        co_return;
    });
}

TEST(Tcp, TheEndOfTheStreamIsZeroBytesAgainAndAgain) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.far.close();
        char buffer[8];
        EXPECT_EQ(0U, co_await pair.near.read_some(buffer));
        EXPECT_EQ(0U, co_await pair.near.read_some(buffer));
    });
}

TEST(Tcp, AHalfClosedStreamStillReads) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.shutdown();
        char buffer[8];
        EXPECT_EQ(0U, co_await pair.far.read_some(buffer));
        co_await pair.far.write("late");
        EXPECT_EQ(4U, co_await pair.near.read_some(buffer));
    });
}

TEST(Tcp, AResetIsAnErrorThatNamesOperationAndPeer) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string peer = pair.near.peer_endpoint().to_string();
        reset_on_close(pair.far);
        pair.far.close();
        char buffer[8];
        try {
            co_await pair.near.read_some(buffer);
            ADD_FAILURE() << "read";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_reset, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("read ")) << error.what();
            EXPECT_NE(std::string::npos, std::string(error.what()).find(peer)) << error.what();
        }
    });
}

TEST(Tcp, WritingToAPeerThatHasGoneIsAnErrorAndNoSignal) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        reset_on_close(pair.far);
        pair.far.close();
        try {
            for (;;) {  // ends: the reset arrives
                co_await pair.near.write("x");
            }
        } catch (const std::system_error& error) {
            const bool is_broken = error.code() == std::errc::broken_pipe;
            EXPECT_TRUE(is_broken || error.code() == std::errc::connection_reset) << error.what();
        }
    });
}

TEST(Tcp, ReadExactlyThrowsWhatCameWhenTheStreamEnds) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.far.write("abc");
        pair.far.close();
        char buffer[8];
        try {
            co_await pair.near.read_exactly(buffer);
            ADD_FAILURE() << "read";
        } catch (const IncompleteReadError& error) {
            EXPECT_EQ("abc", error.partial());
            EXPECT_STREQ("3 bytes read on a total of 8 expected bytes", error.what());
        }
    });
}

TEST(Tcp, ReadExactlyWaitsForAllOfIt) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::array<char, 6> buffer{};
        auto reading = create_task(pair.near.read_exactly(std::span<char>(buffer)));
        for (const char* part : {"ab", "cd", "ef"}) {
            co_await pair.far.write(part);
            co_await turns();
        }
        EXPECT_EQ(6U, co_await reading);
        EXPECT_EQ("abcdef", std::string(buffer.data(), buffer.size()));
    });
}

TEST(Tcp, WriteSendsAllEvenIfThePeerReadsSlowly) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::vector<unsigned char> sent(8 << 20);
        std::iota(sent.begin(), sent.end(), static_cast<unsigned char>(1));
        auto writing = create_task(pair.near.write(sent));
        std::vector<unsigned char> received(sent.size());
        EXPECT_EQ(sent.size(), co_await pair.far.read_exactly(received));
        EXPECT_EQ(sent.size(), co_await writing);
        EXPECT_TRUE(sent == received);
    });
}

TEST(Tcp, WriteSomeMayWriteLess) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::vector<std::byte> much(64 << 20);
        const std::size_t count = co_await pair.near.write_some(std::span<const std::byte>(much));
        EXPECT_GT(count, 0U);
        EXPECT_LT(count, much.size());
    });
}

TEST(Tcp, EmptyReadsAndWritesAreDoneAtOnce) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_EQ(0U, co_await pair.near.read_some(std::span<std::byte>()));
        EXPECT_EQ(0U, co_await pair.near.read_exactly(std::span<char>()));
        EXPECT_EQ(0U, co_await pair.near.write(""));
    });
}

TEST(Tcp, OptionsAreSetAndGot) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_TRUE(pair.near.nodelay());
        EXPECT_TRUE(pair.far.nodelay());
        pair.near.nodelay(false);
        EXPECT_FALSE(pair.near.nodelay());
        pair.near.keepalive(true);
        EXPECT_TRUE(pair.near.keepalive());
        pair.near.receive_buffer_size(8192);
        EXPECT_GE(pair.near.receive_buffer_size(), 8192);
    });
}

TEST(Tcp, AClosedStreamSaysSo) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.near.close();
        pair.near.close();
        EXPECT_FALSE(pair.near.is_open());
        char buffer[8];
        try {
            co_await pair.near.read_some(buffer);
            ADD_FAILURE() << "read";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::bad_file_descriptor, error.code());
        }
        EXPECT_THROW(pair.near.nodelay(true), std::system_error);
    });
}

TEST(Tcp, AcceptThrowsWhenDescriptorsRunOutAndWorksAgainAfterwards) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        // Once with descriptors: UBSan needs a pipe for its first look at an object's type, and remembers it.
        TcpStream early = co_await TcpStream::connect(listener.local_endpoint());
        TcpStream early_far = co_await listener.accept();
        look_at_error_types();
        TcpStream near = co_await TcpStream::connect(listener.local_endpoint());
        rlimit before{};
        getrlimit(RLIMIT_NOFILE, &before);
        const rlimit none{0, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        bool has_failed = false;
        try {
            co_await listener.accept();
        } catch (const std::system_error& error) {
            has_failed = error.code() == std::errc::too_many_files_open;
        }
        setrlimit(RLIMIT_NOFILE, &before);
        EXPECT_TRUE(has_failed);
        TcpStream far = co_await listener.accept();
        co_await far.write("x");
        char buffer[1];
        EXPECT_EQ(1U, co_await near.read_some(buffer));
    });
}

TEST(Tcp, AStreamIsUsedOnAnotherLoopThanItsMakers) {
    run_io(
        []() -> Coro<> {
            Pair pair = co_await connected_pair();
            co_await resume_on(get_runtime().loop(1));
            co_await pair.near.write("ping");
            co_await resume_on(get_runtime().loop(0));
            char buffer[8];
            EXPECT_EQ(4U, co_await pair.far.read_some(buffer));
        },
        2);
}

}  // namespace
}  // namespace knit::test
