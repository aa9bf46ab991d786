// Echo server written by hand on liburing: one thread, one ring, single-shot recv and send, a buffer for each
// connection. It is the yardstick for what knit adds to a request, so it has no layers that a runtime would have.
#include <liburing.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "baseline/listen.hpp"

namespace {

constexpr unsigned kRingEntries = 4096;
constexpr char kUsage[] = "usage: echo_uring [--port N] [--cpu N]";

// What a completion is for stands in the low bits of its user data, above it the connection.
enum Kind : std::uint64_t { kAccept = 0, kReceive = 1, kSend = 2, kStop = 3, kKindMask = 3 };

struct alignas(64) Connection {
    int descriptor;
    unsigned start;
    unsigned end;
    char buffer[bench::kBufferSize];
};

struct Server {
    io_uring ring;
    int listener;
    int stop_signal;
    signalfd_siginfo stop_info;
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
    io_uring_prep_send(sqe, connection.descriptor, connection.buffer + connection.start,
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
        bench::set_nodelay(cqe.res);
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
    ++server.requests;
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

}  // namespace

int main(int argc, char** argv) {
    Server server{};
    server.stop_signal = bench::open_stop_signal();
    server.listener = bench::listen_from_args(argc, argv, kUsage);
    open_ring(server.ring);
    queue_accept(server);
    io_uring_sqe* const sqe = next_sqe(server);
    io_uring_prep_read(sqe, server.stop_signal, &server.stop_info, sizeof server.stop_info, 0);
    io_uring_sqe_set_data64(sqe, kStop);
    do {
        const int result = io_uring_submit_and_wait(&server.ring, 1);
        if (result != -EINTR) {
            check(result, "error: io_uring_submit_and_wait");
        }
    } while (complete_all(server));
    bench::print_server_usage(server.requests);
}
