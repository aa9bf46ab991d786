// ConnectionBase: bytes to the peer from elsewhere than serve_requests().

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "busy.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/connection_base.hpp"
#include "knit/loop.hpp"
#include "knit/shield.hpp"
#include "knit/task.hpp"
#include "server_core.hpp"

namespace knit::http::detail {

void ConnectionBase::expect_whole() const {
    if (is_broken_) {
        throw std::system_error(ECONNABORTED, std::generic_category(),
                                "a write before was cancelled or failed: the answer cannot go on");
    }
}

/// What goes out is taken off out_ first: it is not sent again, however that ends.
Coro<> ConnectionBase::flush() {
    if (flushing_.ref()) {
        Future<> other = shield(flushing_);  // who waits may be cancelled; the answers before go on
        co_await other;
        flushing_ = Task<>();
    }
    expect_whole();
    if (!out_.empty()) {
        std::string bytes = std::exchange(out_, {});
        try {
            Coro<> sending = send(bytes);
            co_await std::move(sending);
        } catch (...) {
            is_broken_ = true;
            throw;
        }
        bytes.clear();
        out_.swap(bytes);  // the memory, to be used again
    }
}

/// What the peer waits for before it sends the body.
Coro<> ConnectionBase::ask_for_body() {
    const Busy asking(is_asking_, others_);
    try {
        Coro<> flushing = flush();
        co_await std::move(flushing);
    } catch (...) {
        if (current_task()->cancelling() == 0) {
            expect_unanswered();  // the flush was cancelled, or cut off
        }
        throw;
    }
}

/// A handler that takes its time does not hold up the answers before its own.
void ConnectionBase::flush_when_suspended() {
    if (out_.empty() || is_flush_due_) {
        return;
    }
    flusher_ = watch_.loop().call_soon([this] {
        is_flush_due_ = false;
        if (is_in_handler_ && !out_.empty() && !flushing_.ref() && !is_broken_) {
            flushing_ = create_task(flush_beside());  // without memory for that they wait for the handler
        }
    });
    is_flush_due_ = true;
}

/// The connection's Watches are for its handlers' tasks, who have no part in this. A peer that takes nothing breaks the
/// connection: no further answer is sent.
Coro<> ConnectionBase::flush_beside() {
    const std::string bytes = std::exchange(out_, {});
    Watch watch;
    watch.start();
    try {
        for (std::string_view rest = bytes; !rest.empty();) {
            watch.begin(core_->options.write_timeout);
            Coro<std::size_t> sending = send_some(rest);
            const std::size_t count = co_await std::move(sending);
            if (watch.end()) {
                throw_write_timeout();  // TLS has taken bytes that the peer has not
            }
            rest.remove_prefix(count);
        }
    } catch (const CancelledError&) {
        is_broken_ = true;
        if (!watch.end_cancelled()) {
            throw;
        }
        throw_write_timeout();
    } catch (const std::system_error&) {
        is_broken_ = has_peer_gone_ = true;
        throw;
    } catch (...) {
        is_broken_ = true;
        throw;
    }
}

}  // namespace knit::http::detail
