// Names to addresses.
#include "knit/io/getaddrinfo.hpp"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "io_test.hpp"
#include "resolve.hpp"

namespace knit::test {
namespace {

using Endpoints = std::vector<io::Endpoint>;

TEST(GetAddrInfo, GivesEachAddressOnceWithItsPort) {
    run_io([]() -> Coro<> {
        const Endpoints one = co_await getaddrinfo("127.0.0.1", 80);
        EXPECT_EQ((Endpoints{io::endpoint("127.0.0.1", 80)}), one);
        const Endpoints six = co_await getaddrinfo("::1", "8080");
        EXPECT_EQ((Endpoints{io::endpoint("::1", 8080)}), six);
        const Endpoints named = co_await getaddrinfo("localhost", 7);
        const auto four = io::endpoint("127.0.0.1", 7);
        EXPECT_EQ(1, std::count(named.begin(), named.end(), four));
        const Endpoints no_service = co_await getaddrinfo("127.0.0.1");
        EXPECT_EQ(0, no_service.front().port());
    });
}

TEST(GetAddrInfo, TakesAFamilyAndAnEmptyHost) {
    run_io([]() -> Coro<> {
        const Endpoints four = co_await getaddrinfo("localhost", 7, {.family = Family::ipv4});
        EXPECT_EQ((Endpoints{io::endpoint("127.0.0.1", 7)}), four);
        const Endpoints all = co_await getaddrinfo("", 7, {.family = Family::ipv4, .to_listen = true});
        EXPECT_EQ((Endpoints{io::endpoint("0.0.0.0", 7)}), all);
        const Endpoints here = co_await getaddrinfo("", "", {.family = Family::ipv6});
        EXPECT_EQ((Endpoints{io::endpoint("::1", 0)}), here);
    });
}

/// A part of a resolver's answer.
struct Answer {
    Answer(const char* host, int socket_type, Answer* following) {
        address.sin_family = AF_INET;
        address.sin_port = htons(80);
        inet_pton(AF_INET, host, &address.sin_addr);
        part.ai_family = AF_INET;
        part.ai_socktype = socket_type;
        part.ai_addrlen = sizeof address;
        part.ai_addr = reinterpret_cast<sockaddr*>(&address);
        part.ai_next = following != nullptr ? &following->part : nullptr;
    }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;

    sockaddr_in address{};
    addrinfo part{};
};

/// A resolver's lines, and the kinds of sockets, may name an address more than once.
TEST(GetAddrInfo, AnAddressThatTheResolverGivesTwiceIsGivenOnceInTheOrderOfTheFirst) {
    Answer fourth("192.0.2.1", SOCK_STREAM, nullptr);
    Answer third("192.0.2.3", SOCK_STREAM, &fourth);
    Answer second("192.0.2.1", SOCK_DGRAM, &third);
    Answer first("192.0.2.2", SOCK_STREAM, &second);
    Endpoints found{io::endpoint("192.0.2.3", 80)};
    detail::add_endpoints(&first.part, found);
    const auto other = io::endpoint("192.0.2.2", 80);
    EXPECT_EQ((Endpoints{io::endpoint("192.0.2.3", 80), other, io::endpoint("192.0.2.1", 80)}), found);
}

Coro<std::system_error> error_of(Coro<Endpoints> asking) {
    try {
        co_await std::move(asking);
    } catch (const std::system_error& error) {
        co_return error;
    }
    ADD_FAILURE() << "found";
    co_return std::system_error(std::error_code());
}

TEST(GetAddrInfo, AnUnknownNameHasTheCodesOfItsOwnCategory) {
    run_io([]() -> Coro<> {
        const std::system_error unknown = co_await error_of(getaddrinfo("no-such-host.invalid", 80));
        EXPECT_STREQ("getaddrinfo", unknown.code().category().name());
        EXPECT_EQ(io::address_category(), unknown.code().category());
        EXPECT_NE(std::string::npos, std::string(unknown.what()).find("getaddrinfo no-such-host.invalid 80"));
        auto numeric = getaddrinfo("localhost", 80, {.numeric_only = true});
        const std::system_error name = co_await error_of(std::move(numeric));
        EXPECT_EQ(EAI_NONAME, name.code().value());
        auto with_nul = getaddrinfo(std::string("a\0b", 3), 80);
        EXPECT_THROW(co_await std::move(with_nul), ValueError);
    });
}

TEST(GetAddrInfo, ALookUpThatIsTooLateIsATimeoutAndAnAddressNeverIs) {
    RunOptions options;
    options.loops = 1;
    options.blocking_threads = 1;
    auto body = []() -> Coro<> {
        auto address = getaddrinfo("127.0.0.1", 80, {.timeout = 0ns});
        const Endpoints found = co_await std::move(address);
        EXPECT_EQ(1U, found.size());
        // The only thread of the pool is held, so that the look-up cannot begin.
        std::promise<void> gate;
        auto holding = create_task(to_thread([&gate] { gate.get_future().wait(); }));
        co_await turns();
        auto name = getaddrinfo("localhost", 80, {.timeout = 5ms});
        try {
            co_await std::move(name);
            ADD_FAILURE() << "found";
        } catch (const TimeoutError& error) {
            EXPECT_STREQ("getaddrinfo localhost 80: no answer within 5 ms", error.what());
        }
        gate.set_value();
        co_await holding;
    };
    run(std::move(body), std::move(options));
}

TEST(GetAddrInfo, IsCancelledAtOnce) {
    run_io([]() -> Coro<> {
        auto asking = create_task(getaddrinfo("localhost", 80));
        co_await yield();
        asking.cancel();
        try {
            co_await asking;
        } catch (const CancelledError&) {
        }
        EXPECT_TRUE(asking.done());
    });
}

}  // namespace
}  // namespace knit::test
