#include "knit/tls/detail/tls_core.hpp"

#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <system_error>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/task.hpp"
#include "knit/timeout.hpp"

namespace knit::detail {
namespace {

// What a reader leaves to be sent by others; above it the reader waits, or a peer could make us keep any amount.
constexpr std::size_t kAsideMax = std::size_t{64} << 10;
// What is thrown away, and how long, while a closed connection waits for the peer's end.
constexpr std::size_t kDiscardMax = std::size_t{1} << 20;
constexpr Duration kPeerWait = std::chrono::seconds(5);

std::optional<Duration> limit_of(Duration limit) noexcept {
    return limit > Duration::zero() ? std::optional(limit) : std::nullopt;
}

/// A task of knit's own, up to its first wait.
void start_hidden(Coro<> body) {
    TaskOptions options;
    options.eager_start = true;
    const Task<> task = create_task(std::move(body), options);
    static_cast<TaskCore&>(*task.ref()).mark_hidden();
}

}  // namespace

/// What close() has to cut short.
class TlsCore::CallersWrite {
public:
    explicit CallersWrite(TlsCore& core) noexcept : core_(core) { ++core_.writers_; }
    CallersWrite(const CallersWrite&) = delete;
    CallersWrite& operator=(const CallersWrite&) = delete;
    ~CallersWrite() { --core_.writers_; }

private:
    TlsCore& core_;
};

void TlsCore::check_open(const char* what) const {
    if (is_closed_) {
        throw std::system_error(ECANCELED, std::generic_category(), std::string(what) + ": the TlsStream is closed");
    }
}

void TlsCore::check_lower() const {
    if (is_lower_closed_) {
        throw std::system_error(ECANCELED, std::generic_category(), "the stream below a TlsStream is closed");
    }
}

void TlsCore::cut_lower() noexcept {
    if (!std::exchange(is_lower_closed_, true)) {
        close_lower();
    }
}

// The handshake.

Coro<> TlsCore::handshake(Ref core, Duration limit) {
    std::exception_ptr error;
    bool is_refused = false;
    try {
        Coro<> shaking = core->shake_hands();
        co_await with_timeout(limit_of(limit), std::move(shaking));
    } catch (const TimeoutError&) {
        const auto seconds = std::chrono::duration<double>(limit).count();
        error = std::make_exception_ptr(
            TimeoutError("TLS handshake is taking longer than " + std::to_string(seconds) + " seconds: aborting"));
    } catch (const CancelledError&) {
        error = std::current_exception();
    } catch (...) {
        error = std::current_exception();
        is_refused = core->engine_.has_failed();
    }
    if (error != nullptr) {
        core->is_closed_ = true;
        if (is_refused) {
            core->end_in_background(&TlsCore::part);
        } else {
            core->cut_lower();
        }
        std::rethrow_exception(error);
    }
}

Coro<> TlsCore::shake_hands() {
    bool is_done = false;
    while (!is_done) {
        std::exception_ptr error;
        try {
            is_done = engine_.handshake();
        } catch (...) {
            error = std::current_exception();
        }
        try {
            Coro<> flushing = flush();
            co_await std::move(flushing);
        } catch (const std::system_error&) {
            if (error == nullptr) {
                throw;
            }
        }
        if (error != nullptr) {  // and the peer has been told
            std::rethrow_exception(error);
        }
        if (!is_done) {
            Coro<> filling = fill();
            co_await std::move(filling);
        }
    }
}

// Reading.

/// Gets input from the stream below, unless another task has done so meanwhile.
Coro<> TlsCore::fill() {
    const std::size_t fills = fills_;
    const auto guard = co_await reading_.scoped();
    check_open("read");
    if (fills == fills_) {
        Coro<std::size_t> reading = read_lower(engine_.input_space());
        const std::size_t count = co_await std::move(reading);
        engine_.take_input(count);
        ++fills_;
    }
}

Coro<std::size_t> TlsCore::read_some(Ref core, std::span<std::byte> buffer) {
    if (buffer.empty()) {
        co_return 0;
    }
    for (;;) {
        core->check_open("read");
        std::optional<std::size_t> count;
        std::exception_ptr error;
        try {
            count = core->engine_.read(buffer);
        } catch (...) {
            error = std::current_exception();
        }
        if (!core->sending_.locked()) {  // else whoever sends takes it along
            core->flush_aside();
        }
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
        if (count) {
            co_return *count;
        }
        if (core->engine_.answer_size() > kAsideMax) {
            Coro<> flushing = core->flush();
            co_await std::move(flushing);
        }
        Coro<> filling = core->fill();
        co_await std::move(filling);
    }
}

// Writing.

/// What is to be sent; sending_ is held.
Coro<> TlsCore::send_output() {
    for (;;) {
        check_lower();
        const std::span<const std::byte> bytes = engine_.next_output();
        if (bytes.empty()) {
            co_return;
        }
        Coro<std::size_t> writing = write_lower(bytes);
        try {
            const std::size_t count = co_await std::move(writing);
            engine_.sent(count);
        } catch (...) {
            if (!is_exact()) {  // a record may have been cut in two
                engine_.fail(std::make_exception_ptr(tls::TlsError(
                    tls::Errc::protocol, "TLS is at its end: a write to the stream below was cut short", {})));
            }
            throw;
        }
    }
}

Coro<> TlsCore::flush() {
    const auto guard = co_await sending_.scoped();
    Coro<> sending = send_output();
    co_await std::move(sending);
    engine_.trim_output();
}

/// Has what a read left to be sent by a task of its own, one at a time.
void TlsCore::flush_aside() noexcept {
    if (!engine_.has_output() || is_flushing_aside_) {
        return;
    }
    is_flushing_aside_ = true;
    try {
        start_hidden(flush_task(shared_from_this()));
    } catch (...) {
        is_flushing_aside_ = false;  // no memory, or the run is over: the next write sends it
    }
}

Coro<> TlsCore::flush_task(Ref core) {
    std::exception_ptr error;
    try {
        Coro<> flushing = core->flush();
        co_await std::move(flushing);
    } catch (const std::system_error&) {
        // the next write meets the same
        core->is_flushing_aside_ = false;
        co_return;
    } catch (...) {
        error = std::current_exception();
    }
    core->is_flushing_aside_ = false;
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

/// Makes records of some of the bytes; sending_ is held. Until it gives their number, nothing has been taken.
Coro<std::size_t> TlsCore::encrypt(std::span<const std::byte> bytes) {
    for (;;) {
        check_open("write");
        const std::optional<std::size_t> count = engine_.write(bytes);
        if (count) {
            co_return *count;
        }
        // In the middle of a message of TLS itself.
        Coro<> filling = fill();
        co_await std::move(filling);
    }
}

Coro<std::size_t> TlsCore::write(Ref core, std::span<const std::byte> bytes, bool is_all) {
    if (bytes.empty()) {
        co_return 0;
    }
    const CallersWrite call(*core);
    TaskCore& task = co_await ThisTask();
    const auto guard = co_await core->sending_.scoped();
    Coro<> sending = core->send_output();  // what a write before left
    co_await std::move(sending);
    std::size_t done = 0;
    do {
        Coro<std::size_t> encrypting = core->encrypt(bytes.subspan(done));
        const std::size_t count = co_await std::move(encrypting);
        done += count;
        std::exception_ptr cancelled;
        try {
            sending = core->send_output();
            co_await std::move(sending);
        } catch (const CancelledError&) {
            cancelled = std::current_exception();
        }
        if (cancelled != nullptr) {
            if (core->is_closed_ || core->engine_.has_failed()) {
                std::rethrow_exception(cancelled);
            }
            core->flush_aside();
            if (is_all && done != bytes.size()) {
                std::rethrow_exception(cancelled);
            }
            // All that was to be taken was: the rest of it follows in the background, the cancellation at the next
            // await.
            task.request_cancel_again();
            break;
        }
    } while (is_all && done != bytes.size());
    core->engine_.trim_output();
    co_return done;
}

// The end.

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

void TlsCore::abort() noexcept {
    is_closed_ = true;
    cut_lower();
}

void TlsCore::leave() noexcept {
    if (!is_closed_) {
        abort();
    }
}

void TlsCore::close() noexcept {
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
        const Ref self = shared_from_this();
        start_hidden(end_task(self, talk(self)));
    } catch (...) {
        cut_lower();  // no memory, or the run is over
    }
}

Coro<> TlsCore::end_task(Ref core, Coro<> talking) {
    std::exception_ptr error;
    try {
        co_await std::move(talking);
    } catch (const std::exception&) {
        core->cut_lower();  // the peer is gone, or too slow
        co_return;
    } catch (...) {
        error = std::current_exception();
    }
    core->cut_lower();
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
    co_await with_timeout(kPeerWait, std::move(waiting));
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
