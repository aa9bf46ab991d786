/// H2Session: HTTP/2 on one connection, of a server or a client (RFC 9113).
///
/// nghttp2 knows the frames and their rules; this has the tasks. One task reads and one writes; everybody else asks
/// nghttp2 for frames and wakes the writer. All of it is on one loop. nghttp2's callbacks run inside of feed() and
/// collect(): they change plain state and set events, and never suspend.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fields.hpp"
#include "knit/coro.hpp"
#include "knit/event.hpp"
#include "knit/http/detail/input.hpp"
#include "knit/http/detail/watch.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"
#include "stream.hpp"

namespace knit::http::detail {

struct H2SessionFree {
    void operator()(nghttp2_session* session) const noexcept { nghttp2_session_del(session); }
};
using H2SessionPtr = std::unique_ptr<nghttp2_session, H2SessionFree>;

class H2Session {
public:
    /// RFC 9113, 6.9.2: what every stream begins with.
    static constexpr std::uint32_t kWindow = 65'535;

    H2Session(const H2Session&) = delete;
    H2Session& operator=(const H2Session&) = delete;
    virtual ~H2Session();

    nghttp2_session* handle() const noexcept { return session_.get(); }
    Loop& loop() const noexcept { return *loop_; }
    TimePoint now() const noexcept { return loop_->time(); }
    /// There are frames to be sent.
    void wake_writer() noexcept { wake_.set(); }
    /// Looks at the streams' deadlines no later than then.
    void look_at(TimePoint deadline) noexcept;
    H2Fields& fields() noexcept { return fields_; }
    /// Takes no new streams, and ends when those that run have: says GOAWAY.
    void end_soon() noexcept;
    bool is_ending() const noexcept { return is_ending_ || is_failed_; }
    /// It has ended because the peer took nothing for the write timeout.
    bool is_stuck() const noexcept { return is_stuck_; }
    std::size_t stream_count() const noexcept { return streams_.size(); }
    /// How often bytes have come.
    std::uint64_t heard_count() const noexcept { return heard_count_; }

    void add(H2Stream& stream);
    void remove(H2Stream& stream) noexcept;

protected:
    enum class Side { server, client };
    H2Session(Side side, Duration write_timeout);

    /// On the connection's loop.
    void start(const std::vector<nghttp2_settings_entry>& settings, std::int32_t connection_window);
    /// Until the connection's end. Gives back a cancellation; a std::system_error of the stream's ends the connection,
    /// and is nobody's news; what else the stream throws is for throw_end().
    Coro<std::exception_ptr> read_frames();
    /// The writer's task. What the stream throws ends the reader, and is as there.
    Coro<> write_frames();
    /// Sends what is there, unless the connection has failed, and ends the writer; returns when it has ended. The write
    /// timeout, if there is one, is for each step of that. A cancellation cuts it short and is given back. No timer
    /// stands afterwards, and the session may be destroyed on any thread.
    Coro<std::exception_ptr> end_writer(Task<>& writer);
    /// Throws the cancellation if there is one, or else what the stream below should not have thrown.
    void throw_end(const std::exception_ptr& cancelled) const;
    void feed(std::string_view bytes) noexcept;
    /// Every stream is closed from here on, or every one that is not answered. What is on its way besides them, a
    /// GOAWAY, still goes.
    void close_streams(bool but_answered = false) noexcept;
    /// The same, and nothing goes any more.
    void fail_streams() noexcept {
        is_failed_ = true;
        close_streams();
    }
    /// Streams that are closed may be destroyed anywhere from here on: they leave the session alone.
    void forget_streams() noexcept;
    /// As after an error of the peer's: GOAWAY, and the end at once.
    void terminate(std::uint32_t error_code) noexcept;
    /// Ends the wait of read_frames(), which then looks around.
    void nudge_reader() noexcept { reader_watch_.expire(); }

    // The stream below.

    virtual Coro<bool> fill(Input& input, std::size_t size) = 0;
    virtual Coro<std::size_t> send_some(std::string_view bytes) = 0;

    // nghttp2's callbacks; a stream is null when nobody wants it any more.

    virtual H2Stream* begin_stream(std::int32_t id) = 0;
    /// Its head has come as a whole, and begin_stream() did not want it.
    virtual void refuse_stream(std::int32_t) noexcept {}
    /// A block of fields, a head or a trailer, whoever wants it; it may come in parts.
    virtual void fields_begun(std::int32_t) noexcept {}
    /// A frame has come as a whole: no block of fields is on its way.
    virtual void fields_ended() noexcept {}
    /// The stream is closed: what was on its way of its fields may have been malformed.
    virtual void fields_dropped(std::int32_t) noexcept {}
    /// By the peer, or by nghttp2 for what the peer has done.
    virtual void stream_reset_for_peer() {}
    virtual void settings_received() {}
    virtual void ping_answered() {}
    virtual void last_stream_gone() noexcept {}
    /// The session's own deadlines.
    virtual TimePoint expire(TimePoint now) noexcept = 0;

    Input input_;
    bool is_failed_ = false;  ///< nothing more is sent, nothing more is read
    bool is_ending_ = false;  ///< GOAWAY is on its way

private:
    friend struct H2Callbacks;

    bool is_over() const noexcept;
    void collect();
    Coro<> read_until_over();
    Coro<> write_until_stopped(Watch& watch);
    Coro<> wait_for_room();
    void ring();

    static constexpr std::size_t kPiece = 16 << 10;
    static constexpr std::size_t kOutMost = 64 << 10;
    static constexpr std::size_t kFramesMost = 1000;  ///< to be sent, above which nothing is read

    bool is_stuck_ = false;
    const Side side_;
    const Duration write_timeout_;
    Loop* loop_ = nullptr;
    H2SessionPtr session_;
    std::vector<H2Stream*> streams_;
    H2Fields fields_;
    Watch reader_watch_;
    std::string out_;
    std::exception_ptr failure_;  ///< what the stream below should not have thrown
    std::uint64_t heard_count_ = 0;
    Event wake_;     ///< frames for the writer
    Event room_;     ///< the writer has sent
    Handle timer_;
    TimePoint armed_for_ = TimePoint::max();
    bool is_stopping_ = false;  ///< the writer ends when all is sent
};

}  // namespace knit::http::detail
