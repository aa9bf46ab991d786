/// WebSocketCore: a WebSocket but for its stream, whose type only WebSocketCoreOf knows.
///
/// What is sent goes into a buffer that a task of its own empties, so that a sender that is cancelled cuts no frame in
/// two, and the messages of one turn are one write.
///
///   state     entered by                                          then
///   open      the constructor
///   closing   a close frame is sent, or a write has failed        sending is refused; receiving goes on
///   ended     the peer's close frame, its end, its mistake        receive() gives Type::close
///   closed    the buffer is empty and the peer's end has come,    the stream below is closed
///             or close_timeout has passed, or abort()
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/event.hpp"
#include "knit/http/websocket_handshake.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/lock.hpp"
#include "knit/loop.hpp"
#include "knit/time.hpp"

namespace knit::http {

enum class WebSocketRole { server, client };

struct WebSocketOptions {
    std::size_t message_max = std::size_t{4} << 20;       ///< bytes, after decompression; more is closed with 1009
    bool compress = true;                                 ///< offers, or agrees to, permessage-deflate
    Duration close_timeout = std::chrono::seconds(10);    ///< how long a good-bye may take; zero: no limit
    /// So long after the last byte from the peer it is sent a ping; when, from then on that it has gone out, nothing
    /// comes for half of that while somebody receives, the connection is cut off, as aiohttp's `heartbeat` does:
    /// receive() gives 1006. Also when a peer that has not taken the ping yet takes nothing for four times that. Zero:
    /// never.
    Duration heartbeat = {};
    Duration connect_timeout = std::chrono::seconds(30);  ///< of a client: until the handshake is over; zero: no limit
    /// Sub-protocols that this side speaks, best first: "chat.v2, chat". Copied by the call that it is given to.
    std::string_view protocols = {};
};

struct WebSocketMessage {
    enum class Type { text, binary, close };
    Type type = Type::close;
    std::string data;  ///< of a close message the reason
    int code = 0;      ///< of a close message

    bool is_text() const noexcept { return type == Type::text; }
    bool is_binary() const noexcept { return type == Type::binary; }
    bool is_close() const noexcept { return type == Type::close; }
};

/// The peer broke the rules; it has been told by a close frame with code().
class WebSocketError : public std::runtime_error {
public:
    WebSocketError(int code, const std::string& what) : std::runtime_error("WebSocket: " + what), code_(code) {}
    /// 1002: protocol error; 1007: no UTF-8, or not what was compressed; 1009: too long.
    int code() const noexcept { return code_; }

private:
    int code_;
};

}  // namespace knit::http

namespace knit::http::detail {

class WebSocketCodec;

class WebSocketCore : public std::enable_shared_from_this<WebSocketCore> {
public:
    using Ref = std::shared_ptr<WebSocketCore>;

    WebSocketCore(const WebSocketCore&) = delete;
    WebSocketCore& operator=(const WebSocketCore&) = delete;
    virtual ~WebSocketCore();

    /// Where the heartbeat begins. Gives the same.
    static Ref start(Ref core);

    // These go on on the WebSocket's loop, wherever they are called, and end there.

    static Coro<WebSocketMessage> receive(Ref core);
    static Coro<> send(Ref core, int opcode, std::string_view bytes);
    static Coro<> send_owned(Ref core, int opcode, std::string bytes);
    static Coro<> close(Ref core, int code, std::string reason);

    // All else is called on that loop.

    void abort() noexcept;
    /// The server ends: says good-bye with 1001, and cuts off a peer that does not answer in time.
    void go_away() noexcept;
    /// Whether a handler threw this because the peer broke the rules or has gone, which is nobody's fault here.
    bool is_peers_fault(const std::exception_ptr& error) const;
    /// Its owner has gone: abort(), unless the good-bye is being said in the background.
    void leave() noexcept;
    /// Nobody uses the stream below any more, which is closed; waits for that even if it is cancelled, which cuts a
    /// good-bye short.
    static Coro<> finish(Ref core);

    Loop& loop() const noexcept { return loop_; }
    bool is_closing() const noexcept { return is_close_sent_ || is_closed_; }
    int close_code() const noexcept { return close_code_; }
    bool is_compressed() const noexcept;

    std::string protocol;  ///< set before the first use

protected:
    WebSocketCore(WebSocketRole role, const WebSocketOptions& options, std::string_view leftover,
                  const std::optional<DeflateParameters>& deflate);

private:
    class Use;
    class Reading;
    class Writing;
    class Ending;

    virtual Coro<std::size_t> read_lower(std::span<std::byte> buffer) = 0;
    virtual Coro<> write_lower(std::span<const std::byte> bytes) = 0;
    virtual Coro<> shutdown_lower() = 0;
    virtual void close_lower() noexcept = 0;

    static Coro<WebSocketMessage> receive_here(Ref core);
    std::optional<WebSocketMessage> take_events();
    void take_close(int code, std::string reason);
    void put_close(int code, std::string_view reason);
    Coro<> fill();
    Coro<> drain();
    Coro<> await_close();
    Coro<> await_end();
    void start_writing();
    void wrote_some() noexcept;
    void fail_writing(std::exception_ptr error) noexcept;
    void give_up() noexcept;
    void arm(Duration delay);
    void beat();
    void judge(TimePoint now);
    void take_time(TimePoint& of) const noexcept;
    void end_in_background() noexcept;
    WebSocketMessage closed_message() const;
    static Coro<> write_task(Writing writing);
    static Coro<> write_all(Ref core);
    static Coro<> end_task(Ending ending);

    Loop& loop_;
    const bool is_server_;
    const Duration close_timeout_;
    const Duration heartbeat_;
    Handle timer_;                 ///< of the heartbeat
    TimePoint heard_at_{};         ///< of the last input
    TimePoint taken_at_{};         ///< of the last bytes that went out, up to the ping
    std::unique_ptr<WebSocketCodec> codec_;
    std::string output_;           ///< to be sent
    std::size_t in_flight_ = 0;    ///< bytes that are being sent
    std::size_t answer_size_ = 0;  ///< of the pongs in output_
    std::exception_ptr write_error_;  ///< nothing can be sent any more
    Lock reading_;                 ///< who reads from the stream below
    Event drained_;                ///< little enough is unsent
    Event unused_;                 ///< users_ is 0
    std::string close_reason_;
    std::size_t fills_ = 0;
    int users_ = 0;  ///< operations on the stream below, those included that are about to begin
    int close_code_ = 0;
    bool is_writing_ = false;
    bool is_reading_ = false;
    bool is_pinged_ = false;        ///< nothing has come since a ping was put
    bool is_ping_waiting_ = false;  ///< it is in output_, or being sent
    bool is_suspect_ = false;       ///< the peer was silent for too long at the last look
    bool is_close_sent_ = false;
    bool is_ending_ = false;
    bool is_closed_ = false;
    bool is_going_away_ = false;
    bool is_cut_ = false;  ///< abort() has thrown away what was to be sent
};

template <io::ByteStream S>
class WebSocketCoreOf final : public WebSocketCore {
public:
    WebSocketCoreOf(S stream, WebSocketRole role, const WebSocketOptions& options, std::string_view leftover,
                    const std::optional<DeflateParameters>& deflate)
        : WebSocketCore(role, options, leftover, deflate), stream_(std::move(stream)) {}

private:
    Coro<std::size_t> read_lower(std::span<std::byte> buffer) override { co_return co_await stream_.read_some(buffer); }
    Coro<> write_lower(std::span<const std::byte> bytes) override { co_await stream_.write(bytes); }
    Coro<> shutdown_lower() override {
        if constexpr (Awaitable<decltype(stream_.shutdown())>) {
            co_await stream_.shutdown();
        } else {
            stream_.shutdown();
            co_return;
        }
    }
    void close_lower() noexcept override { stream_.close(); }

    S stream_;
};

}  // namespace knit::http::detail
