// H2Client: the connection.

#include "client.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "knit/loop.hpp"

namespace knit::http::detail {

namespace {

/// For a server to take what is sent at one time, 64 KiB: one that does not is not worth a connection any more.
constexpr auto kWriteTimeout = std::chrono::minutes(1);

}  // namespace

std::shared_ptr<SharedConnection> share(std::unique_ptr<Transport> transport, Duration keepalive,
                                        std::function<void(const SharedConnection&)> ended) {
    auto client = std::make_shared<H2Client>(std::move(transport), keepalive, std::move(ended));
    create_task(H2Client::run(client));
    return client;
}

H2Client::H2Client(std::unique_ptr<Transport> transport, Duration keepalive, Ended ended)
    : H2Session(Side::client, kWriteTimeout),
      transport_(std::move(transport)),
      keepalive_(keepalive),
      ended_(std::move(ended)),
      is_secure_(!transport_->alpn_protocol().empty()) {
    constexpr std::uint32_t kClientWindow = 256 << 10;  // one answer, over a line with some delay, and not read
    start({{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kClientWindow}}, 4 << 20);
    idle_until_ = knit::detail::after(now(), std::max<Duration>(keepalive_, std::chrono::seconds(1)));
    look_at(idle_until_);
}

Coro<> H2Client::run(std::shared_ptr<H2Client> self) {
    // All that takes memory comes before the writer's task, which must not outlive the session.
    Task<> writer;
    Coro<std::exception_ptr> reading = self->read_frames();
    Coro<std::exception_ptr> ending = self->end_writer(writer);
    writer = create_task(self->write_frames());
    const std::exception_ptr cancelled = co_await std::move(reading);
    self->is_ending_ = true;
    self->ended_(*self);
    self->close_streams();
    if (!self->is_failed_) {
        self->terminate(NGHTTP2_NO_ERROR);
    }
    const std::exception_ptr late = co_await std::move(ending);
    self->transport_ = nullptr;
    self->forget_streams();
    self->has_ended_.store(true, std::memory_order_release);  // [h2.ended]
    self->throw_end(late != nullptr ? late : cancelled);
}

bool H2Client::can_open() const noexcept {
    return !is_ending() && heard_count() != suspected_ && nghttp2_session_check_request_allowed(handle()) != 0;
}

std::unique_ptr<ClientExchange> H2Client::open(const ClientTimeout& timeout) {
    return std::make_unique<H2Exchange>(shared_from_this(), timeout);
}

void H2Client::last_stream_gone() noexcept {
    if (is_ending()) {
        return;
    }
    if (keepalive_ <= Duration::zero()) {
        H2Session::end_soon();
        return;
    }
    idle_until_ = knit::detail::after(now(), keepalive_);
    look_at(idle_until_);
}

TimePoint H2Client::expire(TimePoint now) noexcept {
    if (idle_until_ <= now) {
        idle_until_ = TimePoint::max();  // the last request's end sets it again
        if (stream_count() == 0) {
            H2Session::end_soon();
        }
    }
    return idle_until_;
}

void H2Client::suspect(std::uint64_t heard) noexcept {
    if (is_ending() || heard_count() != heard || suspected_ == heard) {
        return;
    }
    suspected_ = heard;
    if (nghttp2_submit_ping(handle(), NGHTTP2_FLAG_NONE, nullptr) != 0) {
        H2Session::end_soon();
        return;
    }
    wake_writer();
}

Coro<bool> H2Client::fill(Input& input, std::size_t size) {
    Coro<std::size_t> reading = transport_->read_some(input.make_room(size));
    const std::size_t count = co_await std::move(reading);
    input.grow(count);
    co_return count != 0;
}

Coro<std::size_t> H2Client::send_some(std::string_view bytes) {
    Coro<> writing = transport_->write(bytes);
    co_await std::move(writing);
    co_return bytes.size();
}

}  // namespace knit::http::detail
