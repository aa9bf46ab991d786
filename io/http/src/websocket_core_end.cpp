// WebSocketCore: the heartbeat, and good-byes of this side.

#include <algorithm>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "knit/http/detail/websocket_core.hpp"
#include "knit/error.hpp"
#include "knit/loop.hpp"
#include "knit/timeout.hpp"
#include "websocket_codec.hpp"

namespace knit::http::detail {

WebSocketCore::Ref WebSocketCore::start(Ref core) {
    if (core->heartbeat_ > Duration::zero()) {
        core->heard_at_ = core->loop_.time();
        core->arm(core->heartbeat_);
    }
    return core;
}

void WebSocketCore::arm(Duration delay) {
    timer_ = loop_.call_later(delay, [watched = weak_from_this()] {
        if (const Ref core = watched.lock()) {
            core->beat();
        }
    });
}

void WebSocketCore::take_time(TimePoint& of) const noexcept {
    if (heartbeat_ > Duration::zero()) {
        of = loop_.time();
    }
}

void WebSocketCore::beat() {
    const bool has_failed = write_error_ != nullptr;  // receiving goes on, and there may be nobody any more
    if (is_closed_ || (is_close_sent_ && !has_failed)) {
        return;  // a good-bye has a time limit of its own
    }
    const TimePoint now = loop_.time();
    if (is_pinged_) {
        judge(now);
        return;
    }
    const Duration silence = now - heard_at_;
    if (silence < heartbeat_) {
        arm(heartbeat_ - silence);
        return;
    }
    if (!has_failed && !std::exchange(is_ping_waiting_, true)) {
        codec_->put(kPing, {}, output_);
        start_writing();
    }
    is_pinged_ = true;
    taken_at_ = now;
    arm(heartbeat_ / 2);
}

/// A peer is given up only for a silence that somebody has listened to: pongs lie unread while nobody receives, and
/// what has come may not have been looked at when a read has only begun. So it is looked twice.
void WebSocketCore::judge(TimePoint now) {
    const bool has_ping = !is_ping_waiting_ || write_error_ != nullptr;
    const Duration patience = has_ping ? heartbeat_ / 2 : heartbeat_ * 4;
    const Duration silence = now - std::max(heard_at_, taken_at_);
    if (!is_reading_ || silence < patience) {
        is_suspect_ = false;
        arm(is_reading_ ? std::min(patience - silence, heartbeat_ / 2) : heartbeat_ / 2);
    } else if (!std::exchange(is_suspect_, true)) {
        arm(heartbeat_ / 16);
    } else {
        give_up();
    }
}

void WebSocketCore::go_away() noexcept {
    constexpr int kGoingAway = 1001;
    if (is_closing()) {
        return;
    }
    is_going_away_ = true;
    try {
        put_close(kGoingAway, {});
        if (close_timeout_ > Duration::zero()) {
            timer_.cancel();
            timer_ = loop_.call_later(close_timeout_, [watched = weak_from_this()] {
                if (const Ref core = watched.lock(); core != nullptr && core->close_code_ == 0) {
                    core->give_up();
                }
            });
        }
    } catch (const std::exception&) {
        give_up();  // no memory, or the run is over
    }
}

bool WebSocketCore::is_peers_fault(const std::exception_ptr& error) const {
    const bool has_ended = close_code_ != 0 || is_going_away_;
    try {
        std::rethrow_exception(error);
    } catch (const WebSocketError& broken) {
        return broken.code() == close_code_;
    } catch (const std::system_error& failed) {
        const bool is_ours = failed.code() == std::errc::broken_pipe || failed.code() == std::errc::operation_canceled;
        return error == write_error_ || (has_ended && is_ours);
    } catch (...) {
        return false;
    }
}

// The end.

void WebSocketCore::abort() noexcept {
    if (!std::exchange(is_closed_, true)) {
        is_cut_ = !output_.empty() || in_flight_ != 0;
        output_.clear();
        timer_.cancel();
        close_lower();
        drained_.set();
    }
}

void WebSocketCore::leave() noexcept {
    if (!is_ending_) {
        abort();
    }
}

Coro<> WebSocketCore::close(Ref core, int code, std::string reason) {
    co_await resume_on(core->loop_);
    if (core->is_closed_) {
        co_return;
    }
    core->put_close(code, reason);
    try {
        Coro<> waiting = core->await_close();
        co_await with_timeout(limit_of(core->close_timeout_), std::move(waiting));
    } catch (const std::exception&) {
        core->give_up();  // no answer
    } catch (...) {
        core->give_up();
        throw;
    }
}

void WebSocketCore::give_up() noexcept {
    if (close_code_ == 0) {
        close_code_ = 1006;
    }
    abort();
}

/// The peer's close frame, and the end of the stream.
Coro<> WebSocketCore::await_close() {
    while (close_code_ == 0) {
        Coro<WebSocketMessage> receiving = receive_here(shared_from_this());
        static_cast<void>(co_await std::move(receiving));
    }
    while (users_ != 0) {
        unused_.clear();
        co_await unused_.wait();
    }
}

Coro<> WebSocketCore::finish(Ref core) {
    core->leave();
    std::exception_ptr cancelled;
    while (core->users_ != 0) {
        try {
            core->unused_.clear();
            co_await core->unused_.wait();
        } catch (const CancelledError&) {
            cancelled = std::current_exception();
            core->abort();
        }
    }
    if (cancelled != nullptr) {
        std::rethrow_exception(cancelled);
    }
}

}  // namespace knit::http::detail
