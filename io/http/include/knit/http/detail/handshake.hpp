/// Handshake: a connection that is being wrapped, in TLS for example, before it speaks HTTP.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/detail/serve_stream.hpp"
#include "knit/http/detail/watch.hpp"
#include "knit/io/tcp.hpp"
#include "knit/loop.hpp"

namespace knit::http::detail {

/// From its construction on it ends after handshake_timeout, or when the server closes. All on one loop.
class Handshake {
public:
    explicit Handshake(ServerCore& core);
    Handshake(const Handshake&) = delete;
    Handshake& operator=(const Handshake&) = delete;
    ~Handshake();

    /// It is over, by `error` if there is one: rethrows that, unless it is a peer's or this object's.
    void end(const std::exception_ptr& error);
    /// The server closes.
    void expire() noexcept { watch_.expire(); }
    Loop& loop() const noexcept { return watch_.loop(); }

    Handshake* next = nullptr;  ///< of the shard's list
    Handshake* previous = nullptr;

private:
    Shard& shard_;
    Watch watch_;
};

template <class Wrap>
Coro<> serve_wrapped(io::TcpStream stream, Wrap wrap, std::shared_ptr<ServerCore> core) {
    if (is_closing(*core)) {
        co_return;
    }
    using Wrapped = await_result_t<std::invoke_result_t<Wrap&, io::TcpStream>>;
    std::optional<Wrapped> wrapped;
    {
        Handshake handshake(*core);
        std::exception_ptr error;
        try {
            auto wrapping = wrap(std::move(stream));
            wrapped.emplace(co_await std::move(wrapping));
        } catch (...) {
            error = std::current_exception();
        }
        co_await come_home(handshake.loop());  // the server's list of them is there
        handshake.end(error);
    }
    if (wrapped) {
        Coro<> serving = serve_stream(std::move(*wrapped), std::move(core));
        co_await std::move(serving);
    }
}

}  // namespace knit::http::detail
