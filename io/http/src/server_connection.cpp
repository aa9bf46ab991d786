#include "knit/http/detail/server_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <system_error>

#include "answers.hpp"
#include "busy.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/error.hpp"
#include "server_core.hpp"
#include "text.hpp"

namespace knit::http::detail {

ConnectionBase::~ConnectionBase() {
    if (shard_ != nullptr) {
        (previous != nullptr ? previous->next : shard_->connections) = next;
        if (next != nullptr) {
            next->previous = previous;
        }
    }
    flusher_.cancel();
    retire(std::move(request_));
}

void ConnectionBase::begin() {
    watch_.start();
    write_watch_.start();
    shard_ = &core_->shards[watch_.loop().id()];
    next = std::exchange(shard_->connections, this);
    if (next != nullptr) {
        next->previous = this;
    }
    request_ = std::make_unique<Request>();
}

bool ConnectionBase::is_at_end() noexcept {
    is_last_ = is_last_ || (input_.rest().empty() && core_->is_closing());
    return is_last_;
}

// Reading requests.

ConnectionBase::Next ConnectionBase::next_head() {
    const std::string_view rest = input_.rest();
    const int found = rest.empty() ? 0 : scan_.scan(rest, core_->limits);
    if (found == 0) {
        return Next::more;
    }
    if (core_->router->log) {
        began_ = watch_.loop().time();
    }
    if (found != 200) {
        head_ = Head();  // of the request before, whose bytes are gone
        refuse(found);
        return Next::refused;
    }
    const std::string_view bytes = input_.rest().substr(scan_.begin(), scan_.size() - scan_.begin());
    input_.consume(scan_.size());
    scan_.reset();
    is_in_head_ = false;
    const int status = read_request_head(bytes, head_);
    if (status == 505 && is_first_ && bytes == kPreface && core_->options.http2 && has_http2()) {
        return Next::http2;
    }
    is_first_ = false;
    if (status != 200) {
        refuse(status);
        return Next::refused;
    }
    if (!open(*request_, head_, core_->options.body_max)) {
        refuse(400);
        return Next::refused;
    }
    is_body_done_ = head_.framing == Framing::none;
    body_left_ = head_.length;
    body_progress_ = 0;
    body_wait_ = Duration::zero();
    owes_continue_ = head_.expects_continue && !is_body_done_;
    if (!is_body_done_) {
        chunks_ = ChunkedDecoder();
    }
    is_last_ = !head_.keeps_alive || core_->is_closing();
    return Next::request;
}

void ConnectionBase::begin_wait() {
    is_idle_ = input_.rest().empty();
    if (is_idle_) {
        give_back();
        watch_.begin(core_->options.idle_timeout);
        is_in_head_ = false;
    } else if (!std::exchange(is_in_head_, true)) {
        watch_.begin(core_->options.header_timeout);
    } else {
        watch_.begin_again();
    }
}

void ConnectionBase::end_wait() noexcept {
    is_idle_ = false;
    watch_.end();
}

/// A connection that is idle holds no memory for requests: the loop keeps that of some, for the next that have any.
void ConnectionBase::give_back() noexcept {
    constexpr std::size_t kOutKept = 4 << 10;
    constexpr std::size_t kFieldsKept = 128;
    constexpr std::size_t kOutLeast = 15;  // which a string has in itself
    input_.drop();
    body_input_.drop();
    out_.clear();
    if (out_.capacity() > kOutLeast && out_.capacity() <= kOutKept) {
        shard_->outs.keep(std::move(out_));
    }
    std::string().swap(out_);
    if (!head_.fields.empty()) {
        head_.fields.clear();
        if (head_.fields.capacity() <= kFieldsKept) {
            shard_->fields.keep(std::move(head_.fields));
        }
        head_ = Head();
    }
}

void ConnectionBase::take_spare() noexcept {
    out_ = shard_->outs.take();
    head_.fields = shard_->fields.take();
}

void ConnectionBase::begin_write() { write_watch_.begin(core_->options.write_timeout); }

void ConnectionBase::begin_write_here() { write_watch_.begin_here(core_->options.write_timeout); }

void ConnectionBase::end_wait_cancelled(Watch& watch) {
    if (!watch.end_cancelled()) {
        throw;
    }
}

void ConnectionBase::throw_write_timeout() {
    is_broken_ = has_peer_gone_ = is_cut_ = true;
    throw std::system_error(ETIMEDOUT, std::generic_category(), "the peer takes nothing");
}

void ConnectionBase::time_out() {
    if (is_in_head_) {
        began_ = watch_.loop().time();
        head_ = Head();
        refuse(408);
    }
    is_last_ = true;
}

void ConnectionBase::refuse(int status) {
    Response response(status, HttpError(status).text());
    response.close();
    is_body_done_ = true;
    head_.is_http10 = false;
    static_cast<void>(put(response));
}

// Bodies of requests.

std::string_view ConnectionBase::take_body() {
    Input& source = input_.rest().empty() ? body_input_ : input_;
    std::string_view rest = source.rest();
    std::string_view piece;
    if (head_.framing == Framing::sized) {
        piece = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, rest.size())));
        rest.remove_prefix(piece.size());
        body_left_ -= piece.size();
        is_body_done_ = body_left_ == 0;
    } else {
        piece = chunks_.next(rest);
        is_body_done_ = chunks_.is_done();
    }
    source.consume(source.rest().size() - rest.size());
    if (chunks_.is_bad()) {
        is_last_ = true;
        is_body_done_ = true;
        throw HttpError(400, "400: Bad Request (the chunks of the body are malformed)");
    }
    return piece;
}

/// Of a body that nobody wants, what has come is passed over; whether that is all of it.
bool ConnectionBase::skip_body() {
    try {
        while (!is_body_done_ && !(input_.rest().empty() && body_input_.rest().empty())) {
            static_cast<void>(take_body());
        }
    } catch (const HttpError&) {
        is_last_ = true;  // the connection ends with the answer that there is
    }
    return is_body_done_;
}

Coro<std::string_view> ConnectionBase::read_body(std::uint16_t request_number) {
    co_await resume_on(watch_.loop());
    if (request_number != request_number_) {
        throw_answered();
    }
    if (is_reading_) {
        throw_second_reader();
    }
    const Busy reading(is_reading_, others_);
    expect_unanswered();
    const bool is_other = watch_.loop().worker().current_task() != watch_.task().ref().get();
    if (is_other) {
        note_reader(*request_, watch_.loop());
        has_readers_ = true;
    }
    std::string_view piece;
    while (piece.empty() && !is_body_done_) {
        piece = take_body();
        if (piece.empty() && !is_body_done_) {
            Coro<> filling = fill_body();
            co_await std::move(filling);
        }
    }
    if (is_other && piece.empty()) {
        note_reader_end(*request_, watch_.loop());
    }
    co_return piece;
}

void ConnectionBase::expect_unanswered() const {
    if (is_reading_ && is_answered_) {
        throw_answered();
    }
}

/// The read of another task, who gets an error for it: not a cancellation, which would be the task's own.
Coro<> ConnectionBase::end_reading() {
    is_answered_ = true;
    while (is_reading_) {
        watch_.expire();
        others_.clear();
        co_await others_.wait();
    }
}

Coro<> ConnectionBase::fill_body() {
    constexpr std::size_t kProgress = 1024;
    if (owes_continue_) {
        out_.append("HTTP/1.1 100 Continue\r\n\r\n");
        owes_continue_ = false;
    }
    if (is_streaming_) {
        expect_whole();  // another task may write: what stands in out_ goes with its next piece
    } else {
        Coro<> asking = ask_for_body();
        co_await std::move(asking);
    }
    expect_unanswered();
    if (body_wait_ == Duration::zero()) {
        body_wait_ = core_->options.body_timeout;
    }
    watch_.begin_here(body_wait_);  // a handler may have another task read
    const bool is_long = head_.framing == Framing::chunked || body_left_ > kPiece / 4;
    bool has_come = false;
    try {
        Coro<bool> filling = fill(body_input_, is_long ? kPiece : kPiece / 4);
        has_come = co_await std::move(filling);
    } catch (const CancelledError&) {
        body_wait_ = watch_.left();
        end_wait_cancelled(watch_);
        expect_unanswered();
        is_last_ = true;
        is_body_done_ = true;
        throw HttpError(408);
    } catch (...) {
        watch_.end();  // its deadline would cancel what the handler does after this
        throw;
    }
    body_wait_ = watch_.left();
    watch_.end();
    expect_unanswered();  // what has come stays
    body_progress_ += body_input_.rest().size();
    if (body_progress_ >= kProgress) {
        body_progress_ = 0;
        body_wait_ = Duration::zero();
    }
    if (!has_come) {
        is_last_ = true;
        is_body_done_ = true;
        has_peer_gone_ = true;
        throw std::system_error(ECONNRESET, std::generic_category(), "the peer has gone in the middle of a body");
    }
}

/// What the handler has left of the body is read away when that is little; otherwise the connection ends.
Coro<> ConnectionBase::finish_body() {
    is_answered_ = true;
    if (is_reading_) {
        report(reader_left_error(), request_name());
        Coro<> flushing = flush();  // the peer has its answer, however long the stream takes to end the read
        co_await std::move(flushing);
        Coro<> ending = end_reading();
        co_await std::move(ending);
    }
    const bool is_much = head_.framing == Framing::sized && body_left_ > kPiece;
    if (is_last_ || owes_continue_ || is_much) {
        is_last_ = true;
        co_return;
    }
    std::size_t drained = 0;
    while (!is_body_done_ && drained <= kPiece) {
        try {
            const std::string_view piece = take_body();
            drained += piece.size();
            if (piece.empty() && !is_body_done_) {
                Coro<> filling = fill_body();
                co_await std::move(filling);
            }
        } catch (const HttpError&) {
            break;
        }
    }
    is_last_ = is_last_ || !is_body_done_;
}

void ConnectionBase::end_request() {
    ++request_number_;
    if (std::exchange(has_readers_, false)) [[unlikely]] {
        try {
            replace(request_);
        } catch (const std::bad_alloc&) {
            is_last_ = true;  // what is answered is sent
        }
    }
    if (!body_input_.rest().empty()) {
        input_ = std::exchange(body_input_, Input());
    } else {
        body_input_.release();
    }
}

}  // namespace knit::http::detail
