// The socket that tells the metrics. The clients are blocking ones that run inside a task: while they wait for their
// answer, the loop is blocked.

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "io_test.hpp"
#include "knit/log.hpp"

namespace knit::test {
namespace {

constexpr int kAnswerMs = 20'000;

std::string socket_path(const char* name) {
    return "/tmp/knit-metrics-test-" + std::to_string(getpid()) + "-" + name;
}

/// A blocking client; at most kAnswerMs for an answer.
class Client {
public:
    explicit Client(const std::string& place) : number_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, place.data(), place.size());
        const bool is_abstract = place.starts_with('@');
        name.sun_path[0] = is_abstract ? '\0' : place[0];
        const std::size_t size = offsetof(sockaddr_un, sun_path) + place.size() + (is_abstract ? 0 : 1);
        is_connected_ = ::connect(number_, reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(size)) == 0;
    }
    ~Client() { ::close(number_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    bool is_connected() const noexcept { return is_connected_; }
    void send(std::string_view text) const {
        EXPECT_EQ(::send(number_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    void end() const { ::shutdown(number_, SHUT_WR); }
    /// Until the server closes.
    std::string read_all() const {
        std::string text;
        char bytes[4096];
        for (;;) {
            pollfd waiting{number_, POLLIN, 0};
            const int ready = ::poll(&waiting, 1, kAnswerMs);
            if (ready < 0 && errno == EINTR) {
                continue;  // the watchdog's signal, which asks this blocked thread for its stack
            }
            if (ready != 1) {
                return text + "[no answer]";
            }
            const ssize_t count = ::recv(number_, bytes, sizeof bytes, 0);
            if (count < 0) {
                return text + "[" + std::strerror(errno) + "]";
            }
            if (count == 0) {
                return text;
            }
            text.append(bytes, static_cast<std::size_t>(count));
        }
    }

private:
    int number_;
    bool is_connected_ = false;
};

std::string ask(const std::string& place, std::string_view question) {
    const Client client(place);
    if (!client.is_connected()) {
        return "[not connected]";
    }
    client.send(question);
    return client.read_all();
}

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
        const Client slow(place);
        EXPECT_TRUE(slow.is_connected());
        slow.send("met");
        EXPECT_TRUE(ask(place, "metrics\n").starts_with("# HELP")) << "behind a slow client";
        const Client silent(place);
        EXPECT_TRUE(ask(place, "json\n").starts_with("{")) << "behind a silent one";
        slow.send("rics\n");
        EXPECT_TRUE(slow.read_all().starts_with("# HELP"));
        co_return;
    }, with_socket(place));
}

TEST(MetricsSocket, AHalfClosedClientIsAnswered) {
    const std::string place = socket_path("half");
    run([&]() -> Coro<> {
        const Client client(place);
        client.send("json");
        client.end();
        EXPECT_TRUE(client.read_all().starts_with("{\"time_seconds\""));
        const Client nothing(place);
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

TEST(MetricsSocket, MoreClientsThanItServesAtOnceWaitForTheirTurn) {
    const std::string place = socket_path("many");
    run([&]() -> Coro<> {
        std::vector<std::unique_ptr<Client>> silent;
        for (int i = 0; i < 40; ++i) {
            silent.push_back(std::make_unique<Client>(place));
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
    EXPECT_FALSE(Client(place).is_connected());
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
    std::string content;
    std::ifstream(place) >> content;
    EXPECT_EQ(content, "precious");
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
