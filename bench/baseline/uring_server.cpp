// Echo and HTTP server written by hand on liburing: a ring for each thread, single-shot recv and send, a buffer for
// each connection. It is the yardstick for what knit adds to a request, so it has no layers that a runtime would have.
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "support/hello.hpp"
#include "support/listen.hpp"

namespace {

constexpr unsigned kRingEntries = 4096;

// What a completion is for stands in the low bits of its user data, above it the connection.
enum Kind : std::uint64_t { kAccept = 0, kReceive = 1, kSend = 2, kStop = 3, kKindMask = 3 };

struct alignas(64) Connection {
    int descriptor;
    unsigned start;
    unsigned end;
    const char* answer;
    std::unique_ptr<bench::Hello> hello;  // none: what comes goes back
    char buffer[bench::kBufferSize];
};

struct alignas(64) Server {
    io_uring ring;
    int listener;
    int stop_signal;
    bool is_http;
    std::uint64_t requests;
};

void check(int result, const char* what) {
    if (result < 0) {
        errno = -result;
        bench::die(what);
    }
}

void open_ring(io_uring& ring) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                   IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = 4 * kRingEntries;
    check(io_uring_queue_init_params(kRingEntries, &ring, &params), "error: io_uring_queue_init_params");
    check(io_uring_register_ring_fd(&ring), "error: io_uring_register_ring_fd");
}

io_uring_sqe* next_sqe(Server& server) {
    io_uring_sqe* sqe = io_uring_get_sqe(&server.ring);
    while (sqe == nullptr) {
        check(io_uring_submit(&server.ring), "error: io_uring_submit");
        sqe = io_uring_get_sqe(&server.ring);
    }
    return sqe;
}

void queue_accept(Server& server) {
    io_uring_sqe* const sqe = next_sqe(server);
    io_uring_prep_multishot_accept(sqe, server.listener, nullptr, nullptr, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, kAccept);
}

void queue_receive(Server& server, Connection& connection) {
    io_uring_sqe* const sqe = next_sqe(server);
    io_uring_prep_recv(sqe, connection.descriptor, connection.buffer, sizeof connection.buffer, 0);
    io_uring_sqe_set_data64(sqe, reinterpret_cast<std::uint64_t>(&connection) | kReceive);
}

void queue_send(Server& server, Connection& connection) {
    io_uring_sqe* const sqe = next_sqe(server);
    io_uring_prep_send(sqe, connection.descriptor, connection.answer + connection.start,
                       connection.end - connection.start, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, reinterpret_cast<std::uint64_t>(&connection) | kSend);
}

void close_connection(Connection* connection) {
    close(connection->descriptor);
    delete connection;
}

void on_accept(Server& server, const io_uring_cqe& cqe) {
    if (cqe.res >= 0) {
        auto* const connection = new Connection;
        connection->descriptor = cqe.res;
        if (server.is_http) {
            connection->hello = std::make_unique<bench::Hello>();
        }
        queue_receive(server, *connection);
    } else if (cqe.res != -ECONNABORTED && cqe.res != -EINTR && cqe.res != -EAGAIN) {
        check(cqe.res, "error: accept");
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
        queue_accept(server);
    }
}

void on_receive(Server& server, Connection* connection, int result) {
    if (result <= 0) {
        close_connection(connection);
        return;
    }
    connection->start = 0;
    connection->end = static_cast<unsigned>(result);
    connection->answer = connection->buffer;
    if (connection->hello) {
        const std::uint64_t before = connection->hello->answered();
        const std::string_view answers = connection->hello->answers_to({connection->buffer, connection->end});
        connection->answer = answers.data();
        connection->end = static_cast<unsigned>(answers.size());
        server.requests += connection->hello->answered() - before;
        if (answers.empty()) {
            queue_receive(server, *connection);
            return;
        }
    }
    queue_send(server, *connection);
}

void on_send(Server& server, Connection* connection, int result) {
    if (result <= 0) {
        close_connection(connection);
        return;
    }
    connection->start += static_cast<unsigned>(result);
    if (connection->start < connection->end) {
        queue_send(server, *connection);
        return;
    }
    server.requests += connection->hello ? 0 : 1;
    queue_receive(server, *connection);
}

/// False once the signal to stop has come.
bool complete_all(Server& server) {
    bool is_running = true;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&server.ring, head, cqe) {
        ++count;
        auto* const connection = reinterpret_cast<Connection*>(cqe->user_data & ~std::uint64_t{kKindMask});
        switch (static_cast<Kind>(cqe->user_data & kKindMask)) {
            case kAccept: on_accept(server, *cqe); break;
            case kReceive: on_receive(server, connection, cqe->res); break;
            case kSend: on_send(server, connection, cqe->res); break;
            case kStop: is_running = false; break;
        }
    }
    io_uring_cq_advance(&server.ring, count);
    return is_running;
}

/// The ring belongs to the thread that makes it.
void run(Server& server) {
    open_ring(server.ring);
    queue_accept(server);
    io_uring_sqe* const sqe = next_sqe(server);
    io_uring_prep_poll_add(sqe, server.stop_signal, POLLIN);
    io_uring_sqe_set_data64(sqe, kStop);
    do {
        const int result = io_uring_submit_and_wait(&server.ring, 1);
        if (result != -EINTR) {
            check(result, "error: io_uring_submit_and_wait");
        }
    } while (complete_all(server));
}

}  // namespace

int main(int argc, char** argv) {
    const bench::ServerOptions options = bench::server_options(argc, argv, "uring_server", "echo|http");
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
