#include "stream.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <system_error>

#include "../answers.hpp"
#include "knit/error.hpp"
#include "session.hpp"

namespace knit::http::detail {

H2Stream::H2Stream(H2Session& session) : session_(session) { session_.add(*this); }

H2Stream::~H2Stream() {
    if (is_forgotten_) {
        return;
    }
    if (id_ != 0) {
        nghttp2_session_set_stream_user_data(session_.handle(), id_, nullptr);
    }
    session_.remove(*this);
}

void H2Stream::throw_closed() const {
    if (error_code_ == kLost) {
        throw std::system_error(ECONNRESET, std::generic_category(), "the HTTP/2 connection has ended");
    }
    throw std::system_error(ECONNRESET, std::generic_category(),
                            error_code_ == NGHTTP2_NO_ERROR
                                ? std::string("the HTTP/2 stream has ended")
                                : std::string("the HTTP/2 stream was reset: ") + nghttp2_http2_strerror(error_code_));
}

void H2Stream::reset(std::uint32_t error_code) noexcept {
    out_ = {};
    if (!is_closed_ && id_ != 0) {
        nghttp2_submit_rst_stream(session_.handle(), NGHTTP2_FLAG_NONE, id_, error_code);
        session_.wake_writer();
    }
}

void H2Stream::closed(std::uint32_t error_code) noexcept {
    is_closed_ = true;
    error_code_ = error_code;
    out_ = {};
    readable_.set();
    writable_.set();
}

void H2Stream::abandon(std::uint32_t error_code) noexcept {
    reset(error_code);
    is_abandoned_ = true;
    readable_.set();
    writable_.set();
}

TimePoint H2Stream::expire(TimePoint now) noexcept {
    if (read_until_ <= now && is_reading_) {
        is_read_late_ = true;
        read_until_ = TimePoint::max();
        readable_.set();
    }
    if (write_until_ <= now) {
        write_until_ = TimePoint::max();
        is_write_late_ = true;
        reset(is_lingering_ ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
        writable_.set();
    }
    return std::min(is_reading_ ? read_until_ : TimePoint::max(), write_until_);
}

// What comes.

void H2Stream::take_data(std::string_view bytes) {
    if (is_dropping_) {
        consume(bytes.size());
        lingered_ += is_lingering_ ? bytes.size() : 0;
        if (lingered_ > kLingerMost) {
            reset(NGHTTP2_NO_ERROR);
        }
        return;
    }
    received_.append(bytes);
    read_progress_ += bytes.size();
    if (read_progress_ >= kProgress) {
        read_progress_ = 0;
        read_left_ = Duration::zero();
        read_until_ = TimePoint::max();
    }
    readable_.set();
}

void H2Stream::take_end() noexcept {
    has_ended_ = true;
    readable_.set();
}

void H2Stream::consume(std::size_t size) noexcept {
    if (size != 0 && !is_closed_) {
        nghttp2_session_consume_stream(session_.handle(), id_, size);
        session_.wake_writer();
    }
}

void H2Stream::stop_reading() noexcept {
    is_dropping_ = true;
    consume(received_.size() + current_.size());
    received_.clear();
    current_.clear();
    readable_.set();
}

void H2Stream::linger() noexcept {
    is_lingering_ = true;
    write_until_ = knit::detail::after(session_.now(), std::chrono::seconds(1));
    session_.look_at(write_until_);
}

Coro<std::string_view> H2Stream::read(Duration limit) {
    if (is_reading_) {
        throw_second_reader();
    }
    consume(current_.size());
    current_.clear();
    while (received_.empty()) {
        if (is_dropping_) {
            throw_answered();
        }
        if (has_ended_) {
            co_return std::string_view();
        }
        if (is_closed_ || is_abandoned_) {
            throw_closed();
        }
        if (is_read_late_) {
            throw_late();
        }
        if (limit > Duration::zero()) {
            read_left_ = read_left_ == Duration::zero() ? limit : read_left_;
            read_until_ = knit::detail::after(session_.now(), read_left_);
            session_.look_at(read_until_);
        }
        is_reading_ = true;
        readable_.clear();
        try {
            co_await readable_.wait();
        } catch (...) {
            end_wait();
            throw;
        }
        end_wait();
    }
    current_.swap(received_);
    co_return current_;
}

/// A wait that is cancelled counts as any other.
void H2Stream::end_wait() noexcept {
    is_reading_ = false;
    read_left_ = read_until_ == TimePoint::max() ? Duration::zero()
                                                 : std::max<Duration>(read_until_ - session_.now(), Duration(1));
}

// What goes.

void H2Stream::expect_writable() const {
    if (is_write_late_) {
        throw std::system_error(ETIMEDOUT, std::generic_category(), "the peer takes nothing");
    }
    if (is_closed_ || is_abandoned_) {
        throw_closed();
    }
}

void H2Stream::expect_written() const {
    if (is_writing_) {
        throw RuntimeError("the function that makes a body has ended while a write() of it is under way: await each "
                           "write(), and each task that writes");
    }
}

/// The end alone waits for the peer as bytes do: while the stream's window is closed no frame goes, not even an empty
/// one.
void H2Stream::resume_sending() noexcept {
    if (write_limit_ > Duration::zero() && (!out_.empty() || is_last_)) {
        write_until_ = knit::detail::after(session_.now(), write_limit_);
        session_.look_at(write_until_);
    }
    if (is_deferred_) {
        is_deferred_ = false;
        nghttp2_session_resume_data(session_.handle(), id_);
    }
    session_.wake_writer();
}

Coro<> H2Stream::write(std::string_view bytes, Duration limit) {
    if (is_writing_) {
        throw RuntimeError("two tasks write one body at the same time: await each write() before the next, or let one "
                           "task write what the others put into a Queue");
    }
    expect_writable();
    out_ = bytes;
    write_limit_ = limit;
    resume_sending();
    is_writing_ = true;
    try {
        while (!out_.empty()) {
            writable_.clear();
            co_await writable_.wait();
        }
        is_writing_ = false;
        expect_writable();
    } catch (...) {
        is_writing_ = false;
        reset(NGHTTP2_CANCEL);
        throw;
    }
}

void H2Stream::write_last(std::string_view bytes, Duration limit) noexcept {
    out_ = bytes;
    is_last_ = true;
    write_limit_ = limit;
    resume_sending();
}

std::ptrdiff_t H2Stream::give_data(std::span<std::uint8_t> room, std::uint32_t& flags) noexcept {
    const std::size_t size = std::min(room.size(), out_.size());
    if (size == 0 && !is_last_) {
        is_deferred_ = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    std::copy_n(out_.data(), size, room.data());
    out_.remove_prefix(size);
    if (!out_.empty()) {
        write_until_ = write_limit_ > Duration::zero() ? knit::detail::after(session_.now(), write_limit_)
                                                       : TimePoint::max();
        return static_cast<std::ptrdiff_t>(size);
    }
    write_until_ = TimePoint::max();
    writable_.set();
    if (is_last_) {
        flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<std::ptrdiff_t>(size);
}

}  // namespace knit::http::detail
