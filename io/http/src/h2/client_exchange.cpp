// H2Exchange, H2ClientStream: one request and its answer.

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "../text.hpp"
#include "callbacks.hpp"
#include "client.hpp"
#include "knit/as_result.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/error.hpp"
#include "knit/timeout.hpp"

namespace knit::http::detail {
namespace {

/// Of a request that is cancelled: silence before that says nothing about the connection.
constexpr auto kPatience = std::chrono::seconds(5);

}  // namespace

// The stream.

void H2ClientStream::take_field(std::string_view name, std::string_view value) {
    if (has_head_) {
        return;  // a trailer is passed over, as HTTP/1.1's are
    }
    head_size_ += name.size() + value.size() + 32;
    if (head_size_ > kHeadMost || text_.size() >= kFieldsMost) {
        is_head_too_large_ = true;
        reset(NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (name == ":status") {
        status_ = static_cast<int>(to_number(value).value_or(0));
    } else {
        text_.add(name, value);
    }
}

void H2ClientStream::end_fields() {
    if (has_head_) {
        return;
    }
    if (status_ < 200) {
        text_.clear();  // an interim answer, which another one follows
        return;
    }
    has_head_ = true;
    readable_.set();
}

Coro<> H2ClientStream::wait_for_head() {
    while (!has_head_ && !is_closed() && body_error_ == nullptr) {
        readable_.clear();
        co_await readable_.wait();
    }
}

void H2ClientStream::fill_head(Head& head) const {
    head.status = status_;
    head.is_http2 = true;
    head.keeps_alive = true;
    text_.each([&head](std::string_view name, std::string_view value) {
        head.fields.add(name);
        head.fields.last().value = value;
    });
}

void H2ClientStream::sent_end() noexcept {
    is_sending_ = false;
    sent_at_ = std::chrono::steady_clock::now();
}

Coro<> H2ClientStream::write_chunk(std::string_view bytes) {
    // The function may end while another task of it is in here.
    const auto connection = static_cast<H2Client&>(session()).shared_from_this();
    const auto self = shared_from_this();
    Coro<> writing = write(bytes, Duration::zero());
    co_await std::move(writing);
}

void H2ClientStream::body_failed(const std::exception_ptr& error) {
    if (is_closed() && is_a<std::system_error>(error)) {
        return;
    }
    body_error_ = error;
    abandon(NGHTTP2_CANCEL);
}

/// What is posted to another loop is a part of the stream: this must not fail.
void H2ClientStream::leave(std::shared_ptr<H2ClientStream> stream, std::shared_ptr<H2Client> connection) noexcept {
    if (connection->has_ended()) {
        return;
    }
    knit::detail::Worker& home = connection->loop().worker();
    Farewell& farewell = stream->farewell_;
    farewell.stream = std::move(stream);
    farewell.connection = std::move(connection);
    if (knit::detail::Worker::current() == &home || !home.post(farewell)) {
        end(home, farewell);  // here; or the loop is closed, and nobody else has the connection
    }
}

void H2ClientStream::end(knit::detail::Worker&, knit::detail::Work& work) noexcept {
    auto& farewell = static_cast<Farewell&>(work);
    const std::shared_ptr<H2Client> connection = std::move(farewell.connection);
    const std::shared_ptr<H2ClientStream> stream = std::move(farewell.stream);
    if (!stream->is_closed()) {
        stream->reset(NGHTTP2_CANCEL);
    }
}

void H2ClientStream::throw_late() { throw TimeoutError("the server sends nothing"); }

// The exchange.

/// The head is HTTP/1.1's; false when the connection takes no request any more. ValueError for a head that no server
/// takes.
bool H2Exchange::submit(std::string_view head, bool has_body) {
    if (!connection_->can_open()) {
        return false;
    }
    std::string_view lines = head;
    std::string_view first = cut(lines, '\n');
    const std::string_view method = cut(first, ' ');
    const std::string_view target = cut(first, ' ');
    constexpr std::string_view kPrefix = "Host: ";  // stands first, always
    std::string_view host = cut(lines, '\n').substr(kPrefix.size());
    host.remove_suffix(1);
    H2Fields& fields = connection_->fields();
    fields.clear();
    fields.add(":method", method);
    fields.add(":scheme", connection_->scheme());
    fields.add(":authority", host);
    fields.add(":path", target);
    fields.add_lines(lines);
    if (fields.are_too_large()) {
        throw ValueError("the request's header fields are larger than 128 KiB together, or 64 KiB each, which is more "
                         "than HTTP/2's servers take");
    }
    auto stream = std::make_shared<H2ClientStream>(*connection_);
    const auto& list = fields.list();
    const nghttp2_data_provider body = H2Callbacks::data_provider();
    const std::int32_t id = nghttp2_submit_request(connection_->handle(), nullptr, list.data(), list.size(),
                                                   has_body ? &body : nullptr, stream.get());
    if (id < 0) {
        return false;
    }
    stream->set_id(id);
    stream_ = std::move(stream);
    connection_->wake_writer();
    return true;
}

Coro<bool> H2Exchange::exchange(std::string head, const std::string& method,
                                std::shared_ptr<const RequestOptions> options) {
    if (!submit(head, options->stream || !options->body.empty())) {
        co_return false;
    }
    options_ = std::move(options);
    if (options_->stream) {
        Upload upload{connection_, options_, stream_};
        begin_upload(send_body(std::move(upload)));
    } else {
        stream_->write_last(options_->body, Duration::zero());
    }
    const Result<void> waited = co_await as_result(wait_for_head());
    if (waited && stream_->has_head()) {
        stream_->fill_head(head_);
        if (method == "HEAD" || stream_->has_peer_ended()) {
            connection_->note_answer();
        }
        if (stream_->has_peer_ended()) {
            Coro<> ending = end_upload();
            co_await std::move(ending);
        }
        co_return true;
    }
    const std::exception_ptr body_error = stream_->body_error();
    const std::string text = failure();
    const bool is_repeatable = waited && may_repeat(method);
    reset();
    Coro<> ending = end_upload();
    co_await std::move(ending);
    if (!waited && is_a<CancelledError>(waited.error())) {
        waited.rethrow();
    }
    if (body_error != nullptr) {
        std::rethrow_exception(body_error);
    }
    if (!waited) {
        waited.rethrow();
    }
    if (is_repeatable) {
        co_return false;
    }
    throw ServerProtocolError(text);
}

std::string H2Exchange::failure() const {
    const std::uint32_t code = stream_->error_code();
    if (stream_->is_head_too_large()) {
        return "the answer's head is too large";
    }
    return code == H2Stream::kLost ? "the server has closed the connection without an answer"
                                   : std::string("the server has reset the request: ") + nghttp2_http2_strerror(code);
}

/// What the server says it has not looked at may be sent again; what may have been lost on its way, if it does no harm.
bool H2Exchange::may_repeat(const std::string& method) const {
    const bool was_dead = stream_->error_code() == H2Stream::kLost && connection_->has_answered() &&
                          is_idempotent(method);
    return !options_->stream && (was_dead || stream_->error_code() == NGHTTP2_REFUSED_STREAM);
}

/// Throws its own cancellation only: an answer may have come whatever has become of the request.
Coro<> H2Exchange::send_body(Upload upload) {
    const Upload here(std::move(upload));  // ends before the task, on the connection's loop
    const auto sink = std::make_shared<UploadSink>(*here.stream, here.connection->loop());
    std::exception_ptr error;
    try {
        RequestWriter writer(sink);
        Coro<> streaming = here.options->stream(writer);
        co_await std::move(streaming);
        co_await resume_on(here.connection->loop());
        here.stream->expect_written();
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(here.connection->loop());
    sink->sink = nullptr;
    if (error == nullptr) {
        here.stream->write_last({}, Duration::zero());
    } else if (current_task()->cancelling() != 0) {
        std::rethrow_exception(error);
    } else {
        here.stream->body_failed(error);
    }
}

Coro<> H2Exchange::wait_for_head() {
    for (;;) {
        const std::optional<TimePoint> until = read_until(timeout_.read);
        const std::uint64_t heard = connection_->heard_count();
        const TimePoint began = std::chrono::steady_clock::now();
        Coro<> waiting = stream_->wait_for_head();
        try {
            co_await with_timeout_at(until, std::move(waiting));
            co_return;
        } catch (const TimeoutError&) {
            if (!is_early(stream_->is_sending(), stream_->sent_at(), timeout_.read)) {
                connection_->suspect(heard);
                throw;
            }
        } catch (const CancelledError&) {
            if (std::chrono::steady_clock::now() - began >= kPatience) {
                connection_->suspect(heard);  // ClientTimeout::total cancels, too
            }
            throw;
        }
    }
}

Coro<std::string_view> H2Exchange::read_piece() {
    for (;;) {
        const std::optional<TimePoint> until = read_until(timeout_.read);
        const std::uint64_t heard = connection_->heard_count();
        Coro<std::string_view> reading = stream_->read(Duration::zero());
        try {
            co_return co_await with_timeout_at(until, std::move(reading));
        } catch (const TimeoutError&) {
            if (!is_early(stream_->is_sending(), stream_->sent_at(), timeout_.read)) {
                connection_->suspect(heard);
                throw;
            }
        } catch (const std::system_error& error) {
            if (stream_->body_error() != nullptr) {
                std::rethrow_exception(stream_->body_error());
            }
            throw ServerProtocolError(std::string("the answer's body was cut off: ") + error.what());
        }
    }
}

Coro<std::string_view> H2Exchange::read_body() {
    if (is_done_) {
        co_return std::string_view();  // its loop may have ended
    }
    co_await resume_on(connection_->loop());
    if (is_done_) {
        co_return std::string_view();
    }
    Coro<std::string_view> reading = read_piece();
    const std::string_view piece = co_await std::move(reading);
    if (piece.empty()) {
        finish();
        Coro<> ending = end_upload();
        co_await std::move(ending);
    }
    co_return piece;
}

Coro<> H2Exchange::drain() {
    leave();
    Coro<> ending = end_upload();
    co_await std::move(ending);
}

void H2Exchange::finish() noexcept {
    is_done_ = true;
    connection_->note_answer();
    reset();
    release_permits();
}

/// A whole answer ends the request as well, whatever of that is still to be sent.
void H2Exchange::reset() noexcept {
    if (stream_ != nullptr && !stream_->is_closed()) {
        stream_->reset(NGHTTP2_CANCEL);
    }
}

void H2Exchange::leave() noexcept {
    is_done_ = true;
    if (stream_ != nullptr) {
        H2ClientStream::leave(std::exchange(stream_, nullptr), connection_);
    }
    release_permits();
}

}  // namespace knit::http::detail
