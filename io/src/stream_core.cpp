#include "knit/io/detail/stream_core.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"

namespace knit::detail {
namespace {

// Above this an empty buffer is given back, so that an idle connection costs little.
constexpr std::size_t kKeptBuffer = 256;
// As asyncio, where the end of the connection is the first of five: so many writes after it pass without a word.
constexpr unsigned kQuietWrites = 4;

void give_back(std::string& buffer) noexcept {
    buffer.clear();
    if (buffer.capacity() > kKeptBuffer) {
        std::string().swap(buffer);
    }
}

/// Starts a pump at once, up to its first wait.
void start_pump(Coro<> pump) {
    TaskOptions options;
    options.eager_start = true;
    const Task<> task = create_task(std::move(pump), options);
    static_cast<TaskCore&>(*task.ref()).mark_hidden();
}

enum class Failure { none, cancelled, system, other };

Failure kind_of(const std::exception_ptr& error) noexcept {
    if (error == nullptr) {
        return Failure::none;
    }
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError&) {
        return Failure::cancelled;
    } catch (const std::system_error&) {
        return Failure::system;
    } catch (...) {
        return Failure::other;
    }
}

}  // namespace

StreamCore::StreamCore(Worker& home, std::size_t limit, bool has_reader, bool has_writer)
    : ReaderState(limit), home_(home), has_reader_(has_reader), has_writer_(has_writer) {}

StreamCore::~StreamCore() = default;

void StreamCore::begin() {
    check_loop();
    start_reading();
}

void StreamCore::check_loop() const {
    if (Worker::current() != &home_) {
        throw RuntimeError(
            "a StreamReader or StreamWriter is used on the loop that its connection was made on, and on no other: go "
            "there with co_await resume_on(loop), or use a TcpStream, which may travel");
    }
}

// Writing.

bool StreamCore::can_take() {
    if (is_closing_) {
        if (++writes_lost_ > kQuietWrites) {
            log(LogLevel::warning, "socket.send() raised exception.");
        }
        return false;
    }
    return true;
}

void StreamCore::write(std::string_view data) {
    if (!data.empty() && can_take()) {
        pending_.append(data);
        wrote();
    }
}

void StreamCore::write(std::string&& data) {
    if (!data.empty() && can_take()) {
        if (pending_.empty()) {
            pending_ = std::move(data);
        } else {
            pending_.append(data);
        }
        wrote();
    }
}

void StreamCore::check_write(const char* function) const {
    check_loop();
    if (is_eof_wanted_) {
        throw RuntimeError("Cannot call " + std::string(function) + "() after write_eof()");
    }
}

/// What is written in one turn is sent together: here or, if that comes first, when the task drains or reads.
void StreamCore::wrote() {
    pause_if_full();
    if (!is_writing_ && !std::exchange(is_flush_due_, true)) {
        post(flush_, &StreamCore::run_flush);
    }
}

void StreamCore::run_flush(Worker& worker, Work& work) noexcept {
    const StreamCoreRef core(static_cast<Message&>(work).core);
    core->is_flush_due_ = false;
    if (!worker.is_discarding()) {
        core->flush();
    }
}

void StreamCore::flush() noexcept {
    if (is_writing_ || is_lost_due_ || is_lost_ || (unsent() == 0 && !(is_eof_wanted_ && !is_eof_sent_))) {
        return;
    }
    is_writing_ = true;
    try {
        start_pump(pump_writing());
    } catch (...) {
        is_writing_ = false;
        fail(std::current_exception(), "Fatal write error on transport");
    }
}

std::span<const std::byte> StreamCore::next_to_send() noexcept {
    if (is_lost_due_ || is_lost_) {
        return {};
    }
    if (sent_ == sending_.size()) {
        sending_.clear();
        sent_ = 0;
        sending_.swap(pending_);
    }
    return std::as_bytes(std::span(sending_).subspan(sent_));
}

void StreamCore::take_sent(std::size_t count) noexcept {
    sent_ += count;
    KNIT_ASSERT(sent_ <= sending_.size());
    resume_if_drained();
}

bool StreamCore::take_shutdown() noexcept {
    return is_eof_wanted_ && !is_lost_due_ && !is_lost_ && !std::exchange(is_eof_sent_, true);
}

void StreamCore::end_writing(std::exception_ptr error, bool is_exact) noexcept {
    is_writing_ = false;
    if (is_lost_) {
        close_if_idle();
        return;
    }
    switch (kind_of(error)) {
        case Failure::none:
            if (unsent() == 0) {
                give_back(sending_);
                give_back(pending_);
                sent_ = 0;
            }
            if (is_closing_ && !is_lost_due_) {
                lose();
            }
            break;
        case Failure::cancelled:
            // The run ends, and whoever cleans up may still want to say good-bye; a second time nobody waits for the
            // peer.
            if (is_exact && flushes_cancelled_++ == 0) {
                wrote();
            } else {
                break_off(nullptr);
            }
            break;
        default: fail(std::move(error), "Fatal write error on transport");
    }
}

void StreamCore::write_eof() {
    check_loop();
    if (is_closing_ || is_eof_wanted_) {
        return;
    }
    is_eof_wanted_ = true;
    if (unsent() == 0) {
        flush();
    }
}

void StreamCore::set_limits(std::size_t low, std::size_t high) {
    check_loop();
    low_ = low;
    high_ = high;
    pause_if_full();
}

void StreamCore::pause_if_full() noexcept { is_full_ = is_full_ || unsent() > high_; }

void StreamCore::resume_if_drained() noexcept {
    if (is_full_ && unsent() <= low_) {
        is_full_ = false;
        wake_all(&Rare::drains);
    }
}

// Reading.

void StreamCore::prepare_wait() {
    flush();
    start_reading();
}

void StreamCore::start_reading() noexcept {
    if (is_reading_ || !has_reader_ || !wants_data() || home_.is_discarding()) {
        return;
    }
    is_reading_ = true;
    try {
        start_pump(pump_reading());
    } catch (...) {
        is_reading_ = false;
        fail(std::current_exception(), "Fatal read error on transport");
    }
}

void StreamCore::take_data(std::span<const std::byte> data) {
    if (is_closing_ || has_ended()) {
        return;
    }
    if (!data.empty()) {
        feed_data({reinterpret_cast<const char*>(data.data()), data.size()});
        return;
    }
    feed_eof();
    if (!has_writer_) {
        begin_close();
    }
}

void StreamCore::end_reading(std::exception_ptr error) noexcept {
    is_reading_ = false;
    if (is_lost_) {
        close_if_idle();
        return;
    }
    const Failure kind = kind_of(error);
    // Cancelled: the run ends. A read that still waits, or comes, begins again.
    if (kind != Failure::none && kind != Failure::cancelled && !is_closing_) {
        fail(std::move(error), "Fatal read error on transport");
    }
}

// The end.

void StreamCore::close() {
    check_loop();
    begin_close();
}

void StreamCore::begin_close() noexcept {
    if (std::exchange(is_closing_, true)) {
        return;
    }
    if (unsent() == 0 && !is_writing_) {
        schedule_lost();
    }
}

void StreamCore::abort() {
    check_loop();
    const bool is_late = std::exchange(is_broken_, true);
    if (is_lost_ && !is_late) {
        abort_closed_stream();
    }
    break_off(nullptr);
}

void StreamCore::fail(std::exception_ptr error, const char* what) noexcept {
    if (kind_of(error) != Failure::system) {
        home_.loop().call_exception_handler({what, error, std::nullopt, &home_.loop()});
    }
    break_off(std::move(error));
}

void StreamCore::break_off(std::exception_ptr error) noexcept {
    if (is_lost_due_ || is_lost_) {
        return;
    }
    is_closing_ = true;
    is_broken_ = true;
    lost_error_ = std::move(error);
    give_back(pending_);
    schedule_lost();
}

void StreamCore::schedule_lost() noexcept {
    is_lost_due_ = true;
    post(lost_, &StreamCore::run_lost);
}

void StreamCore::run_lost(Worker& worker, Work& work) noexcept {
    const StreamCoreRef core(static_cast<Message&>(work).core);
    if (!worker.is_discarding()) {
        core->lose();
    }
}

void StreamCore::lose() noexcept {
    is_lost_ = true;
    if (lost_error_ == nullptr) {
        feed_eof();
    } else {
        set_exception(lost_error_);
    }
    if (has_writer_) {
        try {
            rare().peer = stream_info(Info::peer);
            rare().local = stream_info(Info::local);
        } catch (const std::bad_alloc&) {
            KNIT_ASSERT(rare_ == nullptr);  // no memory for the names: get_extra_info() gives none
        }
    }
    wake_all(&Rare::drains);
    close_stream(is_broken_);
    close_if_idle();
}

void StreamCore::close_if_idle() noexcept {
    if (is_reading_ || is_writing_ || std::exchange(is_closed_, true)) {
        return;
    }
    give_back(sending_);
    give_back(pending_);
    wake_all(&Rare::closes);
    wait_for_stream();
}

void StreamCore::wait_for_stream() noexcept {
    if (token_ == nullptr) {
        return;
    }
    try {
        Coro<> closing = pump_closing();
        if (closing.valid()) {
            start_pump(std::move(closing));
        } else {
            end_token();
        }
    } catch (...) {
        end_token();  // no memory, or the run is over
    }
}

}  // namespace knit::detail
