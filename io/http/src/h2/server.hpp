/// H2Server: HTTP/2 on a server's connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "../server_core.hpp"
#include "knit/coro.hpp"
#include "knit/event.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "session.hpp"

namespace knit::http::detail {

class H2Server final : public H2Session, public Takeover {
public:
    H2Server(ConnectionBase& connection, ServerCore& core, Shard& shard);

    /// Until the connection and the tasks of its requests have ended. Cancelled: the requests are, then CancelledError.
    Coro<> run(Input input, std::string_view preface);
    void end_soon() noexcept final { H2Session::end_soon(); }
    /// The same for a server that goes on: requests that are on their way to it are answered (RFC 9113, 6.8).
    void end_gently() noexcept;

    ServerCore& core() const noexcept { return core_; }
    Shard& shard() const noexcept { return shard_; }
    io::Endpoint peer() const { return connection_.peer(); }
    /// For the log.
    const std::string& peer_text();
    void task_begun() noexcept { ++task_count_; }
    void task_ended() noexcept;
    /// A read or a write of a task that its handler may have left behind.
    void use_begun() noexcept { ++use_count_; }
    void use_ended() noexcept;
    /// A head's fields are beyond all limits: not even worth reading on.
    void head_is_endless() noexcept;

private:
    static constexpr int kResetsMost = 200;         ///< by or for the peer, at once
    static constexpr int kResetsEachSecond = 50;    ///< ... and in the long run

    Coro<bool> fill(Input& input, std::size_t size) final { return connection_.fill(input, size); }
    Coro<std::size_t> send_some(std::string_view bytes) final { return connection_.send_some(bytes); }
    H2Stream* begin_stream(std::int32_t id) final;
    void refuse_stream(std::int32_t id) noexcept final;
    void fields_begun(std::int32_t id) noexcept final;
    void fields_ended() noexcept final {
        if (has_settings_) {
            head_until_ = TimePoint::max();
        }
    }
    void fields_dropped(std::int32_t id) noexcept final {
        if (id == head_id_) {
            fields_ended();
        }
    }
    void stream_reset_for_peer() final;
    void settings_received() final;
    void ping_answered() final;
    void last_stream_gone() noexcept final;
    TimePoint expire(TimePoint now) noexcept final;
    void tell_ended() noexcept;

    ConnectionBase& connection_;
    std::string peer_text_;
    ServerCore& core_;
    Shard& shard_;
    std::size_t task_count_ = 0;
    std::size_t use_count_ = 0;
    Event tasks_ended_;
    std::int32_t head_id_ = 0;                 ///< whose fields head_until_ is for; zero: the preface
    TimePoint head_until_ = TimePoint::max();  ///< for the preface, or fields whose first frame has come
    TimePoint idle_until_ = TimePoint::max();  ///< while there is no stream
    TimePoint notice_until_ = TimePoint::max();  ///< for the peer to have seen that the end comes
    TimePoint resets_since_{};
    int resets_ = 0;  ///< less those that time has forgiven
    bool has_settings_ = false;
    bool has_notice_ = false;  ///< the end has been announced
};

}  // namespace knit::http::detail
