#include "session.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "callbacks.hpp"
#include "knit/error.hpp"
#include "knit/loop.hpp"
#include "knit/shield.hpp"
#include "knit/sleep.hpp"

namespace knit::http::detail {

H2Session::H2Session(Side side, Duration write_timeout) : side_(side), write_timeout_(write_timeout) {}

H2Session::~H2Session() { timer_.cancel(); }

void H2Session::start(const std::vector<nghttp2_settings_entry>& settings, std::int32_t connection_window) {
    loop_ = &get_running_loop();
    session_ = side_ == Side::server ? H2Callbacks::make_server(*this) : H2Callbacks::make_client(*this);
    const bool is_made =
        nghttp2_submit_settings(handle(), NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0 &&
        nghttp2_session_set_local_window_size(handle(), NGHTTP2_FLAG_NONE, 0, connection_window) == 0;
    if (!is_made) {
        throw std::bad_alloc();
    }
}

bool H2Session::is_over() const noexcept { return is_failed_ || nghttp2_session_want_read(handle()) == 0; }

void H2Session::end_soon() noexcept {
    if (session_ == nullptr || is_ending()) {
        return;
    }
    is_ending_ = true;
    const std::int32_t last = nghttp2_session_get_last_proc_stream_id(handle());
    if (nghttp2_submit_goaway(handle(), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0) != 0) {
        is_failed_ = true;  // there is no memory for it
        nudge_reader();
    }
    wake_writer();
}

void H2Session::terminate(std::uint32_t error_code) noexcept {
    is_ending_ = true;
    is_failed_ = nghttp2_session_terminate_session(handle(), error_code) != 0 || is_failed_;
    wake_writer();
    nudge_reader();
}

// Streams.

void H2Session::add(H2Stream& stream) {
    stream.place_ = streams_.size();
    streams_.push_back(&stream);
}

void H2Session::remove(H2Stream& stream) noexcept {
    streams_[stream.place_] = streams_.back();
    streams_[stream.place_]->place_ = stream.place_;
    streams_.pop_back();
    if (streams_.empty()) {
        last_stream_gone();
    }
}

/// A stream may be gone after it has been told; the last one then has its place, and was told before. A request that
/// has not left is one that its server has not looked at.
void H2Session::close_streams(bool but_answered) noexcept {
    for (std::size_t left = streams_.size(); left > 0; --left) {
        H2Stream* const stream = left <= streams_.size() ? streams_[left - 1] : nullptr;
        if (stream != nullptr && !stream->is_closed() && !(but_answered && stream->is_answered())) {
            constexpr std::uint32_t kUnseen = NGHTTP2_REFUSED_STREAM;
            stream->closed(side_ == Side::server || stream->has_begun() ? H2Stream::kLost : kUnseen);
        }
    }
}

void H2Session::forget_streams() noexcept {
    for (H2Stream* const stream : streams_) {
        stream->is_forgotten_ = true;
    }
    streams_.clear();
}

// Deadlines: one timer, for the first of them.

void H2Session::look_at(TimePoint deadline) noexcept {
    if (is_failed_ || deadline >= armed_for_) {
        return;
    }
    timer_.cancel();
    try {
        timer_ = loop_->call_at(deadline, [this] { ring(); });
        armed_for_ = deadline;
    } catch (const std::exception&) {
        is_failed_ = true;  // what has no deadline must not go on: there is no memory, or the loop is closed
        wake_writer();
        nudge_reader();
    }
}

void H2Session::ring() {
    armed_for_ = TimePoint::max();
    const TimePoint now = loop_->time();
    TimePoint next = expire(now);
    for (H2Stream* const stream : streams_) {
        next = std::min(next, stream->expire(now));
    }
    look_at(next);
}

// Reading.

void H2Session::feed(std::string_view bytes) noexcept {
    if (!bytes.empty() && !is_failed_) {
        ++heard_count_;
        const auto taken = nghttp2_session_mem_recv(
            handle(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
        is_failed_ = is_failed_ || taken < 0;  // no HTTP/2, or a flood that is not worth an answer
    }
    if (nghttp2_session_want_write(handle()) != 0) {
        wake_writer();
    }
}

/// A client that makes us answer and reads no answers is not listened to meanwhile. In a client's own queue are the
/// requests that wait for others to be answered, which have to be read.
Coro<> H2Session::wait_for_room() {
    while (side_ == Side::server && !is_over() && nghttp2_session_get_outbound_queue_size(handle()) > kFramesMost) {
        room_.clear();
        co_await room_.wait();
    }
}

Coro<std::exception_ptr> H2Session::read_frames() {
    std::exception_ptr cancelled;
    try {
        Coro<> reading = read_until_over();
        co_await std::move(reading);
    } catch (const std::system_error&) {
        is_failed_ = true;  // the peer has gone, which is its right
    } catch (const CancelledError&) {
        cancelled = std::current_exception();
    } catch (...) {
        failure_ = std::current_exception();
        is_failed_ = true;
    }
    co_return cancelled;
}

Coro<> H2Session::read_until_over() {
    reader_watch_.start();
    for (;;) {
        feed(input_.rest());
        input_.consume(input_.rest().size());
        Coro<> waiting = wait_for_room();
        co_await std::move(waiting);
        if (is_over()) {
            co_return;
        }
        reader_watch_.begin(Duration::zero());
        bool has_come = true;
        try {
            Coro<bool> filling = fill(input_, kPiece);
            has_come = co_await std::move(filling);
        } catch (const CancelledError&) {
            if (!reader_watch_.end_cancelled()) {
                throw;
            }
        } catch (...) {
            reader_watch_.end();  // nudge_reader() would cancel what comes after the reading
            throw;
        }
        reader_watch_.end();
        if (!has_come) {
            co_return;
        }
    }
}

// Writing.

void H2Session::collect() {
    out_.clear();
    while (out_.size() < kOutMost) {
        const std::uint8_t* bytes = nullptr;
        const auto size = nghttp2_session_mem_send(handle(), &bytes);
        if (size <= 0) {
            is_failed_ = is_failed_ || size < 0;
            return;
        }
        out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
}

Coro<> H2Session::write_until_stopped(Watch& watch) {
    for (;;) {
        wake_.clear();
        if (is_failed_) {
            co_return;  // nghttp2 has to be left alone after its own errors
        }
        collect();
        for (std::string_view rest = out_; !rest.empty() && !is_failed_;) {
            watch.begin(write_timeout_);
            Coro<std::size_t> sending = send_some(rest);
            const std::size_t count = co_await std::move(sending);
            if (watch.end()) {
                is_failed_ = is_stuck_ = true;  // over TLS, which takes what the peer does not
                co_return;
            }
            rest.remove_prefix(count);
        }
        room_.set();
        if (!out_.empty()) {
            continue;
        }
        if (is_over()) {
            nudge_reader();
        }
        if (is_stopping_ || is_failed_) {
            co_return;
        }
        co_await wake_.wait();
    }
}

Coro<> H2Session::write_frames() {
    Watch watch;
    watch.start();
    try {
        Coro<> writing = write_until_stopped(watch);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        is_failed_ = true;  // the peer has gone, which the reader says too
    } catch (const CancelledError&) {
        is_stuck_ = watch.end_cancelled();  // else the connection ends
        is_failed_ = true;
    } catch (...) {
        failure_ = std::current_exception();
        is_failed_ = true;
    }
    watch.end();
    room_.set();
    nudge_reader();
}

Coro<std::exception_ptr> H2Session::end_writer(Task<>& writer) {
    std::exception_ptr cancelled;
    is_stopping_ = true;
    wake_writer();
    if (is_failed_) {
        writer.cancel();  // which may be held up by a peer that takes nothing
    }
    bool is_starved = false;
    while (!writer.done()) {
        try {
            if (std::exchange(is_starved, false)) {
                co_await yield();
                continue;
            }
            Future<> ended = shield(writer);
            co_await ended;
        } catch (const CancelledError&) {
            if (!writer.done()) {
                cancelled = std::current_exception();
                writer.cancel();
            }
        } catch (const std::bad_alloc&) {
            is_starved = true;  // to wait takes memory: it is looked at each turn, and soon ends
            writer.cancel();
        }
    }
    timer_.cancel();
    timer_ = Handle();
    is_failed_ = true;  // nothing sets the timer again
    co_return cancelled;
}

void H2Session::throw_end(const std::exception_ptr& cancelled) const {
    if (cancelled != nullptr) {
        std::rethrow_exception(cancelled);
    }
    if (failure_ != nullptr) {
        std::rethrow_exception(failure_);
    }
}

}  // namespace knit::http::detail
