#include "metrics_server.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <filesystem>
#include <system_error>

#include "knit/log.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

constexpr int kBacklog = 64;
constexpr std::chrono::milliseconds kAcceptPause{200};
constexpr std::size_t kDrainMax = 65536;
constexpr std::string_view kHelp =
    "send a line `metrics` or `json`, or an HTTP GET of /metrics or /json\n";

struct Address {
    sockaddr_un name{};
    socklen_t size = 0;
};

/// "@name": the abstract name, whose first byte is 0 and which ends with the size.
Address address_of(std::string_view place) noexcept {
    Address address;
    address.name.sun_family = AF_UNIX;
    const std::size_t count = std::min(place.size(), sizeof address.name.sun_path - 1);
    std::memcpy(address.name.sun_path, place.data(), count);
    const bool is_abstract = place.starts_with('@');
    if (is_abstract) {
        address.name.sun_path[0] = '\0';
    }
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + count + (is_abstract ? 0 : 1));
    return address;
}

int bind_to(int number, std::string_view place) noexcept {
    const Address address = address_of(place);
    return ::bind(number, reinterpret_cast<const sockaddr*>(&address.name), address.size) == 0 ? 0 : errno;
}

/// Whether nobody listens there: the process that made it has gone.
bool is_stale(std::string_view place) noexcept {
    const int number = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (number < 0) {
        return false;
    }
    const Address address = address_of(place);
    const bool is_refused =
        ::connect(number, reinterpret_cast<const sockaddr*>(&address.name), address.size) != 0 && errno == ECONNREFUSED;
    ::close(number);
    return is_refused;
}

bool is_trusted(int number) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(number, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

std::string http(std::string_view status, std::string_view type, std::string_view body) {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\nContent-Type: ").append(type).append("\r\nContent-Length: ");
    text.append(std::to_string(body.size())).append("\r\nConnection: close\r\n\r\n").append(body);
    return text;
}

std::string_view first_line(std::string_view text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    return line.substr(0, line.find_last_not_of("\r \t") + 1);
}

/// For poll(): -1 for ever.
int milliseconds_to(TimePoint deadline, TimePoint now) noexcept {
    const Duration left = std::max<Duration>(deadline - now, Duration::zero());
    return deadline == kNever ? -1 : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

bool is_http(std::string_view line) { return line.find(" HTTP/1.") != std::string_view::npos; }

/// Whether `question` is all there.
bool is_whole(std::string_view question) {
    if (question.find('\n') == std::string_view::npos) {
        return false;
    }
    return !is_http(first_line(question)) || question.find("\r\n\r\n") != std::string_view::npos ||
           question.find("\n\n") != std::string_view::npos;
}

}  // namespace

void MetricsServer::start() {
    const std::string& place = runtime_.settings().metrics;
    if (place.empty() || !open(place)) {
        return;
    }
    try {
        clients_.reserve(kClientsMax);
        polled_.reserve(kClientsMax + 2);
        thread_ = std::thread([this] { run(); });
    } catch (const std::exception& error) {
        complain(std::string("no thread or memory for it: ") + error.what());
        close_socket();
    }
}

void MetricsServer::stop() noexcept {
    if (thread_.joinable()) {
        is_stopping_.store(true, std::memory_order_release);  // [metrics.stop]
        const std::uint64_t one = 1;
        static_cast<void>(!::write(bell_, &one, sizeof one));  // cannot fail: the first and only one
        thread_.join();
    }
    close_socket();
}

void MetricsServer::complain(const std::string& what) const {
    const std::string& place = runtime_.settings().metrics;
    log(LogLevel::error, "the metrics of this runtime are not told on the socket " + place + ": " + what);
}

bool MetricsServer::open(const std::string& place) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener_ < 0 || bell_ < 0) {
        complain(std::strerror(errno));
        close_socket();
        return false;
    }
    const int error = place.starts_with('@') ? bind_to(listener_, place) : 0;
    if (error != 0) {
        complain(error == EADDRINUSE ? "another runtime listens there" : std::strerror(error));
    }
    if (error != 0 || (!place.starts_with('@') && !bind_path(place))) {
        close_socket();
        return false;
    }
    if (::listen(listener_, kBacklog) != 0) {
        complain(std::strerror(errno));
        close_socket();
        return false;
    }
    return true;
}

bool MetricsServer::bind_path(const std::string& path) {
    // Before bind(), which makes the file with these bits: it is never open to others.
    static_cast<void>(::fchmod(listener_, S_IRUSR | S_IWUSR));
    int error = bind_to(listener_, path);
    if (error == EADDRINUSE) {
        struct stat found {};
        if (::lstat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
            complain("there is a file of that name that is no socket");
            return false;
        }
        if (!is_stale(path)) {
            complain("another runtime listens there");
            return false;
        }
        ::unlink(path.c_str());
        error = bind_to(listener_, path);
    }
    struct stat made {};
    if (error != 0 || ::lstat(path.c_str(), &made) != 0) {
        complain(std::strerror(error != 0 ? error : errno));
        return false;
    }
    device_ = made.st_dev;
    file_ = made.st_ino;
    std::error_code ignored;
    path_ = std::filesystem::absolute(path, ignored).string();  // the program may change its directory
    return true;
}

void MetricsServer::close_socket() noexcept {
    struct stat found {};
    if (!path_.empty() && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == file_) {
        ::unlink(path_.c_str());
    }
    path_.clear();
    for (int* const number : {&listener_, &bell_}) {
        if (*number >= 0) {
            ::close(*number);
            *number = -1;
        }
    }
}

void MetricsServer::run() {
    name_thread("knit-metrics");
    while (!is_stopping_.load(std::memory_order_acquire)) {  // [metrics.stop]
        TimePoint now = std::chrono::steady_clock::now();
        const bool may_accept = clients_.size() < kClientsMax && now >= accept_again_;
        polled_.assign({{bell_, POLLIN, 0}, {may_accept ? listener_ : -1, POLLIN, 0}});
        TimePoint deadline = accept_again_ > now ? accept_again_ : kNever;
        for (const Client& client : clients_) {
            polled_.push_back({client.number, static_cast<short>(client.answer.empty() ? POLLIN : POLLOUT), 0});
            deadline = std::min(deadline, client.deadline);
        }
        static_cast<void>(::poll(polled_.data(), polled_.size(), milliseconds_to(deadline, now)));
        now = std::chrono::steady_clock::now();
        for (std::size_t index = 0; index < clients_.size(); ++index) {
            Client& client = clients_[index];
            const bool goes_on = (polled_[index + 2].revents == 0 || serve(client)) && now < client.deadline;
            if (!goes_on) {
                close_client(client);
            }
        }
        std::erase_if(clients_, [](const Client& client) { return client.number < 0; });
        if (polled_[1].revents != 0) {
            accept_clients(now);
        }
    }
    for (Client& client : clients_) {
        close_client(client);
    }
    clients_.clear();
}

void MetricsServer::accept_clients(TimePoint now) {
    while (clients_.size() < kClientsMax) {
        const int number = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (number < 0) {
            switch (errno) {
                case EINTR:
                case ECONNABORTED: continue;
                case EAGAIN: return;
                default: accept_again_ = now + kAcceptPause; return;  // out of descriptors or memory: no spin
            }
        }
        if (!is_trusted(number)) {
            ::close(number);
            continue;
        }
        Client& client = clients_.emplace_back();
        client.number = number;
        client.deadline = now + patience_;
    }
}

/// False when it is done with.
bool MetricsServer::serve(Client& client) {
    try {
        return client.answer.empty() ? read_question(client) : send_answer(client);
    } catch (const std::exception& error) {  // no memory for the text
        log(LogLevel::warning, std::string("a client that asked for metrics is turned away: ") + error.what());
        return false;
    }
}

bool MetricsServer::read_question(Client& client) {
    std::array<char, 1024> bytes;
    while (!client.has_ended && client.question.size() < kQuestionMax) {
        const ssize_t count = ::recv(client.number, bytes.data(), bytes.size(), 0);
        if (count > 0) {
            client.question.append(bytes.data(), static_cast<std::size_t>(count));
        } else if (count == 0) {
            client.has_ended = true;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            return false;
        }
    }
    if (!is_whole(client.question) && !client.has_ended && client.question.size() < kQuestionMax) {
        return true;
    }
    if (client.question.empty()) {
        return false;
    }
    client.answer = answer_to(client);
    return send_answer(client);
}

bool MetricsServer::send_answer(Client& client) {
    while (client.sent < client.answer.size()) {
        const ssize_t count = ::send(client.number, client.answer.data() + client.sent,
                                     client.answer.size() - client.sent, MSG_NOSIGNAL);
        if (count >= 0) {
            client.sent += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return false;
}

std::string MetricsServer::answer_to(const Client& client) {
    const std::string_view line = first_line(client.question);
    if (is_http(line)) {
        return answer_http(line);
    }
    if (line == "metrics") {
        return to_prometheus(runtime_.metrics());
    }
    return line == "json" ? to_json(runtime_.metrics()) + "\n" : std::string(kHelp);
}

std::string MetricsServer::answer_http(std::string_view line) {
    if (!line.starts_with("GET ")) {
        return http("405 Method Not Allowed", "text/plain", kHelp);
    }
    std::string_view path = line.substr(4);
    path = path.substr(0, path.find_first_of(" ?"));
    if (path == "/metrics" || path == "/") {
        return http("200 OK", "text/plain; version=0.0.4; charset=utf-8", to_prometheus(runtime_.metrics()));
    }
    if (path == "/json") {
        return http("200 OK", "application/json", to_json(runtime_.metrics()) + "\n");
    }
    return http("404 Not Found", "text/plain", kHelp);
}

void MetricsServer::close_client(Client& client) noexcept {
    // What is left unread would turn the end of the answer into a reset.
    std::array<char, 1024> bytes;
    for (std::size_t taken = 0; taken < kDrainMax; taken += bytes.size()) {
        if (::recv(client.number, bytes.data(), bytes.size(), 0) <= 0) {
            break;
        }
    }
    ::close(client.number);
    client.number = -1;
}

}  // namespace knit::detail
