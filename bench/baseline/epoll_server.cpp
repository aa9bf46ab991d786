// Echo and HTTP server written by hand on edge-triggered epoll: a loop for each thread, a buffer for each connection.
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "support/hello.hpp"
#include "support/listen.hpp"

namespace {

constexpr int kEventsMax = 256;

struct Connection {
    explicit Connection(int accepted) : descriptor(accepted) {}

    int descriptor;
    unsigned start = 0;
    unsigned end = 0;
    const char* answer = buffer;
    std::unique_ptr<bench::Hello> hello;  // none: what comes goes back
    char buffer[bench::kBufferSize];
};

struct alignas(64) Server {
    int epoll;
    int listener;
    int stop_signal;
    bool is_http;
    std::uint64_t requests;
};

void watch(Server& server, int descriptor, std::uint32_t events, void* data) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = data;
    if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        bench::die("error: epoll_ctl");
    }
}

/// Sends what is in the buffer. False: the connection is broken. What the socket does not take stays for EPOLLOUT.
bool flush(Server& server, Connection& connection) {
    while (connection.start < connection.end) {
        const ssize_t sent = send(connection.descriptor, connection.answer + connection.start,
                                  connection.end - connection.start, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN;
        }
        connection.start += static_cast<unsigned>(sent);
        if (connection.start == connection.end && !connection.hello) {
            ++server.requests;
        }
    }
    return true;
}

/// What was received becomes what is to be sent.
void answer(Server& server, Connection& connection, unsigned received) {
    connection.start = 0;
    connection.end = received;
    if (connection.hello) {
        const std::uint64_t before = connection.hello->answered();
        const std::string_view answers = connection.hello->answers_to({connection.buffer, received});
        connection.answer = answers.data();
        connection.end = static_cast<unsigned>(answers.size());
        server.requests += connection.hello->answered() - before;
    }
}

/// Echoes until the socket has nothing more, or takes nothing more. False: the connection has ended.
bool serve(Server& server, Connection& connection, std::uint32_t events) {
    for (;;) {
        if (!flush(server, connection)) {
            return false;
        }
        if (connection.start < connection.end) {
            return true;
        }
        const ssize_t received = recv(connection.descriptor, connection.buffer, sizeof connection.buffer, 0);
        if (received <= 0) {
            return received < 0 && errno == EAGAIN;
        }
        answer(server, connection, static_cast<unsigned>(received));
        // A short read has emptied the socket: the next bytes come with an edge of their own. Only an end that has
        // been reported already gives no further edge.
        const bool is_short = static_cast<std::size_t>(received) < sizeof connection.buffer;
        if (is_short && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) {
            return flush(server, connection);
        }
    }
}

void accept_all(Server& server) {
    for (;;) {
        const int descriptor = accept4(server.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            if (errno == EAGAIN) {
                return;
            }
            bench::die("error: accept4");
        }
        auto* const connection = new Connection(descriptor);
        if (server.is_http) {
            connection->hello = std::make_unique<bench::Hello>();
        }
        watch(server, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
    }
}

/// False once the signal to stop has come.
bool handle(Server& server, const epoll_event& event) {
    if (event.data.ptr == &server.stop_signal) {
        return false;
    }
    if (event.data.ptr == &server.listener) {
        accept_all(server);
        return true;
    }
    auto* const connection = static_cast<Connection*>(event.data.ptr);
    if (!serve(server, *connection, event.events)) {
        close(connection->descriptor);
        delete connection;
    }
    return true;
}

void run(Server& server) {
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(server, server.stop_signal, EPOLLIN, &server.stop_signal);
    watch(server, server.listener, EPOLLIN | EPOLLET, &server.listener);
    epoll_event events[kEventsMax];
    bool is_running = true;
    while (is_running) {
        const int count = epoll_wait(server.epoll, events, kEventsMax, -1);
        if (count < 0 && errno != EINTR) {
            bench::die("error: epoll_wait");
        }
        for (int i = 0; i < count; ++i) {
            is_running = handle(server, events[i]) && is_running;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const bench::ServerOptions options = bench::server_options(argc, argv, "epoll_server", "echo|http");
    const int stop_signal = bench::open_stop_signal();
    std::vector<Server> servers(options.loops);
    std::uint16_t port = options.port;
    for (Server& server : servers) {
        server.listener = bench::listen_on(port, options.loops > 1);
        server.stop_signal = stop_signal;
        server.is_http = options.is_http;
        port = &server == servers.data() ? bench::announce(server.listener) : port;
    }
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < servers.size(); ++i) {
        threads.emplace_back([&server = servers[i]] { run(server); });
    }
    run(servers[0]);
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::uint64_t requests = 0;
    for (const Server& server : servers) {
        requests += server.requests;
    }
    bench::print_server_usage(requests);
}
