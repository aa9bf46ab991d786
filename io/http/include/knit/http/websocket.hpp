/// WebSocket: messages both ways over a connection (RFC 6455), compressed where both sides can (RFC 7692).
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/http/detail/websocket_core.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"
#include "knit/http/websocket_handshake.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/time.hpp"

namespace knit::tls {
class Context;
}

namespace knit::http {

/// A connection with messages both ways. Any number of tasks may send, and any number receive: each message goes to one
/// of them. It belongs to the loop that it was made on: a task of another loop that sends, receives or closes is
/// brought there and goes on there; abort() and the destructor are called there, and what asks (is_closed()) too. Pings
/// are answered while somebody receives. Move-only; one that is destroyed before it was closed, by close() or by the
/// peer's word, is cut off.
class WebSocket {
public:
    WebSocket() noexcept = default;
    /// Over a stream on which the handshake has been made. `leftover`: what was read beyond it.
    template <io::ByteStream S>
    WebSocket(S stream, WebSocketRole role, WebSocketOptions options = {}, std::string_view leftover = {},
              std::optional<DeflateParameters> deflate = {})
        : core_(detail::WebSocketCore::start(std::make_shared<detail::WebSocketCoreOf<S>>(
              std::move(stream), role, options, leftover, deflate))) {}
    /// Knit's own use.
    explicit WebSocket(std::shared_ptr<detail::WebSocketCore> core) noexcept : core_(std::move(core)) {}
    WebSocket(WebSocket&&) noexcept = default;
    WebSocket& operator=(WebSocket&& other) noexcept;
    ~WebSocket();

    /// The next message; of Type::close for good once the connection has ended: by the peer's word with its code and
    /// reason, without one with 1006. Throws WebSocketError when the peer breaks the rules, which closes the
    /// connection, and what the stream throws. Cancelled: CancelledError, and no message is lost.
    Coro<WebSocketMessage> receive();
    /// The same as a loop likes it, aiohttp's `async for`: none at the end.
    ///     while (auto message = co_await socket.next()) { ... }
    Coro<std::optional<WebSocketMessage>> next();

    /// Sends a message, whose bytes have to stay until the await is over (those of a std::string that is moved in are
    /// kept); waits while more than 64 KiB is unsent. `text` has to be UTF-8: ValueError. Throws std::system_error:
    /// EPIPE when the connection is closing, ECANCELED when abort() has cut it off before all was sent, and the error
    /// of the first write that has failed. Cancelled while it waits: CancelledError, the message is sent all the same.
    Coro<> send_text(std::string_view text);
    template <std::same_as<std::string> T>
    Coro<> send_text(T&& text) {
        return send_text_owned(std::move(text));
    }
    template <std::size_t N>
    Coro<> send_text(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    Coro<> send_binary(std::span<const std::byte> bytes);
    Coro<> send_binary(std::string_view bytes) { return send_binary(std::as_bytes(std::span(bytes))); }
    template <std::same_as<std::string> T>
    Coro<> send_binary(T&& bytes) {
        return send_binary_owned(std::move(bytes));
    }
    template <std::size_t N>
    Coro<> send_binary(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    /// A ping, of at most 125 bytes (ValueError); its answer is taken by whoever receives, who does not see it.
    Coro<> ping(std::string_view payload = {});

    /// Says good-bye and waits for the peer's, at most close_timeout, throwing away the messages that come before it;
    /// then closes. Without an answer close_code() is 1006. Nothing when it is closed already. ValueError for a code
    /// that is not for sending (1000 to 1014 without 1004, 1005 and 1006; 3000 to 4999) and a reason that is not UTF-8
    /// or has more than 123 bytes. Cancelled: the connection is cut off.
    Coro<> close(int code = 1000, std::string reason = {});
    /// Cuts the connection off; what is under way throws.
    void abort() noexcept;

    /// Whether nothing can be sent any more.
    bool is_closed() const noexcept { return core_ == nullptr || core_->is_closing(); }
    /// The peer's, 1005 when it gave none, 1006 when it left without a word; 0: it has not ended.
    int close_code() const noexcept { return core_ == nullptr ? 0 : core_->close_code(); }
    /// What the handshake agreed on; "" for none.
    const std::string& protocol() const { return core().protocol; }
    bool is_compressed() const { return core().is_compressed(); }

private:
    detail::WebSocketCore& core() const;
    Coro<> send_text_owned(std::string text);
    Coro<> send_binary_owned(std::string bytes);
    void leave() noexcept;

    std::shared_ptr<detail::WebSocketCore> core_;
};

/// What a route's handler returns to speak WebSocket: calls `handler(WebSocket&) -> Coro<>`, which may be left at any
/// time: it is then closed with 1000, by an exception with 1011, cancelled with 1001. The route's handler has ended by
/// then, and the request's texts are gone: what `handler` captures, it captures by value. A request that is none for a
/// WebSocket is answered by 400 or 426. Who may connect is up to you: browsers say in "Origin" whose page it is.
///     router.get("/echo", [](http::Request& request) -> Coro<http::Response> {
///         co_return http::websocket(request, echo);
///     });
Response websocket(const Request& request, std::function<Coro<>(WebSocket&)> handler, WebSocketOptions options = {});

/// Connects to "ws://host/path" or "wss://...". Throws InvalidUrl, ServerProtocolError when the server does not want
/// to, TimeoutError after options.connect_timeout, and what connecting throws. `context`: for wss, as
/// SessionOptions::tls; whatever its alpn(), "http/1.1" is what is offered.
Coro<WebSocket> connect_websocket(std::string url, WebSocketOptions options = {},
                                  const tls::Context* context = nullptr);
/// With header fields of one's own: Origin, Cookie, Authorization (which "ws://user:password@host/" says too).
/// ValueError for what is no field, or is the handshake's own.
using WebSocketHeaders = std::vector<std::pair<std::string, std::string>>;
Coro<WebSocket> connect_websocket(std::string url, WebSocketHeaders headers, WebSocketOptions options,
                                  const tls::Context* context = nullptr);

}  // namespace knit::http
