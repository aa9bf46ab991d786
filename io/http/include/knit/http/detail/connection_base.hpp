/// ConnectionBase: a server's connection, but for its stream, whose type only ServerConnection<S> knows.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/event.hpp"
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
#include "knit/io/endpoint.hpp"
#include "knit/loop.hpp"
#include "knit/time.hpp"

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

    // serve_stream()'s: waits for each request itself, so that an idle connection has no coroutine but that one.

    /// On the connection's task, and its loop: first.
    void begin();
    /// Whether all has been answered that will be: a server that closes waits for no further request.
    bool is_at_end() noexcept;
    /// Before the wait for the first byte of a request, and behind it.
    void begin_wait();
    void end_wait() noexcept;
    /// From its preface on; `preface` is what was taken of that already. Throws CancelledError.
    Coro<> speak_http2(std::string_view preface);
    /// In a handler of exceptions: keeps what the connection ends by.
    void keep_error() noexcept;
    /// The end of the connection. Throws CancelledError when the server ends it, and what a stream that is not knit's
    /// should not have thrown. Empty while there is no memory for it.
    Coro<> begin_end() noexcept;

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
    /// Of a file, what can go without a copy, at once or within write_timeout; 0 for nothing.
    virtual Coro<std::size_t> send_cached(int file, std::uint64_t offset, std::uint64_t most) = 0;
    /// At least one byte, by whichever task, without a deadline.
    virtual Coro<std::size_t> send_some(std::string_view bytes) = 0;
    /// Whether TLS's ALPN has chosen it.
    virtual bool has_chosen_http2() const = 0;
    virtual Coro<> close_gently() = 0;

    std::uint16_t request_number() const noexcept final { return request_number_; }
    Coro<std::string_view> read_body(std::uint16_t request_number) final;
    Coro<> write_body(std::string_view bytes) final;

    // After a change of protocol: the bare stream. On the connection's loop.

    Coro<std::size_t> read_bare(std::span<std::byte> buffer);
    Coro<> write_bare(std::span<const std::byte> bytes);
    virtual Coro<> shutdown_bare() = 0;
    virtual void close_bare() noexcept = 0;
    /// Without a good-bye: what the peer reads then fails.
    virtual void abort_bare() noexcept = 0;
    /// What is left to be done in the background after close_bare().
    virtual Coro<> wait_closed_bare() = 0;

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
    /// The rest of a request that is not whole, or whose answer is not put.
    Coro<> finish_request(bool is_put);
    /// An answer of the server's own, after which the connection ends.
    void refuse(int status);
    bool has_rest() const noexcept { return !is_body_done_ || is_reading_; }
    void end_request();

    /// The memory that give_back() has left to the loop.
    void take_spare() noexcept;
    /// A CancelledError came out of a wait: rethrows it unless it was the deadline's.
    static void end_wait_cancelled(Watch& watch);
    /// The peer takes nothing: nothing more is sent.
    [[noreturn]] void throw_write_timeout();
    /// A deadline has come while waiting for a head; the connection ends, with 408 when a part of one was there.
    void time_out();
    void begin_write();
    /// The same for a write by whichever task.
    void begin_write_here();

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
    Watch watch_;        ///< of reads; its loop and task are the connection's
    Watch write_watch_;  ///< others may read and write at the same time
    std::unique_ptr<Request> request_;  ///< another for the next, when a task that reads it is left
    std::optional<Response> response_;  ///< to that request
    bool is_last_ = false;        ///< no further request will be answered
    bool has_peer_gone_ = false;  ///< reading or writing has failed
    bool is_broken_ = false;      ///< bytes are missing in what was sent: nothing may follow them
    bool is_cut_ = false;         ///< the stream is to end without a good-bye
    bool is_closed_ = false;      ///< the stream is
    bool is_first_ = true;        ///< no request was before
    std::uint16_t request_number_ = 0;  ///< a read that was made for one before is none of the next; goes round
    Takeover* takeover_ = nullptr;

private:
    void give_back() noexcept;
    /// Files, streams, upgrades, large bodies.
    Coro<> put_slowly(Response& response);
    /// The request is answered: reads the rest of its body away, or decides that the connection ends.
    Coro<> finish_body();
    std::string_view take_body();
    bool skip_body();
    Coro<> fill_body();
    Coro<> ask_for_body();
    void expect_unanswered() const;
    Coro<> end_reading();
    void stop_others() noexcept;
    Coro<> settle_reading(bool is_expected);
    bool has_answer_body(const Response& response) const noexcept;
    bool lets_read(const Response& response) const noexcept;
    void append_head(const Response& response, bool is_chunked);
    void check_upgrade(Response& response);
    Coro<> put_body(Response& response);
    Coro<> put_file(Response& response);
    bool is_small_file(const Response& response) const noexcept;
    Coro<bool> put_small_file(Response& response);
    Coro<> put_stream(Response& response);
    Coro<> run_upgraded(Response& response);
    Coro<> finish();
    Coro<> end_stream();
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
    Coro<> flush_beside();
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
    Duration body_wait_{};  ///< what is left of that, zero: all; the handler's own time does not count
    bool is_idle_ = false;     ///< waits for the first byte of a request
    bool is_in_head_ = false;  ///< ... for more of a head
    bool is_streaming_ = false;  ///< the function that makes the answer's body runs: out_ is for its writes
    bool is_writing_ = false;    ///< a piece of that body
    bool is_reading_ = false;    ///< a read of the request's body is under way, whichever task's
    bool is_asking_ = false;     ///< ... and what has to be sent before it
    bool is_answered_ = true;    ///< nobody is to read any more of the request, nor begin to
    bool is_body_done_ = true;
    bool owes_continue_ = false;  ///< the client waits for 100 before it sends the body
    bool is_chunking_ = false;
    bool is_in_handler_ = false;
    bool is_flush_due_ = false;  ///< flusher_ is scheduled
    bool has_readers_ = false;   ///< tasks that are not the handler's have read the request
    bool has_failed_ = false;    ///< by whatever error
    bool is_cancelled_ = false;  ///< by a cancellation
    Event others_;  ///< one of is_writing_, is_reading_, is_asking_ has become false
    Handle flusher_;
    Task<> flushing_;
    std::exception_ptr error_;  ///< that the connection ends by
    TimePoint began_{};
    std::string peer_text_;  ///< for the log
};

}  // namespace knit::http::detail
