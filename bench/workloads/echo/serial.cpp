// echo in one thread with blocking calls, which never have to wait: the kernel's share alone, without any waking.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "workloads/echo/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::echo;

struct Pair {
    int client;
    int server;
};

void check(bool is_good, const char* what) {
    if (!is_good) {
        std::perror(what);
        std::exit(1);
    }
}

Pair connect_pair(int listener, const sockaddr_in& address) {
    const int on = 1;
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(client >= 0, "error: socket");
    check(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "error: connect");
    const int server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    check(server >= 0, "error: accept4");
    check(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "error: TCP_NODELAY");
    check(setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "error: TCP_NODELAY");
    return {client, server};
}

void carry(int source, int target, std::vector<unsigned char>& buffer, const std::vector<unsigned char>& message) {
    check(send(source, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size()),
          "error: send");
    check(recv(target, buffer.data(), buffer.size(), MSG_WAITALL) == static_cast<ssize_t>(buffer.size()),
          "error: recv");
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: echo_serial [--connections N] [--messages N (on each)] [--size BYTES]");
    const std::uint64_t connections = args.number("--connections", problem::kConnections, 1, 400);
    const std::uint64_t messages = args.number("--messages", problem::kMessages, 1);
    // Both ends are one thread, so a message has to fit into the sockets' buffers.
    const auto size = static_cast<std::size_t>(args.number("--size", problem::kSize, 1, problem::kSizeMost));
    args.finish();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(listener >= 0 && bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0, "error: bind");
    check(listen(listener, 1024) == 0, "error: listen");
    check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0, "error: getsockname");
    std::vector<Pair> pairs;
    for (std::uint64_t i = 0; i < connections; ++i) {
        pairs.push_back(connect_pair(listener, address));
    }
    std::vector<unsigned char> message(size);
    std::vector<unsigned char> at_server(size);
    std::vector<unsigned char> echoed(size);
    std::int64_t right = 0;
    const bench::Stopwatch watch;
    for (std::uint64_t number = 0; number < messages; ++number) {
        for (std::size_t i = 0; i < size; ++i) {
            message[i] = problem::byte_at(number, i);
        }
        for (const Pair& pair : pairs) {
            carry(pair.client, pair.server, at_server, message);
            carry(pair.server, pair.client, echoed, at_server);
            right += echoed == message ? 1 : 0;
        }
    }
    const std::uint64_t all = connections * messages;
    return bench::print_report({"echo", 0, all, right, static_cast<std::int64_t>(all), watch.seconds()});
}
