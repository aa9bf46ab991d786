/// What the tests of hard days share: clients that are plain sockets, and what the process uses.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "io_test.hpp"
#include "knit/io/detail/fd.hpp"

namespace knit::test {

/// A connection of a client that is no part of knit; blocks.
inline detail::Fd plain_client(std::uint16_t port) {
    detail::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        return {};
    }
    return fd;
}

/// Closing it will send a reset.
inline void reset_on_close(const detail::Fd& fd) {
    const linger now{1, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/// How many connections a test of many makes: HARD_CONNECTIONS, or few enough for every day; not more than the
/// descriptors allow, of which each takes two.
inline std::size_t many_connections() {
    const char* const text = std::getenv("HARD_CONNECTIONS");
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    const std::size_t wanted = text != nullptr ? std::strtoul(text, nullptr, 10) : 1000;
    return std::min<std::size_t>(wanted, (limit.rlim_cur - 100) / 2);
}

/// Memory of this process that is there, in bytes. From the page tables: the sums in statm may be off by 32 pages for
/// each CPU.
inline std::size_t resident_bytes() {
    std::FILE* const file = std::fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    std::size_t kib = 0;
    while (kib == 0 && file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
        std::sscanf(line, "Rss: %zu", &kib);
    }
    EXPECT_NE(0U, kib);
    if (file != nullptr) {
        std::fclose(file);
    }
    return kib * 1024;
}

/// Whether figures of memory mean something here.
inline constexpr bool kIsSanitized = KNIT_ASAN != 0 || KNIT_TSAN != 0;

}  // namespace knit::test
