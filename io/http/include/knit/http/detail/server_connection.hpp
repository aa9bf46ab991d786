/// A server's connection: ConnectionBase knows HTTP and no stream, ServerConnection<S> moves bytes on any ByteStream.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/exchange.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/input.hpp"
#include "knit/http/detail/takeover.hpp"
#include "knit/http/detail/watch.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server_options.hpp"
#include "knit/io/byte_stream.hpp"

namespace knit::http::detail {

class ServerCore;
struct Shard;
struct Upgraded;

bool is_closing(const ServerCore& core) noexcept;

/// The parts of a connection that do not depend on its stream. On one loop, that of its beginning: a handler that goes
/// on to another is brought back.
class ConnectionBase : public Exchange {
public:
    explicit ConnectionBase(std::shared_ptr<ServerCore> core) noexcept : core_(std::move(core)) {}
    ConnectionBase(const ConnectionBase&) = delete;
    ConnectionBase& operator=(const ConnectionBase&) = delete;
    ~ConnectionBase() override;

    /// Speaks until the end of the connection. Throws CancelledError only, when the server ends it.
    Coro<> run();

    /// The server closes: between requests it ends now, and an upgraded one is told.
    void end_when_idle() noexcept;
    void tell_closing() noexcept;
    bool is_server_closing() const noexcept { return is_closing(*core_); }

    // The stream.

    /// Once, into the input, at most about `size` bytes; false at the end of the stream.
    virtual Coro<bool> fill(Input& input, std::size_t size) = 0;
    /// Once, past the input.
    virtual Coro<std::size_t> read_stream(std::span<std::byte> buffer) = 0;
    /// All the bytes.
    virtual Coro<> send(std::string_view bytes) = 0;
    /// At least one byte, by whichever task, without a deadline.
    virtual Coro<std::size_t> send_some(std::string_view bytes) = 0;
    /// Whether TLS's ALPN has chosen it.
    virtual bool has_chosen_http2() const = 0;
    /// Answers what comes until nothing more will.
    virtual Coro<> serve_requests() = 0;
    virtual Coro<> close_gently() = 0;

    Coro<std::string_view> read_body() final;
    Coro<> write_body(std::string_view bytes) final;

    // After a change of protocol: the bare stream. On the connection's loop.

    Coro<std::size_t> read_bare(std::span<std::byte> buffer);
    Coro<> write_bare(std::span<const std::byte> bytes);
    virtual Coro<> shutdown_bare() = 0;
    virtual void close_bare() noexcept = 0;

    ConnectionBase* next = nullptr;  ///< of the shard's list
    ConnectionBase* previous = nullptr;

protected:
    enum class Next { more, request, refused, http2 };

    /// Looks for the next request in what has come; a refusal is answered already.
    Next next_head();
    /// The request's handler; null when there is none, and response_ says so.
    const Handler* begin_handler();
    /// In a handler of exceptions: keeps what the request's handler threw; a cancellation goes on.
    void catch_handler_error();
    /// It has given response_; false when there is more to do, which settle_handler() does.
    bool end_handler() noexcept;
    Coro<> settle_handler();
    /// Puts an answer that is there as a whole behind those before it; false for one that takes awaits.
    bool put(Response& response);
    /// The rest: files, streams, upgrades, large bodies.
    Coro<> put_slowly(Response& response);
    /// An answer of the server's own, after which the connection ends.
    void refuse(int status);
    bool has_rest() const noexcept { return !is_body_done_; }
    /// The request is answered: reads the rest of its body away, or decides that the connection ends.
    Coro<> finish_body();
    void end_request() noexcept;

    /// Whether all has been answered that will be: a server that closes waits for no further request.
    bool is_at_end() noexcept;
    /// Before a receive, and behind it.
    void begin_wait();
    void end_wait() noexcept;
    /// A CancelledError came out of a wait: rethrows it unless it was the deadline's.
    void end_wait_cancelled();
    [[noreturn]] static void throw_write_timeout();
    /// A deadline has come while waiting for a head; the connection ends, with 408 when a part of one was there.
    void time_out();
    void begin_write();

    /// From its preface on; `preface` is what was taken of that already. Throws CancelledError.
    Coro<> speak_http2(std::string_view preface);
    /// What llhttp calls a request, "PRI * HTTP/2.0": the first 18 bytes of the preface of HTTP/2 (RFC 9113, 3.4).
    static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\n";

    static constexpr std::size_t kPiece = 64 << 10;
    static constexpr std::size_t kOutMost = 64 << 10;
    static constexpr std::size_t kFilePiece = 256 << 10;
    static constexpr Duration kDrainTime = std::chrono::seconds(5);
    static constexpr Duration kDrainSilence = std::chrono::seconds(1);

    std::shared_ptr<ServerCore> core_;
    Shard* shard_ = nullptr;
    Input input_;
    std::string out_;
    Watch watch_;
    Request request_;
    std::optional<Response> response_;  ///< to that request
    bool is_last_ = false;        ///< no further request will be answered
    bool has_peer_gone_ = false;  ///< reading or writing has failed
    bool is_broken_ = false;      ///< bytes are missing in what was sent: nothing may follow them
    bool is_closed_ = false;      ///< the stream is
    bool is_first_ = true;        ///< no request was before
    Takeover* takeover_ = nullptr;

private:
    std::string_view take_body();
    bool skip_body();
    Coro<> fill_body();
    bool has_answer_body(const Response& response) const noexcept;
    void append_head(const Response& response, bool is_chunked);
    void check_upgrade(Response& response);
    Coro<> put_body(Response& response);
    Coro<> put_file(Response& response);
    Coro<> put_small_file(Response::Extra& extra);
    Coro<> put_stream(Response& response);
    Coro<> run_upgraded(Response& response);
    void note(const Response& response, std::uint64_t body_bytes);
    bool is_cancelled() const;
    bool is_peers_fault(const std::exception_ptr& error) const;
    /// "GET /path", for the exception handler.
    std::string request_name() const;
    void report(const std::exception_ptr& error, const std::string& request);
    /// An error behind the head, which the peer can be told by the missing end alone.
    [[noreturn]] void cut_off(const std::exception_ptr& error, const std::string& request);
    void expect_whole() const;
    Coro<> flush();
    Coro<> flush_beside(std::string bytes);
    void flush_when_suspended();
    Response error_response(const std::exception_ptr& error);

    Upgraded* upgraded_ = nullptr;  ///< while the connection is one
    HeadScan scan_;
    Head head_;
    std::exception_ptr handler_error_;
    Input body_input_;
    ChunkedDecoder chunks_;
    std::uint64_t body_left_ = 0;
    std::uint64_t body_sent_ = 0;                  ///< of the answer
    std::optional<std::uint64_t> body_promised_;  ///< of an answer whose head says the length
    std::size_t body_progress_ = 0;                ///< bytes of the KiB that body_timeout is for
    Duration body_wait_{};                         ///< what is left of that; the handler's own time does not count
    bool is_idle_ = false;     ///< waits for the first byte of a request
    bool is_in_head_ = false;  ///< ... for more of a head
    bool is_writing_ = false;  ///< a piece of the answer's body
    bool is_body_done_ = true;
    bool owes_continue_ = false;  ///< the client waits for 100 before it sends the body
    bool is_chunking_ = false;
    bool is_in_handler_ = false;
    bool is_flush_due_ = false;  ///< flusher_ is scheduled
    Handle flusher_;
    Task<> flushing_;
    TimePoint began_{};
    std::string peer_text_;  ///< for the log
};

/// A connection on a stream of type S.
template <io::ByteStream S>
class ServerConnection final : public ConnectionBase {
public:
    ServerConnection(S stream, std::shared_ptr<ServerCore> core) noexcept
        : ConnectionBase(std::move(core)), stream_(std::move(stream)) {}

private:
    static constexpr bool kLends = requires(S& stream) {
        { stream.receive() } -> std::same_as<io::Receive>;
    };
    static constexpr bool kTellsProgress = requires(S& stream, std::span<const std::byte> bytes) {
        stream.write_some(bytes);
    };
    static constexpr std::size_t kHeadRoom = 4096;

    Coro<> serve_requests() final {
        for (;;) {
            const Next found = is_last_ ? Next::more : next_head();
            if (found == Next::request) {
                if (const Handler* const handler = begin_handler()) {
                    try {
                        Coro<Response> running = (*handler)(request_);
                        response_.emplace(co_await std::move(running));
                    } catch (...) {
                        catch_handler_error();
                    }
                    if (!end_handler()) {
                        Coro<> settling = settle_handler();
                        co_await std::move(settling);
                    }
                }
                if (!put(*response_)) {
                    Coro<> putting = put_slowly(*response_);
                    co_await std::move(putting);
                }
                response_.reset();
                if (has_rest()) {
                    Coro<> finishing = finish_body();
                    co_await std::move(finishing);
                }
                end_request();
                if (out_.size() < kOutMost) {
                    continue;
                }
            }
            if (found == Next::http2) {
                Coro<> speaking = speak_http2(kPreface);
                co_await std::move(speaking);
                break;
            }
            if (!out_.empty()) {
                begin_write();
                try {
                    for (std::string_view rest = out_; !rest.empty();) {
                        rest.remove_prefix(co_await write_part(rest));
                    }
                } catch (const CancelledError&) {
                    end_wait_cancelled();
                    throw_write_timeout();
                }
                watch_.end();
                out_.clear();
            }
            if (is_at_end()) {
                break;
            }
            if (found == Next::more && !co_await receive_head()) {
                break;
            }
        }
    }

    /// Receives more of a head; false when the connection ends.
    Coro<bool> receive_head() {
        begin_wait();
        bool has_come = false;
        bool is_late = false;
        try {
            if constexpr (kLends) {
                io::Received received = co_await stream_.receive();
                has_come = !received.empty();
                input_.take(std::move(received));
            } else {
                const std::size_t count = co_await stream_.read_some(input_.make_room(kHeadRoom));
                has_come = count != 0;
                input_.grow(count);
            }
        } catch (const CancelledError&) {
            end_wait_cancelled();
            is_late = true;
        }
        end_wait();
        if (is_late) {
            time_out();
            co_return !out_.empty();
        }
        co_return has_come;
    }

    auto write_part(std::string_view bytes) {
        const auto part = std::as_bytes(std::span(bytes));
        if constexpr (kTellsProgress) {
            return stream_.write_some(part);
        } else {
            return write_whole(part);
        }
    }
    Coro<std::size_t> write_whole(std::span<const std::byte> bytes) {
        co_await stream_.write(bytes);
        co_return bytes.size();
    }

    Coro<std::size_t> send_some(std::string_view bytes) final { co_return co_await write_part(bytes); }

    Coro<bool> fill(Input& input, std::size_t size) final {
        Coro<std::size_t> reading = read_stream(input.make_room(size));
        const std::size_t count = co_await std::move(reading);
        input.grow(count);
        co_return count != 0;
    }
    Coro<std::size_t> read_stream(std::span<std::byte> buffer) final {
        try {
            co_return co_await stream_.read_some(buffer);
        } catch (const std::system_error&) {
            has_peer_gone_ = true;
            throw;
        }
    }

    Coro<> send(std::string_view bytes) final {
        while (!bytes.empty()) {
            begin_write();
            try {
                bytes.remove_prefix(co_await write_part(bytes));
            } catch (const CancelledError&) {
                is_broken_ = true;
                end_wait_cancelled();
                has_peer_gone_ = true;
                throw_write_timeout();
            } catch (...) {
                is_broken_ = has_peer_gone_ = true;
                watch_.end();
                throw;
            }
            watch_.end();
        }
    }

    /// Closing with bytes unread would reset the connection and could take the last answer away: reads them first, but
    /// not for long.
    Coro<> close_gently() final {
        const TimePoint end = watch_.loop().time() + kDrainTime;
        watch_.begin(kDrainSilence);
        try {
            Coro<> shutting = shutdown_bare();
            co_await std::move(shutting);
            for (std::size_t count = 1; count != 0 && watch_.loop().time() < end;) {
                input_.consume(input_.rest().size());
                watch_.begin(kDrainSilence);
                count = co_await stream_.read_some(input_.make_room(kPiece));
            }
        } catch (const CancelledError&) {
            end_wait_cancelled();
        }
        watch_.end();
    }

    Coro<> shutdown_bare() final {
        if constexpr (Awaitable<decltype(stream_.shutdown())>) {
            co_await stream_.shutdown();
        } else {
            stream_.shutdown();
            co_return;
        }
    }
    void close_bare() noexcept final {
        if (!std::exchange(is_closed_, true)) {
            stream_.close();
        }
    }
    bool has_chosen_http2() const final {
        if constexpr (requires { stream_.alpn_protocol() == ""; }) {
            return stream_.alpn_protocol() == "h2";
        } else {
            return false;
        }
    }
    io::Endpoint peer() const final {
        if constexpr (requires { stream_.peer_endpoint(); }) {
            return stream_.peer_endpoint();
        } else {
            return {};
        }
    }

    S stream_;
};

}  // namespace knit::http::detail
