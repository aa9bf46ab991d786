/// From a stream to its ServerConnection.
#pragma once

#include <memory>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server_options.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/server.hpp"

namespace knit::http::detail {

std::shared_ptr<ServerCore> make_server_core(const Router& router, const ServerOptions& options);
io::ServeOptions serve_options(const ServerOptions& options);

template <io::ByteStream S>
Coro<> serve_stream(S stream, std::shared_ptr<ServerCore> core) {
    ServerConnection<S> connection(std::move(stream), std::move(core));
    Coro<> running = connection.run();
    co_await std::move(running);
}

}  // namespace knit::http::detail
