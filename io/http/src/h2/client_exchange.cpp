// H2Exchange, H2ClientStream: one request and its answer.

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "../text.hpp"
#include "callbacks.hpp"
#include "client.hpp"
#include "knit/error.hpp"
#include "knit/http/error.hpp"
#include "knit/timeout.hpp"

namespace knit::http::detail {

// The stream.

void H2ClientStream::take_field(std::string_view name, std::string_view value) {
    if (has_head_) {
        return;  // a trailer is passed over, as HTTP/1.1's are
    }
    head_size_ += name.size() + value.size() + 32;
    if (head_size_ > kHeadMost || places_.size() >= kFieldsMost) {
        reset(NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (name == ":status") {
        status_ = static_cast<int>(to_number(value).value_or(0));
    } else {
        places_.push_back({text_.size(), name.size(), value.size()});
        text_.append(name).append(value);
    }
}

void H2ClientStream::end_fields() {
    if (has_head_) {
        return;
    }
    if (status_ < 200) {
        text_.clear();  // an interim answer, which another one follows
        places_.clear();
        return;
    }
    has_head_ = true;
    readable_.set();
}

Coro<> H2ClientStream::wait_for_head() {
    while (!has_head_ && !is_closed()) {
        readable_.clear();
        co_await readable_.wait();
    }
}

void H2ClientStream::fill_head(Head& head) const {
    head.status = status_;
    head.is_http2 = true;
    head.keeps_alive = true;
    for (const Place& place : places_) {
        head.fields.add(std::string_view(text_).substr(place.at, place.name_size));
        head.fields.last().value = std::string_view(text_).substr(place.at + place.name_size, place.value_size);
    }
    const auto length = head.fields.find("content-length");
    head.length = length ? to_number(*length).value_or(0) : 0;
    head.framing = has_peer_ended() ? Framing::none : length ? Framing::sized : Framing::chunked;
}

void H2ClientStream::throw_late() { throw TimeoutError("the server sends nothing"); }

// The exchange.

/// The head is HTTP/1.1's; false when the connection takes no request any more.
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
    auto stream = std::make_unique<H2ClientStream>(*connection_);
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

Coro<bool> H2Exchange::exchange(std::string head, const std::string& method, const RequestOptions& options) {
    if (!submit(head, options.stream || !options.body.empty())) {
        co_return false;
    }
    Coro<> sending = send_body(options);
    co_await std::move(sending);
    Coro<> waiting = wait_for_head();
    co_await std::move(waiting);
    if (stream_->has_head()) {
        stream_->keep_rest();  // a server may answer before it has the whole body
        stream_->fill_head(head_);
        if (method == "HEAD" || stream_->has_peer_ended()) {
            connection_->note_answer();
        }
        co_return true;
    }
    if (may_repeat(method, options)) {
        leave();
        co_return false;
    }
    throw ServerProtocolError(stream_->error_code() == H2Stream::kLost
                                  ? std::string("the server has closed the connection without an answer")
                                  : std::string("the server has reset the request: ") +
                                        nghttp2_http2_strerror(stream_->error_code()));
}

/// What the server says it has not looked at may be sent again; what may have been lost on its way, if it does no harm.
bool H2Exchange::may_repeat(const std::string& method, const RequestOptions& options) const {
    const bool was_dead = stream_->error_code() == H2Stream::kLost && connection_->has_answered() &&
                          is_idempotent(method);
    return !options.stream && (was_dead || stream_->error_code() == NGHTTP2_REFUSED_STREAM);
}

Coro<> H2Exchange::send_body(const RequestOptions& options) {
    if (!options.stream) {
        stream_->write_last(options.body, Duration::zero());
        co_return;
    }
    RequestWriter writer(*this);
    try {
        Coro<> streaming = options.stream(writer);
        co_await std::move(streaming);
    } catch (const std::system_error&) {
        if (!stream_->is_closed()) {
            throw;  // of the function that makes the body
        }
        co_return;  // a server that refuses a body may have answered before all of it was sent
    }
    stream_->write_last({}, Duration::zero());
}

Coro<> H2Exchange::write_chunk(std::string_view bytes) {
    if (!bytes.empty()) {
        Coro<> writing = stream_->write(bytes, Duration::zero());
        co_await std::move(writing);
    }
}

Coro<> H2Exchange::wait_for_head() {
    Coro<> waiting = stream_->wait_for_head();
    if (const auto until = read_until(timeout_.read)) {
        Coro<> limited = with_timeout_at(until, std::move(waiting));
        co_await std::move(limited);
    } else {
        co_await std::move(waiting);
    }
}

Coro<std::string_view> H2Exchange::read_body() {
    if (is_done_) {
        co_return std::string_view();
    }
    std::string_view piece;
    try {
        Coro<std::string_view> reading = stream_->read(Duration::zero());
        if (const auto until = read_until(timeout_.read)) {
            Coro<std::string_view> limited = with_timeout_at(until, std::move(reading));
            piece = co_await std::move(limited);
        } else {
            piece = co_await std::move(reading);
        }
    } catch (const std::system_error& error) {
        throw ServerProtocolError(std::string("the answer's body was cut off: ") + error.what());
    }
    if (piece.empty()) {
        finish();
    }
    co_return piece;
}

Coro<> H2Exchange::drain() {
    leave();
    co_return;
}

void H2Exchange::finish() noexcept {
    is_done_ = true;
    connection_->note_answer();
    release_permits();
}

void H2Exchange::leave() noexcept {
    is_done_ = true;
    if (stream_ != nullptr && !stream_->is_closed()) {
        stream_->reset(NGHTTP2_CANCEL);
    }
    stream_ = nullptr;
    release_permits();
}

}  // namespace knit::http::detail
