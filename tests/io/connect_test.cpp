// Connecting to one of several addresses.
#include "connect.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "io_test.hpp"
#include "resolve.hpp"

namespace knit::test {
namespace {

using detail::SocketAddress;
using io::ConnectOptions;
using io::TcpListener;
using io::TcpStream;

SocketAddress address(const io::Endpoint& endpoint) {
    return detail::resolve(endpoint, detail::Purpose::connect).front();
}

/// A port of `host` that nobody listens at.
io::Endpoint refusing(const std::string& host) {
    TcpListener listener = TcpListener::bind(io::endpoint(host, 0));
    return listener.local_endpoint();
}

/// A listener whose queue is full: the kernel drops the first packets of further connections.
struct BlackHole {
    TcpListener listener;
    std::vector<Task<TcpStream>> fillers;

    io::Endpoint endpoint() const { return listener.local_endpoint(); }
};
Coro<BlackHole> black_hole(std::string host) {
    BlackHole hole;
    hole.listener = TcpListener::bind(io::endpoint(host, 0), {.backlog = 0});
    for (int i = 0; i < 8; ++i) {
        hole.fillers.push_back(create_task(TcpStream::connect(hole.endpoint())));
    }
    co_await turns(20);
    EXPECT_FALSE(hole.fillers.back().done());
    co_return hole;
}
Coro<> drop(BlackHole hole) {
    for (auto& task : hole.fillers) {
        task.cancel();
    }
    co_await wait(std::move(hole.fillers));
}

TEST(Connect, FamiliesTakeTurnsAfterTheFirstOnesOfTheFirst) {
    const SocketAddress a = address("127.0.0.1:1");
    const SocketAddress b = address("127.0.0.2:2");
    const SocketAddress c = address("127.0.0.3:3");
    const SocketAddress x = address("[::1]:11");
    const SocketAddress y = address("[::2]:12");
    auto ports = [](const std::vector<SocketAddress>& list) {
        std::vector<int> result;
        for (const SocketAddress& each : list) {
            result.push_back(each.port());
        }
        return result;
    };
    EXPECT_EQ((std::vector<int>{1, 11, 2, 12, 3}), ports(detail::interleave({a, b, c, x, y}, 1)));
    EXPECT_EQ((std::vector<int>{1, 2, 11, 3, 12}), ports(detail::interleave({a, b, c, x, y}, 2)));
    EXPECT_EQ((std::vector<int>{11, 1, 12, 2, 3}), ports(detail::interleave({x, y, a, b, c}, 1)));
    EXPECT_EQ((std::vector<int>{1, 2, 11}), ports(detail::interleave({a, b, x}, 9)));
    EXPECT_EQ((std::vector<int>{1, 2, 3, 11, 12}), ports(detail::interleave({a, b, c, x, y}, 0)));
    EXPECT_EQ((std::vector<int>{1, 2}), ports(detail::interleave({a, b}, 1)));
    EXPECT_TRUE(detail::interleave({}, 1).empty());
}

TEST(Connect, AnAddressThatDoesNotAnswerIsOvertakenAndItsAttemptClosed) {
    run_io([]() -> Coro<> {
        BlackHole hole = co_await black_hole("127.0.0.2");
        TcpListener good = TcpListener::bind("127.0.0.1:0");
        const std::size_t before = open_descriptors();
        {
            std::vector<SocketAddress> addresses{address(hole.endpoint()), address(good.local_endpoint())};
            ConnectOptions options;
            options.happy_eyeballs_delay = 10ms;
            auto connecting = detail::connect_to_any(std::move(addresses), {}, options);
            TcpStream stream = co_await wait_for(std::move(connecting), 30s);
            EXPECT_EQ(good.local_endpoint(), stream.peer_endpoint());
            EXPECT_TRUE(stream.nodelay());
            EXPECT_EQ(before + 1, open_descriptors());
        }
        co_await drop(std::move(hole));
    });
}

TEST(Connect, AnAddressThatRefusesIsFollowedAtOnceEvenWithoutADelay) {
    run_io([]() -> Coro<> {
        TcpListener good = TcpListener::bind("127.0.0.1:0");
        for (const bool has_delay : {true, false}) {
            std::vector<SocketAddress> addresses{address(refusing("::1")), address(good.local_endpoint())};
            ConnectOptions options;
            options.happy_eyeballs_delay = has_delay ? std::optional<Duration>(1h) : std::nullopt;
            auto connecting = detail::connect_to_any(std::move(addresses), {}, options);
            TcpStream stream = co_await wait_for(std::move(connecting), 30s);
            EXPECT_EQ(good.local_endpoint(), stream.peer_endpoint());
        }
    });
}

Coro<std::system_error> error_of(Coro<TcpStream> connecting) {
    try {
        co_await std::move(connecting);
    } catch (const std::system_error& error) {
        co_return error;
    }
    ADD_FAILURE() << "connected";
    co_return std::system_error(std::error_code());
}

TEST(Connect, WhenAllRefuseOneErrorNamesThemAll) {
    run_io([]() -> Coro<> {
        const io::Endpoint one = refusing("127.0.0.1");
        const io::Endpoint other = refusing("::1");
        std::vector<SocketAddress> addresses{address(one), address(other)};
        const std::size_t before = open_descriptors();
        const std::system_error error = co_await error_of(detail::connect_to_any(std::move(addresses), {}, {}));
        EXPECT_EQ(std::errc::connection_refused, error.code());
        const std::string what = error.what();
        EXPECT_TRUE(what.starts_with("Multiple exceptions: connect ")) << what;
        EXPECT_NE(std::string::npos, what.find(one.to_string())) << what;
        EXPECT_NE(std::string::npos, what.find(other.to_string())) << what;
        EXPECT_EQ(before, open_descriptors());
    });
}

TEST(Connect, ErrorsThatSayTheSameAreOne) {
    run_io([]() -> Coro<> {
        const io::Endpoint nobody = refusing("127.0.0.1");
        std::vector<SocketAddress> addresses{address(nobody), address(nobody)};
        const std::system_error error = co_await error_of(detail::connect_to_any(std::move(addresses), {}, {}));
        EXPECT_EQ(std::errc::connection_refused, error.code());
        EXPECT_TRUE(std::string(error.what()).starts_with("connect " + nobody.to_string())) << error.what();
    });
}

std::exception_ptr failure(int code, const char* text) {
    return std::make_exception_ptr(std::system_error(code, std::generic_category(), text));
}

TEST(Connect, TheCodeIsThePeersRatherThanThatOfAMissingRoute) {
    const std::exception_ptr refused = failure(ECONNREFUSED, "a");
    const std::exception_ptr no_route = failure(ENETUNREACH, "b");
    const std::exception_ptr timed_out = failure(ETIMEDOUT, "c");
    auto code_of = [](const std::vector<std::exception_ptr>& errors) {
        try {
            detail::throw_connect_errors(errors, false);
        } catch (const std::system_error& error) {
            return error.code().value();
        }
    };
    EXPECT_EQ(ECONNREFUSED, code_of({refused, no_route}));
    EXPECT_EQ(ECONNREFUSED, code_of({no_route, refused}));
    EXPECT_EQ(ETIMEDOUT, code_of({refused, timed_out}));
    EXPECT_EQ(ENETUNREACH, code_of({no_route}));
}

TEST(Connect, AllErrorsComeAsAGroupOnRequest) {
    run_io([]() -> Coro<> {
        for (const int count : {1, 2}) {
            std::vector<SocketAddress> addresses(static_cast<std::size_t>(count), address(refusing("127.0.0.1")));
            ConnectOptions options;
            options.all_errors = true;
            auto connecting = detail::connect_to_any(std::move(addresses), {}, options);
            try {
                co_await std::move(connecting);
                ADD_FAILURE() << "connected";
            } catch (const ExceptionGroup& group) {
                EXPECT_EQ(static_cast<std::size_t>(count), group.errors().size());
            }
        }
    });
}

TEST(Connect, CancelledLeavesNoAttempt) {
    run_io([]() -> Coro<> {
        BlackHole hole = co_await black_hole("127.0.0.1");
        const std::size_t before = open_descriptors();
        {
            std::vector<SocketAddress> addresses(3, address(hole.endpoint()));
            ConnectOptions options;
            options.happy_eyeballs_delay = 0ms;
            auto connecting = create_task(detail::connect_to_any(std::move(addresses), {}, options));
            co_await turns(20);
            EXPECT_EQ(before + 3, open_descriptors());
            connecting.cancel();
            EXPECT_THROW(co_await connecting, CancelledError);
        }
        EXPECT_EQ(before, open_descriptors());
        co_await drop(std::move(hole));
    });
}

TEST(Connect, TheTimeoutEndsItAndNamesThePeer) {
    run_io([]() -> Coro<> {
        BlackHole hole = co_await black_hole("127.0.0.1");
        const std::size_t before = open_descriptors();
        ConnectOptions options;
        options.timeout = 5ms;
        auto connecting = TcpStream::connect(hole.endpoint(), options);
        try {
            co_await std::move(connecting);
            ADD_FAILURE() << "connected";
        } catch (const TimeoutError& error) {
            EXPECT_EQ("connect " + hole.endpoint().to_string() + ": no connection within 5 ms",
                      std::string(error.what()));
        }
        EXPECT_EQ(before, open_descriptors());
        co_await drop(std::move(hole));
    });
}

TEST(Connect, FromALocalEndpoint) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        ConnectOptions options;
        options.local_endpoint = io::endpoint("127.0.0.5", 0);
        auto connecting = TcpStream::connect(listener.local_endpoint(), options);
        TcpStream near = co_await std::move(connecting);
        TcpStream far = co_await listener.accept();
        EXPECT_EQ("127.0.0.5", far.peer_endpoint().host());
        EXPECT_EQ(near.local_endpoint(), far.peer_endpoint());
        options.local_endpoint = io::endpoint("::1", 0);
        auto other_family = TcpStream::connect(listener.local_endpoint(), options);
        const std::system_error error = co_await error_of(std::move(other_family));
        EXPECT_EQ(std::errc::address_family_not_supported, error.code());
        options.local_endpoint = io::endpoint("192.0.2.1", 0);
        auto not_ours = TcpStream::connect(listener.local_endpoint(), options);
        const std::system_error none = co_await error_of(std::move(not_ours));
        EXPECT_EQ(std::errc::address_not_available, none.code());
    });
}

}  // namespace
}  // namespace knit::test
