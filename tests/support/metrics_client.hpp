/// A client of the socket that tells the metrics: a blocking one, so it may be used inside a task.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace knit::test {

inline std::string socket_path(const char* name) {
    return "/tmp/knit-metrics-test-" + std::to_string(getpid()) + "-" + name;
}

/// At most kAnswerMs for an answer.
class MetricsClient {
public:
    static constexpr int kAnswerMs = 20'000;

    explicit MetricsClient(const std::string& place) : number_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, place.data(), place.size());
        const bool is_abstract = place.starts_with('@');
        name.sun_path[0] = is_abstract ? '\0' : place[0];
        const std::size_t size = offsetof(sockaddr_un, sun_path) + place.size() + (is_abstract ? 0 : 1);
        is_connected_ = ::connect(number_, reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(size)) == 0;
    }
    ~MetricsClient() { ::close(number_); }
    MetricsClient(const MetricsClient&) = delete;
    MetricsClient& operator=(const MetricsClient&) = delete;

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
            if (!wait_for(POLLIN)) {
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
    /// Waits for the server to close, and reads nothing. False when it does not.
    bool is_hung_up_on() const { return wait_for(0); }
    /// How much the kernel takes from one that sends to a socket, and nobody reads.
    int buffer_size() const {
        int bytes = 0;
        socklen_t size = sizeof bytes;
        EXPECT_EQ(::getsockopt(number_, SOL_SOCKET, SO_SNDBUF, &bytes, &size), 0);
        return bytes;
    }

private:
    bool wait_for(short event) const {
        pollfd waiting{number_, event, 0};
        int ready = -1;
        do {
            ready = ::poll(&waiting, 1, kAnswerMs);
        } while (ready < 0 && errno == EINTR);  // the watchdog's signal, which asks this blocked thread for its stack
        return ready == 1;
    }

    int number_;
    bool is_connected_ = false;
};

inline std::string ask(const std::string& place, std::string_view question) {
    const MetricsClient client(place);
    if (!client.is_connected()) {
        return "[not connected]";
    }
    client.send(question);
    return client.read_all();
}

}  // namespace knit::test
