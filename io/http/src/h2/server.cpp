#include "server.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "server_stream.hpp"

namespace knit::http::detail {

bool has_http2() noexcept { return true; }

Coro<> ConnectionBase::speak_http2(std::string_view preface) {
    is_last_ = true;
    H2Server server(*this, *core_, *shard_);
    takeover_ = &server;
    std::exception_ptr error;
    try {
        Coro<> running = server.run(std::exchange(input_, Input()), preface);
        co_await std::move(running);
    } catch (...) {
        error = std::current_exception();
    }
    takeover_ = nullptr;
    is_cut_ = is_cut_ || server.is_stuck();
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

H2Server::H2Server(ConnectionBase& connection, ServerCore& core, Shard& shard)
    : H2Session(Side::server, core.options.write_timeout), connection_(connection), core_(core), shard_(shard) {}

Coro<> H2Server::run(Input input, std::string_view preface) {
    const ServerOptions& options = core_.options;
    const auto head_max = static_cast<std::uint32_t>(
        std::min<std::size_t>(options.head_max, std::numeric_limits<std::uint32_t>::max()));
    start({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(options.http2_streams_max)},
           {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, head_max}},
          1 << 20);
    if (options.header_timeout > Duration::zero()) {
        head_until_ = knit::detail::after(now(), options.header_timeout);
        look_at(head_until_);
    }
    resets_since_ = now();
    input_ = std::move(input);
    // All that takes memory comes before the writer's task, which must not outlive the session.
    Task<> writer;
    Coro<std::exception_ptr> reading = read_frames();
    Coro<std::exception_ptr> ending = end_writer(writer);
    writer = create_task(write_frames());
    feed(preface);
    if (core_.is_closing()) {
        H2Session::end_soon();
    }
    std::exception_ptr cancelled = co_await std::move(reading);
    if (cancelled != nullptr) {
        terminate(NGHTTP2_NO_ERROR);
    }
    // After the peer's last word answers still go, as far as its windows are open.
    close_streams(!is_failed_ && cancelled == nullptr);
    while (task_count_ + use_count_ != 0) {
        tasks_ended_.clear();
        try {
            co_await tasks_ended_.wait();
        } catch (const CancelledError&) {
            cancelled = std::current_exception();
        }
    }
    if (cancelled != nullptr) {
        close_streams();
    }
    const std::exception_ptr late = co_await std::move(ending);
    fail_streams();
    throw_end(late != nullptr ? late : cancelled);
}

/// The peer's answer to the ping says that it has seen what was sent before.
void H2Server::end_gently() noexcept {
    if (is_ending() || std::exchange(has_notice_, true)) {
        return;
    }
    if (nghttp2_submit_shutdown_notice(handle()) != 0 ||
        nghttp2_submit_ping(handle(), NGHTTP2_FLAG_NONE, nullptr) != 0) {
        H2Session::end_soon();
        return;
    }
    notice_until_ = knit::detail::after(now(), std::chrono::seconds(1));
    look_at(notice_until_);
    wake_writer();
}

void H2Server::ping_answered() {
    if (has_notice_) {
        H2Session::end_soon();
    }
}

const std::string& H2Server::peer_text() {
    if (peer_text_.empty()) {
        peer_text_ = peer().host();
    }
    return peer_text_;
}

void H2Server::task_ended() noexcept {
    --task_count_;
    tell_ended();
}

void H2Server::use_ended() noexcept {
    --use_count_;
    tell_ended();
}

void H2Server::tell_ended() noexcept {
    if (task_count_ + use_count_ == 0) {
        tasks_ended_.set();
    }
}

void H2Server::head_is_endless() noexcept { terminate(NGHTTP2_ENHANCE_YOUR_CALM); }

/// A request whose task is cancelled may take a while to end; new ones do not pile up on those.
H2Stream* H2Server::begin_stream(std::int32_t id) {
    if (is_ending() || task_count_ >= 2 * core_.options.http2_streams_max) {
        return nullptr;
    }
    idle_until_ = TimePoint::max();
    auto* const stream = new H2ServerStream(*this);  // its own, as long as stream or task are
    stream->set_id(id);
    return stream;
}

void H2Server::refuse_stream(std::int32_t id) noexcept {
    nghttp2_submit_rst_stream(handle(), NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    wake_writer();
}

/// While a block of fields is on its way nothing else can come on the connection.
void H2Server::fields_begun(std::int32_t id) noexcept {
    const Duration limit = core_.options.header_timeout;
    if (limit > Duration::zero()) {
        head_id_ = id;
        head_until_ = knit::detail::after(now(), limit);
        look_at(head_until_);
    }
}

/// CVE-2023-44487: requests that are reset at once cost the server, and are not counted as streams that are open.
void H2Server::stream_reset_for_peer() {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now() - resets_since_).count();
    if (seconds > 0) {
        resets_since_ = now();
        resets_ = static_cast<int>(std::max<std::int64_t>(0, resets_ - kResetsEachSecond * std::min<std::int64_t>(
                                                                                               seconds, 1000)));
    }
    if (++resets_ > kResetsMost) {
        terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

void H2Server::settings_received() {
    if (!std::exchange(has_settings_, true)) {
        fields_ended();
        if (stream_count() == 0) {
            last_stream_gone();
        }
    }
}

void H2Server::last_stream_gone() noexcept {
    const Duration limit = core_.options.idle_timeout;
    if (limit > Duration::zero() && !is_failed_) {
        idle_until_ = knit::detail::after(now(), limit);
        look_at(idle_until_);
    }
}

TimePoint H2Server::expire(TimePoint now) noexcept {
    if (head_until_ <= now) {
        head_until_ = TimePoint::max();
        terminate(has_settings_ ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_SETTINGS_TIMEOUT);
    }
    if (idle_until_ <= now) {
        idle_until_ = TimePoint::max();
        end_gently();
    }
    if (notice_until_ <= now) {
        notice_until_ = TimePoint::max();
        H2Session::end_soon();
    }
    return std::min({head_until_, idle_until_, notice_until_});
}

}  // namespace knit::http::detail
