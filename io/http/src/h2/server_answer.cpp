// H2ServerStream: the handler's task and its answer.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "../answers.hpp"
#include "../is_a.hpp"
#include "callbacks.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/error.hpp"
#include "knit/loop.hpp"
#include "running.hpp"
#include "server.hpp"
#include "server_stream.hpp"

namespace knit::http::detail {

Coro<> H2ServerStream::run(Running running) {
    const Running here(std::move(running));
    H2ServerStream& self = here.stream();
    if (self.is_closed()) {
        co_return;
    }
    self.task_ = *current_task();
    std::exception_ptr error;
    try {
        Coro<> serving = self.serve();
        co_await std::move(serving);
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(self.server_.loop());
    if (error != nullptr) {
        self.cut_off(error);
    } else if (self.is_being_read()) {
        self.report(reader_left_error());
    }
}

Coro<> H2ServerStream::serve() {
    std::exception_ptr error;
    try {
        Coro<> handling = handle();
        co_await std::move(handling);
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(server_.loop());
    if (error != nullptr) {
        response_.emplace(error_response(error));
        stop_reading();  // what the handler has left: its own error is the one that is told
    }
    Coro<> answering = answer();
    co_await std::move(answering);
}

Coro<> H2ServerStream::handle() {
    if (refusal_ != 0) {
        throw HttpError(refusal_);
    }
    RouterCore::Found found = server_.core().router->find(*request_);
    if (found.handler == nullptr) {
        response_.emplace(missing_response(found.allowed));
        co_return;
    }
    Coro<Response> running = (*found.handler)(*request_);
    response_.emplace(co_await std::move(running));
}

// What a handler throws.

bool H2ServerStream::is_expected(const std::exception_ptr& error) const {
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError&) {
        return task_.cancelling() != 0;
    } catch (const std::system_error& failure) {
        const bool is_of_stream = failure.code() == std::errc::connection_reset ||
                                  failure.code() == std::errc::timed_out;
        return is_of_stream && (is_closed() || is_write_late());
    } catch (...) {
        return false;
    }
}

/// A cancellation that is not of this task is of something that it awaited: an error like any other.
void H2ServerStream::report(const std::exception_ptr& error) {
    if (is_a<BaseException>(error) && !is_a<CancelledError>(error)) {
        std::rethrow_exception(error);
    }
    report_handler_error(server_.loop(), task_, error, request_name());
}

Response H2ServerStream::error_response(const std::exception_ptr& error) {
    if (is_expected(error)) {
        std::rethrow_exception(error);
    }
    try {
        std::rethrow_exception(error);
    } catch (const HttpError& answer) {
        return Response(answer.status(), answer.text());
    } catch (...) {
        report(error);
    }
    return Response(500, HttpError(500).text());
}

/// An error behind the answer's head: the peer is told by a reset.
void H2ServerStream::cut_off(const std::exception_ptr& error) {
    if (!is_expected(error)) {
        report(error);
    }
}

std::string H2ServerStream::request_name() const {
    return std::string(head_.method).append(" ").append(request_->raw_path());
}

// The answer.

void H2ServerStream::build_fields() {
    const Response& response = *response_;
    const Response::Extra* const extra = response.extra_.get();
    H2Fields& fields = server_.fields();
    fields.clear();
    fields.add_number(":status", static_cast<std::uint64_t>(response.status_));
    if (has_content(response.status_) && (extra == nullptr || extra->length)) {
        fields.add_number("content-length", extra != nullptr ? *extra->length : response.content().size());
    }
    if (!response.type_.empty()) {
        fields.add("content-type", response.type_);
    }
    if (!response.has_date_) {
        fields.add_lines(server_.shard().date.text());
    }
    fields.add_lines(response.fields_);
}

/// Instead of an answer whose fields no peer would take.
void H2ServerStream::check_fields() {
    if (is_closed()) {
        throw_closed();
    }
    build_fields();
    if (server_.fields().are_too_large()) {
        report(std::make_exception_ptr(RuntimeError("the answer's header fields are larger than 128 KiB together, or "
                                                    "64 KiB each, which is more than HTTP/2's clients take")));
        response_.emplace(500, HttpError(500).text());
        build_fields();
    }
}

void H2ServerStream::begin_answer(bool has_body) {
    owes_continue_ = false;  // an interim answer does not come behind the final one
    const auto& list = server_.fields().list();
    const nghttp2_data_provider body = H2Callbacks::data_provider();
    const int result = nghttp2_submit_response(server_.handle(), id(), list.data(), list.size(),
                                               has_body ? &body : nullptr);
    if (result != 0) {
        throw std::system_error(EPROTO, std::generic_category(), nghttp2_strerror(result));
    }
    server_.wake_writer();
    if (response_->closes_) {
        server_.end_gently();
    }
}

Coro<> H2ServerStream::answer() {
    if (response_->extra_ != nullptr && response_->extra_->upgrade) {
        response_.emplace(426, HttpError(426).text());  // HTTP/2 has no change of protocol
    }
    check_fields();
    const Response& response = *response_;
    const bool is_made = response.extra_ != nullptr;
    const bool has_body = has_content(response.status_) && head_.method != "HEAD" &&
                          (is_made || !response.content().empty());
    begin_answer(has_body);
    const Duration limit = server_.core().options.write_timeout;
    if (!has_body || !is_made) {
        is_answered_ = true;
        body_sent_ = has_body ? response.content().size() : 0;
        if (has_body) {
            write_last(response.content(), limit);
        }
        note();
        co_return;
    }
    std::exception_ptr error;
    try {
        Coro<> sending = send_body();
        co_await std::move(sending);
    } catch (...) {
        error = std::current_exception();
    }
    note();
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    is_answered_ = true;
    write_last({}, limit);
}

Coro<> H2ServerStream::send_body() {
    const Response::Extra& extra = *response_->extra_;
    body_promised_ = extra.length;
    if (!extra.produce) {
        Coro<> sending = send_file();
        co_await std::move(sending);
        co_return;
    }
    const auto sink = std::make_shared<BodySink>(*this, server_.loop());
    std::exception_ptr error;
    try {
        BodyWriter writer(sink);
        Coro<> producing = extra.produce(writer);
        co_await std::move(producing);
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(server_.loop());
    sink->exchange = nullptr;
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    if (is_closed()) {
        throw_closed();
    }
    expect_written();
    if (body_promised_ && body_sent_ != *body_promised_) {
        throw RuntimeError("the streamed body has " + std::to_string(body_sent_) +
                           " bytes, and its length was said to be " + std::to_string(*body_promised_));
    }
}

Coro<> H2ServerStream::write_body(std::string_view bytes) {
    const Using here(*this);
    if (body_promised_ && bytes.size() > *body_promised_ - body_sent_) {
        throw RuntimeError("the streamed body is longer than the length that was given to Response::stream()");
    }
    Coro<> writing = write(bytes, server_.core().options.write_timeout);
    co_await std::move(writing);
    body_sent_ += bytes.size();
}

Coro<> H2ServerStream::send_file() {
    constexpr std::size_t kPiece = 64 << 10;
    Response::Extra& extra = *response_->extra_;
    std::uint64_t left = *extra.length;
    std::uint64_t offset = extra.offset;
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(left, kPiece));
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(room);
    while (left != 0) {
        const std::span<std::byte> piece(buffer.get(), static_cast<std::size_t>(std::min<std::uint64_t>(left, room)));
        const std::size_t count = co_await extra.file.read_at(piece, offset);
        if (count == 0) {
            throw std::system_error(EIO, std::generic_category(), "the file has been cut while it was sent");
        }
        Coro<> sending = write_body({reinterpret_cast<const char*>(buffer.get()), count});
        co_await std::move(sending);
        left -= count;
        offset += count;
    }
}

void H2ServerStream::note() const {
    if (server_.core().router->log) {
        log_request(server_.core().router->log, server_.peer_text(), head_, response_->status_, body_sent_,
                    server_.now() - began_);
    }
}

}  // namespace knit::http::detail
