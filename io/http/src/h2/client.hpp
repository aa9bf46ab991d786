/// H2Client: HTTP/2 on a client's connection, and one request on it.
///
///   [h2.ended] run: has_ended_ release  ->  has_ended: acquire    the streams know nothing of the connection any more
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "../client_exchange.hpp"
#include "../shared_connection.hpp"
#include "fields.hpp"
#include "knit/coro.hpp"
#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"
#include "knit/detail/worker.hpp"
#include "knit/http/client.hpp"
#include "session.hpp"

namespace knit::http::detail {

class H2Client final : public H2Session, public SharedConnection, public std::enable_shared_from_this<H2Client> {
public:
    using Ended = std::function<void(const SharedConnection&)>;

    H2Client(std::unique_ptr<Transport> transport, Duration keepalive, Ended ended);

    /// The connection's task.
    static Coro<> run(std::shared_ptr<H2Client> self);

    Loop& loop() const noexcept final { return H2Session::loop(); }
    bool can_open() const noexcept final;
    std::unique_ptr<ClientExchange> open(const ClientTimeout& timeout) final;
    void end_soon() noexcept final { H2Session::end_soon(); }
    void end_with_requests() noexcept final { keepalive_ = Duration::zero(); }
    /// A wait that began with that heard_count() is given up: a server from which nothing has come since may have
    /// vanished. It is pinged, and until something comes further requests get another connection, as with HTTP/1.1.
    void suspect(std::uint64_t heard) noexcept;

    std::string_view scheme() const noexcept { return is_secure_ ? "https" : "http"; }
    /// A whole answer has come on it.
    void note_answer() noexcept { has_answered_ = true; }
    bool has_answered() const noexcept { return has_answered_; }
    /// Its task has: streams may go on any thread. From any thread.
    bool has_ended() const noexcept { return has_ended_.load(std::memory_order_acquire); }  // [h2.ended]

private:
    Coro<bool> fill(Input& input, std::size_t size) final;
    Coro<std::size_t> send_some(std::string_view bytes) final;
    H2Stream* begin_stream(std::int32_t) final { return nullptr; }
    void last_stream_gone() noexcept final;
    TimePoint expire(TimePoint now) noexcept final;

    std::unique_ptr<Transport> transport_;
    Duration keepalive_;
    const Ended ended_;
    const bool is_secure_;
    bool has_answered_ = false;
    std::uint64_t suspected_ = std::numeric_limits<std::uint64_t>::max();  ///< heard_count() then
    TimePoint idle_until_ = TimePoint::max();  ///< looked at when it has come: streams may have begun since
    knit::detail::Atomic<bool> has_ended_{false};  ///< run() sets it, whoever leaves a stream asks [h2.ended]
};

/// Kept by the task that sends its body, too.
class H2ClientStream final : public H2Stream,
                             public RequestSink,
                             public std::enable_shared_from_this<H2ClientStream> {
public:
    explicit H2ClientStream(H2Client& client) : H2Stream(client) {}

    void take_field(std::string_view name, std::string_view value) final;
    void end_fields() final;
    void sent_end() noexcept final;
    Coro<> write_chunk(std::string_view bytes) final;
    /// What the function that makes the body has thrown, which the request throws at once. An error of a stream that
    /// has ended is none of its: a server that takes no more may have answered before.
    void body_failed(const std::exception_ptr& error);
    const std::exception_ptr& body_error() const noexcept { return body_error_; }
    bool is_sending() const noexcept { return is_sending_; }
    TimePoint sent_at() const noexcept { return sent_at_; }
    /// Until the head has come, or will not come. Cancelled: CancelledError, and nothing is lost.
    Coro<> wait_for_head();
    bool has_head() const noexcept { return has_head_; }
    /// The head's texts belong to the stream.
    void fill_head(Head& head) const;
    /// The head is beyond what a client takes, and the stream was reset for it.
    bool is_head_too_large() const noexcept { return is_head_too_large_; }
    using H2Stream::expect_written;
    /// Nobody reads the answer any more: resets the stream, unless it is closed, on the connection's loop, and lets it
    /// go there. From any thread.
    static void leave(std::shared_ptr<H2ClientStream> stream, std::shared_ptr<H2Client> connection) noexcept;

private:
    struct Farewell : knit::detail::Work {
        Farewell() noexcept { run = &H2ClientStream::end; }

        std::shared_ptr<H2Client> connection;
        std::shared_ptr<H2ClientStream> stream;
    };

    static void end(knit::detail::Worker&, knit::detail::Work& work) noexcept;
    [[noreturn]] void throw_late() final;

    static constexpr std::size_t kHeadMost = 128 << 10;
    static constexpr std::size_t kFieldsMost = 1000;

    H2FieldText text_;
    std::size_t head_size_ = 0;
    int status_ = 0;
    bool has_head_ = false;
    bool is_head_too_large_ = false;
    bool is_sending_ = true;  ///< the request is not in frames as a whole
    TimePoint sent_at_{};     ///< then
    std::exception_ptr body_error_;
    Farewell farewell_;  ///< of leave(), on its way to the loop
};

/// Destroyed before its end, on whichever thread, it resets its stream and leaves the others alone. Reads go on on the
/// connection's loop.
class H2Exchange final : public ClientExchange {
public:
    H2Exchange(std::shared_ptr<H2Client> connection, const ClientTimeout& timeout)
        : connection_(std::move(connection)), timeout_(timeout) {}
    ~H2Exchange() override { leave(); }

    Coro<bool> exchange(std::string head, const std::string& method,
                        std::shared_ptr<const RequestOptions> options) override;
    Coro<std::string_view> read_body() override;
    Coro<> drain() override;

private:
    /// Destroyed in the other order: the stream belongs to the connection, and refers to the body.
    struct Upload {
        std::shared_ptr<H2Client> connection;
        std::shared_ptr<const RequestOptions> options;
        std::shared_ptr<H2ClientStream> stream;
    };
    bool submit(std::string_view head, bool has_body);
    std::string failure() const;
    static Coro<> send_body(Upload upload);
    Coro<> wait_for_head();
    Coro<std::string_view> read_piece();
    bool may_repeat(const std::string& method) const;
    void finish() noexcept;
    void reset() noexcept;
    void leave() noexcept;

    std::shared_ptr<H2Client> connection_;
    ClientTimeout timeout_;
    std::shared_ptr<const RequestOptions> options_;  ///< the body, which the stream refers to
    std::shared_ptr<H2ClientStream> stream_;
    bool is_done_ = false;
};

}  // namespace knit::http::detail
