/// From a stream to its ServerConnection.
#pragma once

#include <memory>
#include <utility>

#include "knit/coro.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server_options.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/server.hpp"
#include "knit/sleep.hpp"

namespace knit::http::detail {

std::shared_ptr<ServerCore> make_server_core(const Router& router, const ServerOptions& options);
io::ServeOptions serve_options(const ServerOptions& options);

template <io::ByteStream S>
Coro<> serve_stream(S stream, std::shared_ptr<ServerCore> core) {
    ServerConnection<S> connection(std::move(stream), std::move(core));
    try {
        connection.begin();
        bool is_idle = !connection.has_chosen_http2();
        if (!is_idle) {
            Coro<> speaking = connection.speak_http2({});
            co_await std::move(speaking);
        }
        while (is_idle && !connection.is_at_end()) {
            connection.begin_wait();
            const bool has_come = connection.take(co_await connection.receive_more());
            connection.end_wait();
            if (!has_come) {
                break;
            }
            Coro<bool> serving = connection.serve_requests();
            is_idle = co_await std::move(serving);
        }
    } catch (...) {
        connection.keep_error();
    }
    Coro<> ending;
    while (!ending.valid()) {
        try {
            ending = connection.begin_end();
            if (!ending.valid()) {
                co_await yield();
            }
        } catch (const CancelledError&) {
            connection.keep_error();
        }
    }
    co_await std::move(ending);
}

}  // namespace knit::http::detail
