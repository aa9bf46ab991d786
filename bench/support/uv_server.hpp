/// uv_server_main: what the servers on libuv share. A loop and a listening socket for each thread; one read buffer for
/// each loop, since libuv hands the bytes on before it reads again.
#pragma once

#include <uv.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/hello.hpp"
#include "support/listen.hpp"

namespace bench {

struct alignas(64) UvLoop {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t stop;
    bool is_http = false;
    std::uint64_t requests = 0;
    char buffer[65536];
};

struct UvConnection {
    uv_tcp_t stream;
    UvLoop* owner;
    Hello hello;
};

struct UvWrite {
    uv_write_t request;
    std::string bytes;
};

inline void uv_check(int result, const char* what) {
    if (result < 0) {
        std::fprintf(stderr, "error: %s: %s\n", what, uv_strerror(result));
        std::exit(1);
    }
}

inline void uv_end(UvConnection* connection) {
    uv_close(reinterpret_cast<uv_handle_t*>(&connection->stream),
             [](uv_handle_t* handle) { delete reinterpret_cast<UvConnection*>(handle); });
}

/// Sends at once what the socket takes, as libuv's own documentation advises; the rest is copied and sent later.
inline void uv_answer(UvConnection* connection, std::string_view bytes) {
    auto* const stream = reinterpret_cast<uv_stream_t*>(&connection->stream);
    uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    const int sent = uv_try_write(stream, &buffer, 1);
    if (sent == static_cast<int>(bytes.size())) {
        return;
    }
    auto* const write = new UvWrite{{}, std::string(bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent)))};
    write->request.data = write;
    buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
    uv_check(uv_write(&write->request, stream, &buffer, 1,
                      [](uv_write_t* request, int) { delete static_cast<UvWrite*>(request->data); }),
             "uv_write");
}

inline void uv_received(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    auto* const connection = reinterpret_cast<UvConnection*>(stream);
    if (count < 0) {
        uv_end(connection);
        return;
    }
    const std::string_view bytes(buffer->base, static_cast<std::size_t>(count));
    if (!connection->owner->is_http) {
        uv_answer(connection, bytes);
        ++connection->owner->requests;
        return;
    }
    const std::uint64_t before = connection->hello.answered();
    if (const std::string_view answers = connection->hello.answers_to(bytes); !answers.empty()) {
        uv_answer(connection, answers);
    }
    connection->owner->requests += connection->hello.answered() - before;
}

inline void uv_accepted(uv_stream_t* listener, int status) {
    uv_check(status, "listen");
    auto* const owner = static_cast<UvLoop*>(listener->data);
    auto* const connection = new UvConnection{{}, owner, {}};
    uv_tcp_init(&owner->loop, &connection->stream);
    uv_check(uv_accept(listener, reinterpret_cast<uv_stream_t*>(&connection->stream)), "uv_accept");
    const auto allocate = [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        UvLoop* const loop = reinterpret_cast<UvConnection*>(handle)->owner;
        *buffer = uv_buf_init(loop->buffer, sizeof loop->buffer);
    };
    uv_check(uv_read_start(reinterpret_cast<uv_stream_t*>(&connection->stream), allocate, uv_received),
             "uv_read_start");
}

inline int uv_server_main(int argc, char** argv, const char* name, const char* mode) {
    const ServerOptions options = server_options(argc, argv, name, mode);
    std::vector<std::unique_ptr<UvLoop>> loops;
    std::uint16_t port = options.port;
    for (unsigned i = 0; i < options.loops; ++i) {
        UvLoop& one = *loops.emplace_back(std::make_unique<UvLoop>());
        one.is_http = options.is_http;
        const int listener = listen_on(port, options.loops > 1);
        uv_check(uv_loop_init(&one.loop), "uv_loop_init");
        uv_check(uv_tcp_init(&one.loop, &one.listener), "uv_tcp_init");
        uv_check(uv_tcp_open(&one.listener, listener), "uv_tcp_open");
        one.listener.data = &one;
        uv_check(uv_listen(reinterpret_cast<uv_stream_t*>(&one.listener), 4096, uv_accepted), "uv_listen");
        uv_check(uv_async_init(&one.loop, &one.stop, [](uv_async_t* async) { uv_stop(async->loop); }), "uv_async_init");
        port = i == 0 ? announce(listener) : port;
    }
    uv_signal_t signal;
    uv_signal_init(&loops[0]->loop, &signal);
    signal.data = &loops;
    uv_signal_start(
        &signal,
        [](uv_signal_t* handle, int) {
            for (const auto& one : *static_cast<std::vector<std::unique_ptr<UvLoop>>*>(handle->data)) {
                uv_async_send(&one->stop);
            }
        },
        SIGTERM);
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < loops.size(); ++i) {
        threads.emplace_back([&one = *loops[i]] { uv_run(&one.loop, UV_RUN_DEFAULT); });
    }
    uv_run(&loops[0]->loop, UV_RUN_DEFAULT);
    std::uint64_t requests = 0;
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const auto& one : loops) {
        requests += one->requests;
    }
    print_server_usage(requests);
    return 0;
}

}  // namespace bench
