// ConnectionBase: calling handlers and sending what they return.

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "answers.hpp"
#include "busy.hpp"
#include "is_a.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/error.hpp"
#include "knit/loop.hpp"
#include "server_core.hpp"
#include "text.hpp"

namespace knit::http::detail {

const Handler* ConnectionBase::begin_handler() {
    RouterCore::Found found = core_->router->find(*request_);
    if (found.handler == nullptr) {
        response_.emplace(missing_response(std::move(found.allowed)));
        return nullptr;
    }
    flush_when_suspended();
    is_in_handler_ = true;
    is_answered_ = false;
    return found.handler;
}

void ConnectionBase::catch_handler_error() {
    try {
        throw;
    } catch (const CancelledError&) {
        if (is_cancelled()) {
            throw;
        }
        handler_error_ = std::current_exception();  // of something that the handler awaited: an error like any other
    } catch (const BaseException&) {
        throw;
    } catch (...) {
        handler_error_ = std::current_exception();
    }
}

bool ConnectionBase::end_handler() noexcept {
    if (&watch_.task().get_loop() != &watch_.loop()) {
        return false;
    }
    is_in_handler_ = false;
    return handler_error_ == nullptr && !flushing_.ref() && !is_reading_;
}

Coro<> ConnectionBase::settle_handler() {
    is_in_handler_ = false;
    const bool has_failed = handler_error_ != nullptr;
    if (has_failed) {
        response_.emplace(error_response(std::exchange(handler_error_, nullptr)));
    }
    is_answered_ = !lets_read(*response_);  // now: nobody begins to read while this waits
    if (is_reading_) {
        const bool has_function = response_->extra_ != nullptr && response_->extra_->produce;
        Coro<> settling = settle_reading(has_failed || has_function);
        co_await std::move(settling);
    }
    if (flushing_.ref()) {
        Coro<> flushing = flush();
        co_await std::move(flushing);
    }
    if (is_reading_) {  // one that may go on has begun meanwhile
        Coro<> settling = settle_reading(true);
        co_await std::move(settling);
    }
}

Coro<> ConnectionBase::finish_request(bool is_put) {
    if (!is_put) {
        Coro<> putting = put_slowly(*response_);
        co_await std::move(putting);
    }
    response_.reset();
    if (has_rest()) {
        Coro<> finishing = finish_body();
        co_await std::move(finishing);
    }
}

/// A task that reads may go on beside the function that makes the answer's body, and with nothing else: what follows
/// reads the stream itself. A handler that fails may have left it; its own error is the one that is told.
Coro<> ConnectionBase::settle_reading(bool is_expected) {
    if (!is_answered_) {
        while (is_asking_) {
            others_.clear();
            co_await others_.wait();
        }
        co_return;
    }
    Coro<> ending = end_reading();
    co_await std::move(ending);
    if (!is_expected) {
        report(reader_left_error(), request_name());
    }
}

/// An HttpError is an answer; all else is a fault of the handler's: 500 to the peer, the exception to the loop.
Response ConnectionBase::error_response(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const HttpError& answer) {
        Response response(answer.status(), answer.text());
        if (answer.status() == 413) {
            response.close();  // what is too large is not read away either
        }
        return response;
    } catch (...) {
        if (is_peers_fault(error)) {
            throw;
        }
    }
    report(error, request_name());
    return Response(500, HttpError(500).text());
}

bool ConnectionBase::is_cancelled() const { return watch_.task().cancelling() != 0; }

/// The errors of a stream that has failed are nobody's news.
bool ConnectionBase::is_peers_fault(const std::exception_ptr& error) const {
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error&) {
        return has_peer_gone_;
    } catch (...) {
        return false;
    }
}

std::string ConnectionBase::request_name() const {
    return std::string(head_.method).append(" ").append(request_->raw_path());
}

void ConnectionBase::report(const std::exception_ptr& error, const std::string& request) {
    report_handler_error(watch_.loop(), watch_.task(), error, request);
}

void ConnectionBase::cut_off(const std::exception_ptr& error, const std::string& request) {
    if (is_a<CancelledError>(error) ? is_cancelled() : is_a<BaseException>(error)) {
        std::rethrow_exception(error);
    }
    if (!is_peers_fault(error)) {
        report(error, request);
    }
    throw std::system_error(ECONNABORTED, std::generic_category(), "the answer could not be ended");
}

void ConnectionBase::append_head(const Response& response, bool is_chunked) {
    if (response.status_ == 200) {
        out_.append("HTTP/1.1 200 OK\r\n");
    } else {
        out_.append("HTTP/1.1 ");
        append_number(out_, static_cast<std::uint64_t>(response.status_));
        out_.append(" ").append(reason_of(response.status_)).append("\r\n");
    }
    const Response::Extra* const extra = response.extra_.get();
    const bool is_counted = extra == nullptr || extra->length.has_value();
    if (is_chunked) {
        out_.append("Transfer-Encoding: chunked\r\n");
    } else if (is_counted && has_content(response.status_)) {
        out_.append("Content-Length: ");
        append_number(out_, extra != nullptr ? *extra->length : response.content().size());
        out_.append("\r\n");
    }
    if (!response.type_.empty()) {
        out_.append("Content-Type: ").append(response.type_).append("\r\n");
    }
    if (!response.has_date_) {
        out_.append(shard_->date.text());
    }
    out_.append(response.fields_);
    if (response.status_ == 101) {
        out_.append("Connection: Upgrade\r\n");
    } else if (response.status_ == 426) {
        out_.append(is_last_ ? "Connection: close, Upgrade\r\n" : "Connection: Upgrade\r\n");
    } else if (is_last_) {
        out_.append("Connection: close\r\n");
    } else if (head_.is_http10) {
        out_.append("Connection: keep-alive\r\n");  // which HTTP/1.0 does only when both have said so
    }
    out_.append("\r\n");
}

bool ConnectionBase::has_answer_body(const Response& response) const noexcept {
    return has_content(response.status_) && head_.method != "HEAD";
}

/// Whether a task may read the request beside the function that makes the body.
bool ConnectionBase::lets_read(const Response& response) const noexcept {
    return response.extra_ != nullptr && response.extra_->produce && has_answer_body(response);
}

bool ConnectionBase::put(Response& response) {
    expect_whole();
    is_answered_ = !lets_read(response);
    if (response.extra_ != nullptr && response.extra_->upgrade) [[unlikely]] {
        check_upgrade(response);
    }
    is_last_ = is_last_ || response.closes_ || core_->is_closing();
    // A client that still waits for 100 may send the body or not: no telling where the next request begins.
    is_last_ = is_last_ || (owes_continue_ && !is_body_done_);
    is_last_ = is_last_ || (!is_body_done_ && head_.framing == Framing::sized && body_left_ > kPiece);
    // Nobody knows how long the rest of one in chunks is, and "close" cannot be said later.
    is_last_ = is_last_ || (!is_body_done_ && head_.framing == Framing::chunked &&
                            (response.extra_ != nullptr || !skip_body()));
    owes_continue_ = false;
    if (response.extra_ != nullptr) {
        return false;
    }
    const std::string_view content = response.content();
    const bool has_body = has_answer_body(response);
    if (has_body && content.size() > kOutMost / 2) {
        return false;
    }
    append_head(response, false);
    if (has_body) {
        out_.append(content);
    }
    note(response, has_body ? content.size() : 0);
    return true;
}

Coro<> ConnectionBase::put_slowly(Response& response) {
    const Response::Extra* const extra = response.extra_.get();
    if (is_small_file(response)) {
        Coro<bool> putting = put_small_file(response);
        if (!co_await std::move(putting)) {
            response = error_response(std::exchange(handler_error_, nullptr));
            static_cast<void>(put(response));
        }
        co_return;
    }
    const bool is_upgrade = extra != nullptr && extra->upgrade;
    const bool is_unlimited = extra != nullptr && extra->produce && !extra->length;
    is_chunking_ = is_unlimited && !head_.is_http10 && has_content(response.status_);
    is_last_ = is_last_ || is_upgrade || (is_unlimited && head_.is_http10 && has_answer_body(response));
    body_sent_ = 0;
    body_promised_ = extra != nullptr ? extra->length : std::optional<std::uint64_t>(response.content().size());
    append_head(response, is_chunking_);
    const std::string request = extra != nullptr ? request_name() : std::string();
    if (is_upgrade) {
        note(response, 0);  // what follows reads over the request
    }
    std::exception_ptr error;
    try {
        if (is_upgrade || has_answer_body(response)) {
            Coro<> putting = put_body(response);
            co_await std::move(putting);
        }
    } catch (...) {
        error = std::current_exception();
    }
    if (!is_upgrade) {
        note(response, body_sent_);
    }
    if (error != nullptr) {
        // A body that ends with the connection would look whole.
        is_cut_ = is_cut_ || (!is_upgrade && !is_chunking_ && !body_promised_);
        cut_off(error, request);
    }
}

/// The head goes first, whatever the body waits for.
Coro<> ConnectionBase::put_body(Response& response) {
    Coro<> flushing = flush();
    co_await std::move(flushing);
    if (response.extra_ == nullptr) {
        Coro<> sending = send(response.content());
        co_await std::move(sending);
        body_sent_ = response.content().size();
        co_return;
    }
    const Response::Extra& extra = *response.extra_;
    Coro<> putting = extra.upgrade   ? run_upgraded(response)
                     : extra.produce ? put_stream(response)
                                     : put_file(response);
    co_await std::move(putting);
}

/// An error in the middle cannot be said any more: the connection is cut off, without what would end the body.
Coro<> ConnectionBase::put_stream(Response& response) {
    const auto sink = std::make_shared<BodySink>(*this, watch_.loop());
    std::exception_ptr error;
    is_streaming_ = true;
    try {
        BodyWriter writer(sink);
        Coro<> producing = response.extra_->produce(writer);
        co_await std::move(producing);
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(watch_.loop());
    sink->exchange = nullptr;
    is_streaming_ = false;
    is_answered_ = true;
    const bool is_left = is_writing_;
    if (is_left) {
        // What another task has begun ends before the connection does; nothing follows a piece that is not whole.
        is_broken_ = true;
        is_cut_ = is_cut_ || (!is_chunking_ && !body_promised_);
        if (is_cut_) {
            abort_bare();
        }
        close_bare();
    }
    while (is_writing_) {
        others_.clear();
        try {
            co_await others_.wait();
        } catch (...) {
            error = std::current_exception();
        }
    }
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    if (is_left) {
        throw RuntimeError("the function that makes a body has ended while a write() of it is under way: await each "
                           "write(), and each task that writes");
    }
    expect_whole();
    if (body_promised_ && body_sent_ != *body_promised_) {
        throw RuntimeError("the streamed body has " + std::to_string(body_sent_) +
                           " bytes, and its length was said to be " + std::to_string(*body_promised_));
    }
    if (is_chunking_) {
        out_.append("0\r\n\r\n");
    }
}

Coro<> ConnectionBase::write_body(std::string_view bytes) {
    if (is_writing_) {
        throw RuntimeError("two tasks write one body at the same time: await each BodyWriter::write() before the "
                           "next, or let one task write what the others put into a Queue");
    }
    expect_whole();
    if (body_promised_ && bytes.size() > *body_promised_ - body_sent_) {
        throw RuntimeError("the streamed body is longer than the length that was given to Response::stream()");
    }
    const Busy writing(is_writing_, others_);
    try {
        if (is_chunking_) {
            append_number(out_, bytes.size(), 16);
            out_.append("\r\n");
        }
        const bool is_long = bytes.size() > kOutMost / 2;
        if (!is_long) {
            out_.append(bytes).append(is_chunking_ ? "\r\n" : "");
        }
        Coro<> flushing = flush();
        co_await std::move(flushing);
        if (is_long) {
            Coro<> sending = send(bytes);
            co_await std::move(sending);
            out_.append(is_chunking_ ? "\r\n" : "");
        }
    } catch (...) {
        is_broken_ = true;
        throw;
    }
    body_sent_ += bytes.size();
}

void ConnectionBase::note(const Response& response, std::uint64_t body_bytes) {
    if (core_->router->log) {
        if (peer_text_.empty()) {
            peer_text_ = peer().host();
        }
        log_request(core_->router->log, peer_text_, head_, response.status_, body_bytes, watch_.loop().time() - began_);
    }
}

}  // namespace knit::http::detail
