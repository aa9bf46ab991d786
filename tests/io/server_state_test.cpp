// What the loops share of a server, by itself.
#include "server_state.hpp"

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using detail::Admission;
using detail::BoundSocket;
using detail::ServerState;

TEST(ServerState, WhoAsksForRoomAfterSomeHasBeenLeftDoesNotWait) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        io::ServeOptions options;
        options.max_connections = 1;
        const std::vector<Loop*> loops(1, &loop);
        const auto state = std::make_shared<ServerState>(std::vector<BoundSocket>(), nullptr, options, loops);
        std::optional<Admission> only = state->admit(loop.worker());
        EXPECT_TRUE(only.has_value());
        EXPECT_FALSE(state->admit(loop.worker()).has_value());
        const Future<> early = state->when_room();
        EXPECT_FALSE(early.done());
        only.reset();
        EXPECT_TRUE(early.done());
        const Future<> late = state->when_room();  // another loop's connection left between its two questions
        EXPECT_TRUE(late.done());
        co_return;
    });
}

TEST(ServerState, RoomGoesToTheFirstThatStillWaitsForIt) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        io::ServeOptions options;
        options.max_connections = 1;
        const std::vector<Loop*> loops(1, &loop);
        const auto state = std::make_shared<ServerState>(std::vector<BoundSocket>(), nullptr, options, loops);
        std::optional<Admission> only = state->admit(loop.worker());
        Future<> cancelled = state->when_room();
        const Future<> waiting = state->when_room();
        const Future<> last = state->when_room();
        cancelled.cancel();
        only.reset();
        EXPECT_TRUE(waiting.done());
        EXPECT_FALSE(last.done());
        co_return;
    });
}

TEST(ServerState, HasSomethingToSayOnceASecond) {
    run_io([]() -> Coro<> {
        const std::vector<Loop*> loops(1, &get_running_loop());
        ServerState state(std::vector<BoundSocket>(), nullptr, io::ServeOptions(), loops);
        constexpr TimePoint kStart = TimePoint(1h);
        EXPECT_TRUE(state.may_report(kStart));
        EXPECT_FALSE(state.may_report(kStart + 999ms));
        EXPECT_TRUE(state.may_report(kStart + 1s));
        co_return;
    });
}

/// As if the one end had been accepted.
std::pair<detail::Accepted, detail::Fd> plain_pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
    detail::Accepted accepted;
    accepted.fd = detail::Fd(ends[0]);
    return {std::move(accepted), detail::Fd(ends[1])};
}

Coro<> drop(io::TcpStream stream) {
    stream.close();
    co_return;
}

TEST(ServerState, AConnectionThatIsEndedOnItsWayNeverReachesTheHandler) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        bool is_called = false;
        auto service = detail::make_handler_service([&is_called](io::TcpStream stream) {
            is_called = true;
            return echo(std::move(stream));
        });
        const std::vector<Loop*> loops(1, &loop);
        const auto state = std::make_shared<ServerState>(std::vector<BoundSocket>(), std::move(service),
                                                         io::ServeOptions(), loops);
        auto [accepted, peer] = plain_pair();
        std::optional<Admission> admission = state->admit(loop.worker());
        state->end_connections(detail::Connection::End::close);
        state->service->begin(std::move(*admission), std::move(accepted));
        co_await turns();
        EXPECT_FALSE(is_called);
        EXPECT_EQ(0U, state->connection_count());
    });
}

/// It has said that it has no task any more, perhaps. The other loop's task goes on: the end of the run waits for it.
TEST(ServerState, AConnectionThatReachesALoopWhileTheRunIsEndingNeverReachesTheHandler) {
    std::atomic<bool> is_called = false;
    bool has_ended = false;
    run_io(
        [&]() -> Coro<> {
            create_task([&]() -> Coro<> {
                const Result<> asked_to_end = co_await as_result(sleep(1000h));
                EXPECT_FALSE(asked_to_end.has_value());
                // The other loop has been asked too, before anything that is sent to it from here.
                Loop& other = get_runtime().loop(1);
                auto service = detail::make_handler_service([&is_called](io::TcpStream stream) {
                    is_called = true;
                    return drop(std::move(stream));
                });
                const auto state = std::make_shared<ServerState>(std::vector<BoundSocket>(), std::move(service),
                                                                 io::ServeOptions(), std::vector<Loop*>(1, &other));
                auto [near, far] = plain_pair();
                std::optional<Admission> admission = state->admit(other.worker());
                state->service->begin(std::move(*admission), std::move(near));
                char byte = 0;
                EXPECT_EQ(0, recv(far.get(), &byte, 1, 0));  // blocks until the other loop has closed it
                has_ended = true;
            });
            co_await turns();
        },
        2);
    EXPECT_TRUE(has_ended);
    EXPECT_FALSE(is_called);
}

}  // namespace
}  // namespace knit::test
