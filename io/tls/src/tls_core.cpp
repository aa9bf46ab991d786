#include "knit/tls/detail/tls_core.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <system_error>

#include "aside.hpp"
#include "background.hpp"
#include "context_state.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/timeout.hpp"

namespace knit::detail {
namespace {

// What a reader leaves to be sent by others; above it the reader waits, or a peer could make us keep any amount.
constexpr std::size_t kAsideMax = std::size_t{64} << 10;

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
        throw std::system_error(ECANCELED, std::generic_category(), "the TlsStream is closed");
    }
}

void TlsCore::cut_lower() noexcept {
    if (!std::exchange(is_lower_closed_, true)) {
        close_lower();
        lower_closed_.set();
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
        if (is_refused && core->engine_.context().is_server()) {
            Coro<> parting = end_task(Aside(core), part(core));  // the connection counts as one until it has ended
            co_await std::move(parting);
        } else if (is_refused) {
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
            continue;  // another may have read meanwhile
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
    if (!engine_.has_output() || aside_.load(std::memory_order_relaxed) != nullptr) {  // relaxed: written on this loop
        return;
    }
    try {
        start_hidden(flush_task(Aside(shared_from_this())));
    } catch (...) {
        return;  // no memory, or the run is over: the next write sends it
    }
}

Coro<> TlsCore::flush_task(Aside given) {
    const Aside here = std::move(given);
    try {
        Coro<> flushing = here.core().flush();
        co_await std::move(flushing);
    } catch (const std::system_error&) {
        co_return;  // the next write meets the same
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

}  // namespace knit::detail
