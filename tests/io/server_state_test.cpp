// What the loops share of a server, by itself.
#include "server_state.hpp"

#include <array>
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
        std::array<int, 2> ends{};
        EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
        const detail::Fd peer(ends[1]);
        detail::Accepted accepted;
        accepted.fd = detail::Fd(ends[0]);
        std::optional<Admission> admission = state->admit(loop.worker());
        state->end_connections(detail::Connection::End::close);
        state->service->begin(std::move(*admission), std::move(accepted));
        co_await turns();
        EXPECT_FALSE(is_called);
        EXPECT_EQ(0U, state->connection_count());
    });
}

}  // namespace
}  // namespace knit::test
