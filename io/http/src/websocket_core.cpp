#include <exception>
#include <system_error>

#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/websocket_core.hpp"
#include "knit/task.hpp"
#include "knit/timeout.hpp"
#include "websocket_codec.hpp"

namespace knit::http::detail {
namespace {

// As a StreamWriter's: above the first a sender waits, until no more than the second is unsent.
constexpr std::size_t kHighWater = std::size_t{64} << 10;
constexpr std::size_t kLowWater = kHighWater / 4;
// What goes out at a time: the heartbeat looks whether any does.
constexpr std::size_t kPiece = std::size_t{32} << 10;
// What is left of a good-bye when its other side has been heard: to read the peer's end of the stream.
constexpr std::size_t kDiscardMax = std::size_t{1} << 20;

constexpr std::size_t kPongHead = 2;
// What is kept for the next message to go into.
constexpr std::size_t kIdleOutput = std::size_t{4} << 10;

void start_hidden(Coro<> body) {
    const Task<> task = create_task(std::move(body));
    static_cast<knit::detail::TaskCore&>(*task.ref()).mark_hidden();
}

}  // namespace

/// An operation on the stream below, from before its task exists until its frame lets go.
class WebSocketCore::Use {
public:
    explicit Use(Ref core) noexcept : core_(std::move(core)) { ++core_->users_; }
    Use(Use&&) noexcept = default;
    Use& operator=(Use&&) = delete;
    ~Use() {
        if (core_ != nullptr && --core_->users_ == 0) {
            core_->unused_.set();
        }
    }
    const Ref& core() const noexcept { return core_; }

private:
    Ref core_;
};

/// Input is waited for.
class WebSocketCore::Reading : public Use {
public:
    explicit Reading(Ref core) noexcept : Use(std::move(core)) { this->core()->is_reading_ = true; }
    Reading(Reading&&) = delete;
    Reading& operator=(Reading&&) = delete;
    ~Reading() { core()->is_reading_ = false; }
};

/// is_writing_, also for a task that is cancelled before its first step.
class WebSocketCore::Writing : public Use {
public:
    explicit Writing(Ref core) noexcept : Use(std::move(core)) { this->core()->is_writing_ = true; }
    Writing(Writing&&) noexcept = default;
    Writing& operator=(Writing&&) = delete;
    ~Writing() {
        if (core() != nullptr) {
            core()->is_writing_ = false;
            core()->in_flight_ = 0;
            core()->wrote_some();
        }
    }
};

/// However a good-bye ends, the stream below is closed.
class WebSocketCore::Ending : public Use {
public:
    using Use::Use;
    Ending(Ending&&) noexcept = default;
    Ending& operator=(Ending&&) = delete;
    ~Ending() {
        if (core() != nullptr) {
            core()->abort();
        }
    }
};

WebSocketCore::WebSocketCore(WebSocketRole role, const WebSocketOptions& options, std::string_view leftover,
                             const std::optional<DeflateParameters>& deflate)
    : loop_(get_running_loop()),
      is_server_(role == WebSocketRole::server),
      close_timeout_(options.close_timeout),
      heartbeat_(options.heartbeat),
      codec_(std::make_unique<WebSocketCodec>(is_server_, options.message_max, deflate)) {
    codec_->take_input(leftover);
    drained_.set();
}

WebSocketCore::~WebSocketCore() = default;

bool WebSocketCore::is_compressed() const noexcept { return codec_->is_compressed(); }

WebSocketMessage WebSocketCore::closed_message() const {
    WebSocketMessage message;
    message.code = close_code_;
    message.data = close_reason_;
    return message;
}

// Receiving.

Coro<WebSocketMessage> WebSocketCore::receive(Ref core) {
    co_await resume_on(core->loop_);
    Coro<WebSocketMessage> receiving = receive_here(std::move(core));
    co_return co_await std::move(receiving);
}

Coro<WebSocketMessage> WebSocketCore::receive_here(Ref core) {
    for (;;) {
        if (core->close_code_ != 0) {
            co_return core->closed_message();
        }
        std::optional<WebSocketMessage> message = core->take_events();
        if (message) {
            co_return std::move(*message);
        }
        if (core->answer_size_ > kHighWater) {  // a peer that takes no answers is not listened to
            Coro<> draining = core->drain();
            co_await std::move(draining);
            continue;  // another may have read meanwhile
        }
        Coro<> filling = core->fill();
        co_await std::move(filling);
    }
}

/// Goes through what has come; gives the first message.
std::optional<WebSocketMessage> WebSocketCore::take_events() {
    try {
        while (std::optional<WebSocketEvent> event = codec_->next()) {
            switch (event->opcode) {
                case kText: return WebSocketMessage{WebSocketMessage::Type::text, std::move(event->data), 0};
                case kBinary: return WebSocketMessage{WebSocketMessage::Type::binary, std::move(event->data), 0};
                case kPing:
                    if (!is_closing()) {
                        answer_size_ += event->data.size() + kPongHead;
                        codec_->put(kPong, event->data, output_);
                        start_writing();
                    }
                    break;
                case kClose: take_close(event->code, std::move(event->data)); return closed_message();
                default: break;  // a pong
            }
        }
    } catch (const WebSocketError& error) {
        close_code_ = error.code();
        put_close(error.code(), error.what());
        end_in_background();
        throw;
    }
    return std::nullopt;
}

void WebSocketCore::take_close(int code, std::string reason) {
    close_code_ = code;
    close_reason_ = std::move(reason);
    put_close(code, {});
    end_in_background();
}

/// Once: nothing is sent after it.
void WebSocketCore::put_close(int code, std::string_view reason) {
    constexpr std::size_t kReasonMax = 123;
    if (!std::exchange(is_close_sent_, true) && !is_closed_) {
        codec_->put_close(code, reason.substr(0, kReasonMax), output_);
        start_writing();
    }
}

/// Gets input from the stream below, unless another task has done so meanwhile.
Coro<> WebSocketCore::fill() {
    const std::size_t fills = fills_;
    const auto guard = co_await reading_.scoped();
    if (fills != fills_ || close_code_ != 0) {
        co_return;
    }
    if (is_closed_) {
        throw std::system_error(ECANCELED, std::generic_category(), "the WebSocket is closed");
    }
    std::size_t count = 0;
    try {
        const Reading use(shared_from_this());
        Coro<std::size_t> reading = read_lower(codec_->input_space());
        count = co_await std::move(reading);
    } catch (const std::system_error&) {
        if (close_code_ == 0) {
            throw;
        }
        co_return;  // given up meanwhile
    }
    ++fills_;
    take_time(heard_at_);
    is_pinged_ = is_suspect_ = false;
    if (count != 0) {
        codec_->take_input(count);
    } else {
        close_code_ = 1006;
        is_close_sent_ = true;  // there is nobody to hear it
        end_in_background();
    }
}

// Sending.

Coro<> WebSocketCore::send(Ref core, int opcode, std::string_view bytes) {
    co_await resume_on(core->loop_);
    if (core->write_error_ != nullptr) {
        std::rethrow_exception(core->write_error_);
    }
    if (core->is_closing()) {
        throw std::system_error(EPIPE, std::generic_category(), "the WebSocket is closed");
    }
    core->codec_->put(opcode, bytes, core->output_);
    core->start_writing();
    Coro<> draining = core->drain();
    co_await std::move(draining);
    if (core->write_error_ != nullptr) {
        std::rethrow_exception(core->write_error_);
    }
    if (core->is_cut_) {
        throw std::system_error(ECANCELED, std::generic_category(), "the WebSocket was cut off before all was sent");
    }
}

Coro<> WebSocketCore::send_owned(Ref core, int opcode, std::string bytes) {
    Coro<> sending = send(std::move(core), opcode, bytes);
    co_await std::move(sending);
}

/// Waits while too much is unsent.
Coro<> WebSocketCore::drain() {
    if (output_.size() + in_flight_ > kHighWater && is_writing_) {
        drained_.clear();
    }
    co_await drained_.wait();
}

void WebSocketCore::start_writing() {
    if (!is_writing_ && !output_.empty() && !is_closed_) {
        start_hidden(write_task(Writing(shared_from_this())));
    }
}

Coro<> WebSocketCore::write_task(Writing writing) {
    const Writing held = std::move(writing);  // let go at the end of the body, whoever keeps the frame
    const Ref& core = held.core();
    try {
        Coro<> all = write_all(core);
        co_await std::move(all);
    } catch (const CancelledError&) {
        core->fail_writing(std::make_exception_ptr(
            std::system_error(ECANCELED, std::generic_category(), "the WebSocket is cut off: the run ends")));
    } catch (const std::exception&) {
        core->fail_writing(std::current_exception());
    }
}

Coro<> WebSocketCore::write_all(Ref core) {
    std::string bytes;
    while (!core->output_.empty() && !core->is_closed_) {
        bytes.clear();
        bytes.swap(core->output_);  // two buffers in turns, while there is something to write
        core->answer_size_ = 0;
        core->in_flight_ = bytes.size();
        const bool has_ping = core->is_ping_waiting_;
        for (std::string_view rest = bytes; !rest.empty();) {
            const std::string_view piece = rest.substr(0, kPiece);
            Coro<> writing = core->write_lower(std::as_bytes(std::span(piece)));
            co_await std::move(writing);
            rest.remove_prefix(piece.size());
            if (core->is_ping_waiting_) {
                core->take_time(core->taken_at_);
            }
        }
        if (has_ping) {
            core->is_ping_waiting_ = false;
        }
        core->in_flight_ = 0;
        core->wrote_some();
    }
    if (core->output_.empty() && core->output_.capacity() > kIdleOutput) {
        std::string().swap(core->output_);
    }
}

/// Only writing has come to its end: what the peer has sent can still be read, and says more than this.
void WebSocketCore::fail_writing(std::exception_ptr error) noexcept {
    if (!is_closed_) {
        write_error_ = std::move(error);
        is_close_sent_ = true;
        output_.clear();
    }
}

void WebSocketCore::wrote_some() noexcept {
    if (output_.size() + in_flight_ <= kLowWater || !is_writing_) {
        drained_.set();
    }
}

// The end.

/// All has been said: what is left to be sent is, and the stream is closed.
void WebSocketCore::end_in_background() noexcept {
    if (is_closed_ || std::exchange(is_ending_, true)) {
        return;
    }
    try {
        start_hidden(end_task(Ending(shared_from_this())));
    } catch (...) {
        abort();  // no memory, or the run is over
    }
}

Coro<> WebSocketCore::end_task(Ending ending) {
    const Ending held = std::move(ending);
    try {
        Coro<> talking = held.core()->await_end();
        co_await with_timeout(limit_of(held.core()->close_timeout_), std::move(talking));
    } catch (const std::exception&) {
        co_return;  // the peer is gone, or too slow
    }
}

/// The end of our side is sent, and the peer's awaited: a stream that is closed with unread bytes would turn into a
/// reset, which may overtake what was sent.
Coro<> WebSocketCore::await_end() {
    while (is_writing_) {
        drained_.clear();
        co_await drained_.wait();
    }
    if (is_closed_ || close_code_ == 1006) {
        co_return;
    }
    Coro<> shutting = shutdown_lower();
    co_await std::move(shutting);
    const auto guard = co_await reading_.scoped();
    std::size_t discarded = 0;
    std::size_t count = 1;
    std::byte buffer[1024];
    while (count != 0 && discarded < kDiscardMax && !is_closed_) {
        Coro<std::size_t> reading = read_lower(buffer);
        count = co_await std::move(reading);
        discarded += count;
    }
}

}  // namespace knit::http::detail
