/// MetricsServer: tells a runtime's metrics on a Unix socket (KNIT_METRICS), on a thread of its own, so that it answers
/// while every loop is blocked, and so that a slow client holds up nobody.
///
/// A client sends one question, gets the answer, and the connection is closed:
///   a line "metrics"           Prometheus's text
///   a line "json"              one line of JSON
///   an HTTP GET of /metrics    Prometheus's text, of /json the JSON
/// At most kClientsMax are served at a time, the others wait to be accepted; each has kPatience for all of it. Clients
/// of another user than the process's are turned away, except root.
///
///   [metrics.stop]  stop: release  ->  the thread: acquire
#pragma once

#include <poll.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

class RuntimeCore;

class MetricsServer {
public:
    static constexpr std::size_t kClientsMax = 32;
    static constexpr std::size_t kQuestionMax = 8192;
    static constexpr std::chrono::seconds kPatience{5};

    explicit MetricsServer(RuntimeCore& runtime, Duration patience = kPatience)
        : runtime_(runtime), patience_(patience) {}
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;
    ~MetricsServer() { stop(); }

    /// Opens the socket that the settings name, and starts the thread. A runtime works without: what is in the way is
    /// logged as an error.
    void start();
    /// Ends the thread, closes and removes the socket.
    void stop() noexcept;

private:
    struct Client {
        int number = -1;
        bool has_ended = false;  ///< it sends no more
        std::string question;
        std::string answer;
        std::size_t sent = 0;
        TimePoint deadline{};
    };

    bool open(const std::string& place);
    bool bind_path(const std::string& path);
    void run();
    void accept_clients(TimePoint now);
    bool serve(Client& client);
    bool read_question(Client& client);
    bool send_answer(Client& client);
    std::string answer_to(const Client& client);
    std::string answer_http(std::string_view question);
    void close_client(Client& client) noexcept;
    void close_socket() noexcept;
    void complain(const std::string& what) const;

    RuntimeCore& runtime_;
    const Duration patience_;  ///< with each client
    std::string path_;  ///< absolute; empty: abstract, or not bound
    std::uint64_t device_ = 0;  ///< of the socket's file, and its number there: another's is not removed
    std::uint64_t file_ = 0;
    int listener_ = -1;
    int bell_ = -1;
    std::vector<Client> clients_;  ///< the thread's
    std::vector<pollfd> polled_;   ///< likewise: the bell, the listener, the clients
    TimePoint accept_again_{};     ///< out of descriptors: not before
    std::thread thread_;
    Atomic<bool> is_stopping_{false};  ///< stop() sets it, the thread reads it [metrics.stop]
};

}  // namespace knit::detail
