/// What the servers that are written without knit share: options, listening sockets, a descriptor for signals.
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
#include <string>

#include "support/args.hpp"
#include "support/measure.hpp"

namespace bench {

inline constexpr std::size_t kBufferSize = 2048;

[[noreturn]] inline void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

struct ServerOptions {
    std::uint16_t port = 0;
    unsigned loops = 1;
    bool is_http = false;
    std::string form;  // which of several ways to do it; empty where there is one
};

/// The options of a server that speaks echo alone, http alone (`modes` names it), or either ("echo|http"); the first of
/// `forms`, such as "pool|place", is the one unless said otherwise.
inline ServerOptions server_options(int argc, char** argv, const char* name, const std::string& modes,
                                    const std::string& forms = {}) {
    Args args(argc, argv,
              "usage: " + std::string(name) + " [--port N (default 0: any)] [--loops N (threads, default 1)]" +
                  (modes == "echo|http" ? " [--mode echo|http]" : "") +
                  (forms.empty() ? "" : " [--form " + forms + "]"));
    ServerOptions options;
    options.port = static_cast<std::uint16_t>(args.number("--port", 0, 0, 65535));
    options.loops = static_cast<unsigned>(args.number("--loops", 1, 1, 1024));
    const std::string mode = modes == "echo|http" ? args.text("--mode", "echo") : modes;
    options.form = forms.empty() ? "" : args.text("--form", forms.substr(0, forms.find('|')));
    args.finish();
    if (!forms.empty() && ("|" + forms + "|").find("|" + options.form + "|") == std::string::npos) {
        args.fail("--form=" + options.form + ": expected " + forms);
    }
    if (mode != "echo" && mode != "http") {
        args.fail("--mode=" + mode + ": expected echo or http");
    }
    options.is_http = mode == "http";
    return options;
}

/// A non-blocking socket that listens on 127.0.0.1. Several threads share a port by a socket each. TCP_NODELAY is set
/// here: connections inherit it, so that accepting one takes no further system call.
inline int listen_on(std::uint16_t port, bool is_shared) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        (is_shared && setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 4096) != 0) {
        die("error: listen");
    }
    return listener;
}

/// The port that a listener got; prints "listening PORT", which tells whoever started the server that it is ready.
inline std::uint16_t announce(int listener) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        die("error: getsockname");
    }
    std::printf("listening %u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
    return ntohs(address.sin_port);
}

/// A descriptor that becomes readable, and stays so, at SIGTERM or SIGINT: no signal has to interrupt a loop. To be
/// called before there are other threads, which inherit the mask.
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

}  // namespace bench
