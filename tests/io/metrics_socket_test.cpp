// The socket that tells the metrics. The clients are blocking ones that run inside a task: while they wait for their
// answer, the loop is blocked.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io_test.hpp"
#include "knit/log.hpp"
#include "metrics_client.hpp"

namespace knit::test {
namespace {

RunOptions with_socket(const std::string& place, unsigned loops = 1) {
    RunOptions options;
    options.loops = loops;
    options.metrics = place;
    return options;
}

/// What is logged as an error while this lives.
class Errors {
public:
    Errors() {
        set_log_sink([this](const LogRecord& record) {
            if (record.level == LogLevel::error) {
                const std::lock_guard lock(mutex_);
                text_ += record.message + "\n";
            }
        });
    }
    ~Errors() { set_log_sink({}); }
    Errors(const Errors&) = delete;
    Errors& operator=(const Errors&) = delete;
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

private:
    std::mutex mutex_;
    std::string text_;
};

bool exists(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0;
}

std::string content_of(const std::string& path) {
    std::string content;
    std::ifstream(path) >> content;
    return content;
}

TEST(MetricsSocket, AnswersWhileTheLoopIsBlocked) {
    const std::string place = socket_path("blocked");
    std::string text;
    std::string json;
    std::string http;
    run([&]() -> Coro<> {
        text = ask(place, "metrics\n");
        json = ask(place, "json\n");
        http = ask(place, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        co_return;
    }, with_socket(place));
    EXPECT_TRUE(text.starts_with("# HELP knit_uptime_seconds ")) << text;
    EXPECT_NE(text.find("knit_loop_resting{loop=\"0\"} 0\n"), std::string::npos) << text;
    EXPECT_TRUE(json.starts_with("{\"time_seconds\": ")) << json;
    EXPECT_TRUE(json.ends_with("]}\n")) << json;
    const std::size_t body = http.find("\r\n\r\n");
    ASSERT_NE(body, std::string::npos) << http;
    EXPECT_TRUE(http.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    EXPECT_NE(http.find("Content-Length: " + std::to_string(http.size() - body - 4) + "\r\n"), std::string::npos);
}

TEST(MetricsSocket, TellsOfEachLoopAndOfTheStepThatBlocksOne) {
    const std::string place = socket_path("loops");
    std::string text;
    RunOptions options = with_socket(place, 3);
    options.slow_task = 1ms;
    set_log_sink([](const LogRecord&) {});  // the watchdog's warning
    run([&]() -> Coro<> {
        while (text.find("knit_loop_blocked_seconds{loop=\"0\"} 0.0000") != std::string::npos || text.empty()) {
            text = ask(place, "metrics\n");  // until the watchdog has looked twice
        }
        co_return;
    }, std::move(options));
    set_log_sink({});
    EXPECT_NE(text.find("knit_loop_turns_total{loop=\"2\"} "), std::string::npos) << text;
}

TEST(MetricsSocket, ASlowClientHoldsUpNobody) {
    const std::string place = socket_path("slow");
    run([&]() -> Coro<> {
        const MetricsClient slow(place);
        EXPECT_TRUE(slow.is_connected());
        slow.send("met");
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP")) << "behind a slow client";
        const MetricsClient silent(place);
        EXPECT_TRUE(ask(place, "json\n").starts_with("{")) << "behind a silent one";
        slow.send("rics\n");
        EXPECT_TRUE(slow.read_all().starts_with("# HELP"));
        co_return;
    }, with_socket(place));
}

TEST(MetricsSocket, AHalfClosedClientIsAnswered) {
    const std::string place = socket_path("half");
    run([&]() -> Coro<> {
        const MetricsClient client(place);
        client.send("json");
        client.end();
        EXPECT_TRUE(client.read_all().starts_with("{\"time_seconds\""));
        const MetricsClient nothing(place);
        nothing.end();
        EXPECT_EQ(nothing.read_all(), "");
        co_return;
    }, with_socket(place));
}

TEST(MetricsSocket, SaysWhatMayBeAsked) {
    const std::string place = socket_path("help");
    run([&]() -> Coro<> {
        EXPECT_TRUE(ask(place, "help\n").starts_with("send a line `metrics` or `json`"));
        EXPECT_TRUE(ask(place, std::string(20000, 'x')).starts_with("send a line")) << "no line at all";
        EXPECT_TRUE(ask(place, "GET /else HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
        EXPECT_TRUE(ask(place, "POST /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405 "));
        EXPECT_TRUE(ask(place, "GET /json?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("]}\n"));
        co_return;
    }, with_socket(place));
}

/// What it left unread when it closes would be a reset to the client.
TEST(MetricsSocket, AQuestionThatIsTooLongIsAnsweredToTheEnd) {
    const std::string place = socket_path("long");
    run([&]() -> Coro<> {
        EXPECT_EQ(ask(place, std::string(20000, 'x')), ask(place, "help\n"));
        co_return;
    }, with_socket(place));
}

TEST(MetricsSocket, MoreClientsThanItServesAtOnceWaitForTheirTurn) {
    const std::string place = socket_path("many");
    run([&]() -> Coro<> {
        std::vector<std::unique_ptr<MetricsClient>> silent;
        for (int i = 0; i < 40; ++i) {
            silent.push_back(std::make_unique<MetricsClient>(place));
            EXPECT_TRUE(silent.back()->is_connected());
        }
        silent.resize(20);
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP"));
        co_return;
    }, with_socket(place));
}

TEST(MetricsSocket, IsItsOwnersAloneAndIsRemovedAtTheEnd) {
    const std::string place = socket_path("mode");
    const std::size_t before = open_descriptors();
    run([&]() -> Coro<> {
        struct stat found {};
        EXPECT_EQ(::lstat(place.c_str(), &found), 0);
        EXPECT_TRUE(S_ISSOCK(found.st_mode));
        EXPECT_EQ(found.st_mode & 07777U, 0600U);
        co_return;
    }, with_socket(place));
    EXPECT_FALSE(exists(place));
    EXPECT_EQ(open_descriptors(), before);
}

TEST(MetricsSocket, TheEnvironmentOpensItToo) {
    const std::string place = socket_path("environment");
    ::setenv("KNIT_METRICS", place.c_str(), 1);
    run([&]() -> Coro<> {
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP"));
        co_return;
    });
    ::unsetenv("KNIT_METRICS");
}

TEST(MetricsSocket, MayBeAbstract) {
    const std::string place = "@knit-metrics-test-" + std::to_string(getpid());
    run([&]() -> Coro<> {
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP"));
        co_return;
    }, with_socket(place));
    EXPECT_FALSE(MetricsClient(place).is_connected());
}

TEST(MetricsSocket, WhatADeadProcessHasLeftIsReplaced) {
    const std::string place = socket_path("stale");
    {
        const int number = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, place.data(), place.size());
        ASSERT_EQ(::bind(number, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
        ::close(number);
    }
    ASSERT_TRUE(exists(place));
    run([&]() -> Coro<> {
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP"));
        co_return;
    }, with_socket(place));
    EXPECT_FALSE(exists(place));
}

TEST(MetricsSocket, TheSecondRuntimeSaysThatItIsTakenAndWorksWithout) {
    const std::string place = socket_path("second");
    Errors errors;
    Runtime first(with_socket(place));
    {
        Runtime second(with_socket(place));
        EXPECT_EQ(errors.text(), "the metrics of this runtime are not told on the socket " + place +
                                     ": another runtime listens there\n");
        EXPECT_EQ(second.run_until_complete([]() -> Coro<int> { co_return 7; }), 7);
    }
    EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP")) << "the first's, still";
}

TEST(MetricsSocket, AFileThatIsNoSocketIsLeftAlone) {
    const std::string place = socket_path("file");
    std::ofstream(place) << "precious";
    Errors errors;
    { Runtime runtime(with_socket(place)); }
    EXPECT_NE(errors.text().find("there is a file of that name that is no socket"), std::string::npos);
    EXPECT_EQ(content_of(place), "precious");
    ::unlink(place.c_str());
}

TEST(MetricsSocket, WhatSomebodyElseHasPutInItsPlaceIsThereAfterTheEnd) {
    const std::string place = socket_path("replaced");
    run([&]() -> Coro<> {
        EXPECT_EQ(::unlink(place.c_str()), 0);
        std::ofstream(place) << "precious";
        co_return;
    }, with_socket(place));
    EXPECT_EQ(content_of(place), "precious");
    ::unlink(place.c_str());
}

TEST(MetricsSocket, APlaceThatCannotBeIsTold) {
    Errors errors;
    { Runtime runtime(with_socket("/nonexistent/knit")); }
    EXPECT_NE(errors.text().find("No such file or directory"), std::string::npos) << errors.text();
    EXPECT_THROW(Runtime(with_socket("/" + std::string(120, 'x'))), ValueError);
    EXPECT_THROW(Runtime(with_socket("@")), ValueError);
}

}  // namespace
}  // namespace knit::test
