/// Handshake: a connection that is being wrapped, in TLS for example, before it speaks HTTP.
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

    /// It is over.
    void end() noexcept { watch_.end(); }
    /// A CancelledError came out of it: rethrows that unless it is this object's.
    void end_cancelled();
    /// The server closes.
    void expire() noexcept { watch_.expire(); }
    Loop& loop() const noexcept { return watch_.loop(); }

    Handshake* next = nullptr;  ///< of the shard's list
    Handshake* previous = nullptr;

private:
    Shard& shard_;
    Watch watch_;
};

/// A peer that does not get as far as HTTP is no fault of ours: for LogLevel::debug.
void log_wrap_error(const std::exception& error);

template <class Wrap>
Coro<> serve_wrapped(io::TcpStream stream, Wrap wrap, std::shared_ptr<ServerCore> core) {
    if (is_closing(*core)) {
        co_return;
    }
    using Wrapped = await_result_t<std::invoke_result_t<Wrap&, io::TcpStream>>;
    std::optional<Wrapped> wrapped;
    {
        Handshake handshake(*core);
        try {
            auto wrapping = wrap(std::move(stream));
            wrapped.emplace(co_await std::move(wrapping));
        } catch (const CancelledError&) {
            handshake.end_cancelled();
        } catch (const std::system_error& error) {
            log_wrap_error(error);
        } catch (const TimeoutError& error) {
            log_wrap_error(error);
        }
        handshake.end();
        if (&get_running_loop() != &handshake.loop()) {
            co_await resume_on(handshake.loop());  // its list is there
        }
    }
    if (wrapped) {
        Coro<> serving = serve_stream(std::move(*wrapped), std::move(core));
        co_await std::move(serving);
    }
}

}  // namespace knit::http::detail
