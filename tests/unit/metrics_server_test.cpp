// MetricsServer by itself, in front of a runtime that nobody runs: clients that take their time.
#include "metrics_server.hpp"

#include "co_test.hpp"
#include "knit/metrics.hpp"
#include "metrics_client.hpp"

#include <string>

namespace knit::test {
namespace {

/// A runtime on the driver of the tests starts no server of its own.
RunOptions with_socket(const std::string& place, unsigned loops) {
    RunOptions options = on_loops(loops);
    options.metrics = place;
    return options;
}

TEST(MetricsServer, GivesUpAClientThatAsksNothing) {
    const std::string place = socket_path("silent");
    Runtime runtime(with_socket(place, 1));
    detail::MetricsServer server(runtime.core(), 1ms);
    server.start();
    const MetricsClient silent(place);
    EXPECT_TRUE(silent.is_connected());
    EXPECT_TRUE(silent.is_hung_up_on());
}

TEST(MetricsServer, GivesUpAClientThatDoesNotReadItsAnswer) {
    const std::string place = socket_path("unread");
    Runtime runtime(with_socket(place, 600));
    const std::size_t whole = to_prometheus(runtime.metrics()).size();
    detail::MetricsServer server(runtime.core(), 20ms);
    server.start();
    const MetricsClient client(place);
    if (whole < 2 * static_cast<std::size_t>(client.buffer_size())) {
        GTEST_SKIP() << "a socket holds all of it";
    }
    client.send("metrics\n");
    EXPECT_TRUE(client.is_hung_up_on());
    EXPECT_LT(client.read_all().size(), whole);
}

}  // namespace
}  // namespace knit::test
