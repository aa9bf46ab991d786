// The end of a TlsStream: close-notify, the peer's last bytes, the stream below.

#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "aside.hpp"
#include "background.hpp"
#include "context_state.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/timeout.hpp"
#include "knit/tls/detail/tls_core.hpp"

namespace knit::detail {
namespace {

// What is thrown away, and how long, while a closed connection waits for the peer's end.
constexpr std::size_t kDiscardMax = std::size_t{1} << 20;
constexpr Duration kPeerWait = std::chrono::seconds(5);
// The same for a client that was refused.
constexpr Duration kRefusedWait = std::chrono::seconds(1);

}  // namespace

Coro<> TlsCore::shutdown(Ref core) {
    core->check_open("shutdown");
    const auto guard = co_await core->sending_.scoped();  // behind a whole write
    core->check_open("shutdown");
    core->engine_.shutdown();
    Coro<> sending = core->send_output();
    try {
        co_await std::move(sending);
    } catch (const CancelledError&) {
        if (!core->is_closed_) {
            core->flush_aside();
        }
        throw;
    }
}

Coro<> TlsCore::wait_closed(Ref core) { co_await core->lower_closed_.wait(); }

void TlsCore::abort() noexcept {
    if (!is_told_to_end(End::abort)) {
        abort_here();
    }
}

void TlsCore::leave() noexcept {
    if (!is_told_ && !is_closed_) {
        abort();
    }
}

void TlsCore::close() noexcept {
    if (!is_told_ && !is_told_to_end(End::close)) {
        close_here();
    }
}

/// Whether another loop than this has to end the stream, and will.
bool TlsCore::is_told_to_end(End how) noexcept {
    if (is_told_) {  // to close, and this is an abort: in time, or else there may be a task that says good-bye
        End told = End::close;
        const bool is_in_time = end_.compare_exchange_strong(told, how, std::memory_order_relaxed,
                                                             std::memory_order_acquire);  // [tls.told]
        if (is_in_time || told == End::abort) {
            return true;
        }
    }
    Worker* const worker = aside_.load(std::memory_order_acquire);  // [tls.aside]
    if (worker == nullptr || worker == Worker::current()) {
        return false;
    }
    end_.store(how, std::memory_order_relaxed);  // relaxed: it is posted after this
    self_ = shared_from_this();
    run = &TlsCore::run_end;
    is_told_ = true;
    if (!worker->post(*this)) {
        self_.reset();
        end_.store(End::none, std::memory_order_relaxed);  // relaxed: nobody has been told
        is_told_ = false;  // that loop is closed, which it is not before its tasks have ended
    }
    return is_told_;
}

void TlsCore::run_end(Worker&, Work& work) noexcept {
    auto& core = static_cast<TlsCore&>(work);
    const Ref keep = std::move(core.self_);
    End told = core.end_.load(std::memory_order_relaxed);  // relaxed: it came with the message, or a word alone
    do {  // ends: what follows close is abort, and nothing follows that
        core.end_here(told);
    } while (!core.end_.compare_exchange_strong(told, End::none, std::memory_order_release,
                                                std::memory_order_relaxed));  // [tls.told]
}

void TlsCore::end_here(End how) noexcept {
    if (how == End::abort) {
        abort_here();
    } else {
        close_here();
    }
}

void TlsCore::abort_here() noexcept {
    is_closed_ = true;
    cut_lower();
}

void TlsCore::close_here() noexcept {
    if (std::exchange(is_closed_, true)) {
        return;
    }
    // A write of the program's has to end now, and close-notify cannot overtake it. What is sent in the background was
    // reported as taken, and goes out first.
    if (engine_.has_failed() || !engine_.is_established() || writers_ != 0) {
        cut_lower();
        return;
    }
    end_in_background(&TlsCore::say_goodbye);
}

void TlsCore::end_in_background(Coro<> (*talk)(Ref core)) noexcept {
    if (Worker::current() == nullptr) {
        cut_lower();
        return;
    }
    try {
        Ref self = shared_from_this();
        Coro<> talking = talk(self);
        start_hidden(end_task(Aside(std::move(self)), std::move(talking)));
    } catch (...) {
        cut_lower();  // no memory, or the run is over
    }
}

Coro<> TlsCore::end_task(Aside given, Coro<> talking) {
    const Aside here = std::move(given);
    TlsCore& core = here.core();
    std::exception_ptr error;
    try {
        co_await std::move(talking);
    } catch (const std::exception&) {
        core.cut_lower();  // the peer is gone, or too slow
        co_return;
    } catch (...) {
        error = std::current_exception();
    }
    core.cut_lower();
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

Coro<> TlsCore::say_goodbye(Ref core) {
    Coro<> step = core->send_close_notify();
    co_await with_timeout(limit_of(core->shutdown_timeout_), std::move(step));
    if (core->reading_.locked()) {
        co_return;  // what reads has to throw now; it has taken what has come
    }
    step = core->await_close_notify();
    co_await with_timeout(kPeerWait, std::move(step));
}

Coro<> TlsCore::send_close_notify() {
    const auto guard = co_await sending_.scoped();
    engine_.shutdown();
    Coro<> sending = send_output();
    co_await std::move(sending);
}

Coro<> TlsCore::await_close_notify() {
    check_lower();
    Coro<> shutting = shutdown_lower();
    co_await std::move(shutting);
    std::size_t discarded = 0;
    std::array<std::byte, 1024> buffer;
    while (discarded < kDiscardMax) {
        const std::optional<std::size_t> count = engine_.read(buffer);
        if (count && *count == 0) {
            co_return;
        }
        if (count) {
            discarded += *count;
            continue;
        }
        check_lower();
        Coro<std::size_t> reading = read_lower(engine_.input_space());
        const std::size_t received = co_await std::move(reading);
        engine_.take_input(received);
    }
}

/// After a handshake that has failed: a reset, which bytes that nobody has read would cause, could overtake the alert.
Coro<> TlsCore::part(Ref core) {
    Coro<> waiting = core->await_end();
    co_await with_timeout(core->engine_.context().is_server() ? kRefusedWait : kPeerWait, std::move(waiting));
}

Coro<> TlsCore::await_end() {
    check_lower();
    Coro<> shutting = shutdown_lower();
    co_await std::move(shutting);
    std::size_t discarded = 0;
    std::size_t count = 1;
    std::array<std::byte, 1024> buffer;
    while (count != 0 && discarded < kDiscardMax) {
        check_lower();
        Coro<std::size_t> reading = read_lower(buffer);
        count = co_await std::move(reading);
        discarded += count;
    }
}

}  // namespace knit::detail
