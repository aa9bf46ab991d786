// ConnectionBase: how a connection ends.

#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "server_core.hpp"

namespace knit::http::detail {

void ConnectionBase::keep_error() noexcept {
    has_failed_ = true;
    try {
        throw;
    } catch (const std::system_error&) {
        is_last_ = true;  // the peer has gone, which is its right
    } catch (const CancelledError&) {
        if (is_idle_ && watch_.end_cancelled()) {
            is_last_ = true;
            has_failed_ = false;  // its time is over: it is closed as usual
            return;
        }
        error_ = std::current_exception();  // not the handler's: what that throws is answered
        is_cancelled_ = true;
    } catch (...) {
        error_ = std::current_exception();  // memory's, or of a stream that is not knit's
    }
}

Coro<> ConnectionBase::begin_end() noexcept {
    try {
        return finish();
    } catch (const std::bad_alloc&) {
        return {};
    }
}

Coro<> ConnectionBase::finish() {
    if (is_last_ && !has_failed_ && !is_closed_ && !is_cut_) {
        try {
            Coro<> closing = close_gently();
            co_await std::move(closing);
        } catch (...) {
            keep_error();
        }
    }
    // Timers and lists are of the loop that this began on; a handler that was cancelled may have left it.
    co_await come_home(watch_.loop());
    while (is_reading_) {
        stop_others();
        try {
            co_await others_.wait();
        } catch (const CancelledError&) {
            keep_error();
        }
    }
    is_idle_ = false;
    watch_.end();
    write_watch_.end();
    while (flushing_.ref()) {
        try {
            flushing_.cancel();
            Task<> other = flushing_;
            co_await std::move(other);
        } catch (const CancelledError&) {
            if (!flushing_.done()) {
                keep_error();
            }
        } catch (const std::system_error&) {
            is_last_ = true;  // the peer has gone
        } catch (...) {
            error_ = error_ != nullptr ? error_ : std::current_exception();
        }
        if (flushing_.done()) {
            flushing_ = Task<>();
        }
    }
    Coro<> ending = end_stream();
    co_await std::move(ending);
    if (error_ != nullptr) {
        std::rethrow_exception(error_);
    }
}

/// The connection counts as one until the stream's own good-bye is said.
Coro<> ConnectionBase::end_stream() {
    if (is_cut_) {
        abort_bare();
    }
    close_bare();
    if (!is_cancelled_) {
        Coro<> waiting = wait_closed_bare();
        co_await std::move(waiting);
    }
}

void ConnectionBase::end_when_idle() noexcept {
    if (takeover_ != nullptr) {
        takeover_->end_soon();
    } else if (is_idle_) {
        watch_.expire();  // unless a request has come in this very turn
    } else {
        tell_closing();
    }
}

/// The connection ends: what a task still does that a handler has left behind, a read and what is sent before it. The
/// read of a stream that does not hear of its cancellation ends with the stream.
void ConnectionBase::stop_others() noexcept {
    is_answered_ = true;
    watch_.expire();
    write_watch_.expire();
    if (flushing_.ref()) {
        flushing_.cancel();
    }
    if (is_cut_) {
        abort_bare();
    }
    close_bare();
    others_.clear();
}

}  // namespace knit::http::detail
