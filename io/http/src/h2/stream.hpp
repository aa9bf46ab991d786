/// H2Stream: one request and its answer on an HTTP/2 connection, as both sides have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/event.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/time.hpp"

namespace knit::http::detail {

class H2Session;

/// All on the connection's loop. What comes is kept until it is read, and the peer's window for it opens only then: no
/// more than one window of a stream is ever in memory. What goes is not kept at all: a write waits until its bytes have
/// been taken into frames, which the peer's window decides.
class H2Stream {
public:
    /// An error code that no peer can send: the connection has ended before the stream.
    static constexpr std::uint32_t kLost = 0xffff'ffff;

    explicit H2Stream(H2Session& session);
    H2Stream(const H2Stream&) = delete;
    H2Stream& operator=(const H2Stream&) = delete;
    virtual ~H2Stream();

    std::int32_t id() const noexcept { return id_; }
    bool is_closed() const noexcept { return is_closed_; }
    bool has_peer_ended() const noexcept { return has_ended_; }
    /// Its first frame has been made, and may have been sent.
    bool has_begun() const noexcept { return has_begun_; }
    /// All that this side will send of it is known.
    virtual bool is_answered() const noexcept { return false; }
    /// A task is in write().
    bool is_writing() const noexcept { return is_writing_; }
    /// The peer has taken nothing for too long, and the stream is about to be reset for it.
    bool is_write_late() const noexcept { return is_write_late_; }
    std::uint32_t error_code() const noexcept { return error_code_; }

    // For nghttp2's callbacks.

    void set_id(std::int32_t id) noexcept { id_ = id; }
    /// Of a head, or of a trailer.
    virtual void take_field(std::string_view name, std::string_view value) = 0;
    virtual void end_fields() = 0;
    void take_data(std::string_view bytes);
    /// The peer sends no more.
    void take_end() noexcept;
    /// Bytes for a frame, and nghttp2's flag for the last one; NGHTTP2_ERR_DEFERRED when there are none yet.
    std::ptrdiff_t give_data(std::span<std::uint8_t> room, std::uint32_t& flags) noexcept;
    /// This side's head is in a frame on its way.
    void sent_head() noexcept { has_begun_ = true; }
    /// What ends this side is in a frame on its way.
    virtual void sent_end() noexcept {}
    /// The stream is over for nghttp2, and so are reads and writes. It may be gone afterwards.
    virtual void closed(std::uint32_t error_code) noexcept;
    /// Ends the waits whose deadline has come; gives the next deadline.
    TimePoint expire(TimePoint now) noexcept;

    // The program's side.

    /// The next piece, good until the next call; empty at the end. `limit` is for the next KiB; throw_late() comes
    /// after it. std::system_error when the stream is reset. RuntimeError while another read() is under way. Cancelled:
    /// CancelledError, and nothing is lost.
    Coro<std::string_view> read(Duration limit);
    /// Waits until all is in frames. `limit`: for the peer to take any bytes. Cancelled or failed: resets the stream.
    /// RuntimeError while another write() is under way.
    Coro<> write(std::string_view bytes, Duration limit);
    /// All that this side will send, besides what is under way; the bytes stay until the stream is closed.
    void write_last(std::string_view bytes, Duration limit) noexcept;
    void reset(std::uint32_t error_code) noexcept;

protected:
    [[noreturn]] virtual void throw_late() = 0;
    [[noreturn]] void throw_closed() const;
    H2Session& session() const noexcept { return session_; }
    /// RuntimeError when a write() is under way, after which nothing can be said to be the last.
    void expect_written() const;
    /// Resets the stream and ends what waits for it at once: the reset itself may have to wait for the peer.
    void abandon(std::uint32_t error_code) noexcept;
    /// What comes is dropped from here on; a read that waits ends with ECANCELED.
    void stop_reading() noexcept;
    /// A read waits, and was not told to end.
    bool is_being_read() const noexcept { return is_reading_ && !is_dropping_ && !is_closed_; }
    /// Drops for a while what the peer still sends of a body that nobody wants, then resets the stream without blame:
    /// some clients that are reset at once lose the answer before it.
    void linger() noexcept;

    Event readable_;  ///< something has come, or will not come

private:
    friend class H2Session;

    static constexpr std::size_t kProgress = 1024;
    static constexpr std::size_t kLingerMost = 16 << 20;  ///< bytes

    void consume(std::size_t size) noexcept;
    void end_wait() noexcept;
    void expect_writable() const;
    void resume_sending() noexcept;

    H2Session& session_;
    std::size_t place_ = 0;  ///< in the session's list
    std::int32_t id_ = 0;
    std::uint32_t error_code_ = 0;
    std::string received_;
    std::string current_;  ///< what the last read gave
    std::size_t read_progress_ = 0;  ///< bytes of the KiB that the limit is for
    Duration read_left_{};           ///< what is left of that, zero: all; the reader's own time does not count
    std::string_view out_;           ///< what give_data() has still to give
    Event writable_;                 ///< out_ is empty, or will not become so
    Duration write_limit_{};
    TimePoint read_until_ = TimePoint::max();
    TimePoint write_until_ = TimePoint::max();
    bool is_closed_ = false;
    bool has_ended_ = false;      ///< the peer
    bool is_reading_ = false;     ///< a read waits
    bool is_dropping_ = false;    ///< nobody reads any more
    bool is_lingering_ = false;   ///< ... and this side has ended
    std::size_t lingered_ = 0;    ///< bytes
    bool is_abandoned_ = false;   ///< as if it were closed
    bool is_read_late_ = false;   ///< the deadline has come
    bool is_write_late_ = false;  ///< the same
    bool is_writing_ = false;     ///< a write waits
    bool has_begun_ = false;      ///< this side
    bool is_last_ = false;        ///< nothing follows out_
    bool is_deferred_ = false;    ///< nghttp2 waits to be told of more
    bool is_forgotten_ = false;   ///< the session has ended, and does not know of this any more
};

}  // namespace knit::http::detail
