/// What the hand-written servers share: a listening socket, a descriptor for signals, the options.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "support/args.hpp"
#include "support/measure.hpp"

namespace bench {

inline constexpr std::size_t kBufferSize = 2048;

[[noreturn]] inline void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

/// Reads the options, pins the process when asked, and listens on 127.0.0.1. Prints "listening PORT".
inline int listen_from_args(int argc, char** argv, const char* usage) {
    Args args(argc, argv, usage);
    const auto port = static_cast<std::uint16_t>(args.number("--port", 0, 0, 65535));
    const std::uint64_t cpu = args.number("--cpu", CPU_SETSIZE, 0, CPU_SETSIZE - 1);
    args.finish();
    if (cpu != CPU_SETSIZE) {
        pin_to_cpu(static_cast<unsigned>(cpu));
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        die("error: listen");
    }
    std::printf("listening %u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
    return listener;
}

/// A descriptor that becomes readable at SIGTERM or SIGINT, so that no signal has to interrupt the loop.
inline int open_stop_signal() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    const int descriptor = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        die("error: signalfd");
    }
    return descriptor;
}

inline void set_nodelay(int descriptor) {
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace bench
