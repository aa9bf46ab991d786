// What the loops share of a server, by itself.
#include "server_state.hpp"

#include <memory>
#include <optional>
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

}  // namespace
}  // namespace knit::test
