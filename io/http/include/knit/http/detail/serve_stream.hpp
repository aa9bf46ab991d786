/// From a connection that was accepted to its ServerConnection.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server_options.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/server.hpp"
#include "knit/io/tcp.hpp"

namespace knit::http::detail {

std::shared_ptr<ServerCore> make_server_core(const Router& router, const ServerOptions& options);
io::ServeOptions serve_options(const ServerOptions& options);
bool is_closing(const ServerCore& core) noexcept;
/// A peer that does not get as far as HTTP is no fault of ours: for LogLevel::debug.
void log_wrap_error(const std::exception& error);

template <io::ByteStream S>
Coro<> serve_stream(S stream, std::shared_ptr<ServerCore> core) {
    ServerConnection<S> connection(std::move(stream), std::move(core));
    Coro<> running = connection.run();
    co_await std::move(running);
}

template <class Wrap>
Coro<> serve_wrapped(io::TcpStream stream, Wrap wrap, std::shared_ptr<ServerCore> core) {
    if (is_closing(*core)) {
        co_return;
    }
    using Wrapped = await_result_t<std::invoke_result_t<Wrap&, io::TcpStream>>;
    std::optional<Wrapped> wrapped;
    try {
        auto wrapping = wrap(std::move(stream));
        wrapped.emplace(co_await std::move(wrapping));
    } catch (const std::system_error& error) {
        knit::http::detail::log_wrap_error(error);
    } catch (const TimeoutError& error) {
        knit::http::detail::log_wrap_error(error);
    }
    if (wrapped) {
        Coro<> serving = serve_stream(std::move(*wrapped), std::move(core));
        co_await std::move(serving);
    }
}

}  // namespace knit::http::detail
