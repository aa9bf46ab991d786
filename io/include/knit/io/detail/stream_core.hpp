/// StreamCore: what the reader and the writer of one connection share, whatever the stream is: asyncio's transport and
/// protocol in one. It belongs to the loop that it was made on.
///
/// Bytes are moved by two pumps, tasks that know the stream's type (stream_pumps.hpp). The reading pump runs while the
/// reader wants bytes; the writing pump runs from the first byte written to the last one sent. What is written in one
/// turn is sent in one go: by the end of that turn, or when the task drains or waits for the answer.
///
///   state      entered by                                  then
///   open       the constructor
///   closing    close(), abort(), an error                  nothing more is read, write() drops; what is buffered is
///                                                          sent first, unless it was abort() or an error
///   lost       the turn after, or the last byte sent       the reader has ended, drain() throws, the stream is closed
///   closed     both pumps have ended                       wait_closed() returns; a server counts the connection on
///                                                          while the stream is still closing
#pragma once

#include <any>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knit/coro.hpp"
#include "knit/detail/work.hpp"
#include "knit/future.hpp"
#include "knit/io/detail/reader_state.hpp"

namespace knit::detail {

class StreamCore;
using StreamCoreRef = StateRef<StreamCore>;

/// Lives until the connection is closed, by the stream below too (TLS says good-bye); a server counts its connections
/// by it.
class StreamToken {
public:
    virtual ~StreamToken() = default;
};

class StreamCore : public ReaderState {
public:
    static constexpr std::size_t kHighWater = std::size_t{64} << 10;

    // The writer's side. RuntimeError on another loop, unless it says otherwise.

    void check_loop() const override;
    /// The first thing that a write does: RuntimeError as well after write_eof().
    void check_write(const char* function) const;
    void write(std::string_view data);
    void write(std::string&& data);
    void write_eof();
    void close();
    void abort();
    /// The handle to write with has gone: closes, and warns if nobody had. Any thread.
    void drop_writer() noexcept;
    void drop_reader() noexcept override;
    void set_limits(std::size_t low, std::size_t high);
    bool is_closing() const noexcept { return is_closing_; }
    std::size_t low() const noexcept { return low_; }
    std::size_t high() const noexcept { return high_; }
    std::size_t unsent() const noexcept {
        return is_lost_due_ || is_lost_ ? 0 : pending_.size() + sending_.size() - sent_;
    }
    virtual bool can_write_eof() const noexcept = 0;
    /// "peername", "sockname", "socket", and what the stream knows; empty for any other.
    std::any extra_info(std::string_view name) const;
    static Coro<> drain(StreamCoreRef core);
    static Coro<> wait_closed(StreamCoreRef core);

    // Whoever makes the connection.

    /// Begins to read.
    void begin();
    void set_token(std::unique_ptr<StreamToken> token) noexcept { token_ = std::move(token); }
    /// A server's handler runs: it is for its end to say that the writer was not closed.
    void begin_handler() noexcept { handler_runs_ = true; }
    /// The handler has ended; unless it `warns` it has failed, and the connection is closed.
    void end_handler(bool warns) noexcept;
    Worker& home() const noexcept { return home_; }

protected:
    enum class Info { peer, local, socket };

    StreamCore(Worker& home, std::size_t limit, bool has_reader, bool has_writer);
    ~StreamCore() override;

    // The pumps' side.

    bool wants_data() const noexcept { return !is_closing_ && !has_ended() && !is_paused(); }
    /// Empty: the stream has ended.
    void take_data(std::span<const std::byte> data);
    void end_reading(std::exception_ptr error) noexcept;
    /// Empty: all is sent.
    std::span<const std::byte> next_to_send() noexcept;
    void take_sent(std::size_t count) noexcept;
    /// All is sent and the stream's end is to be sent, once.
    bool take_shutdown() noexcept;
    /// `is_exact`: what a cancelled write has sent is known.
    void end_writing(std::exception_ptr error, bool is_exact) noexcept;
    void end_token() noexcept { token_.reset(); }

private:
    struct Message : Work {
        StreamCore* core = nullptr;
    };
    /// What few connections have.
    struct Rare {
        std::vector<Future<>> drains;
        std::vector<Future<>> closes;
        std::any peer;
        std::any local;
        std::string warning;
    };
    using Futures = std::vector<Future<>> Rare::*;
    class Waiting;

    virtual Coro<> pump_reading() = 0;
    virtual Coro<> pump_writing() = 0;
    /// `is_broken`: by abort() or an error, and not in good order.
    virtual void close_stream(bool is_broken) noexcept = 0;
    virtual void abort_closed_stream() noexcept = 0;
    /// Waits until the stream is done with closing, and calls end_token(); empty: it is done at once.
    virtual Coro<> pump_closing() = 0;
    virtual std::any stream_info(Info which) const = 0;
    /// By a name of the stream's own, also after the end.
    virtual std::any stream_extra(std::string_view name) const = 0;

    bool pause_feeding() override { return true; }
    void resume_feeding() override { start_reading(); }
    void prepare_wait() override;

    bool can_take();
    void wrote();
    void flush() noexcept;
    void start_reading() noexcept;
    void begin_close() noexcept;
    void fail(std::exception_ptr error, const char* what) noexcept;
    /// Nothing more is sent.
    void break_off(std::exception_ptr error) noexcept;
    void schedule_lost() noexcept;
    void lose() noexcept;
    void close_if_idle() noexcept;
    void wait_for_stream() noexcept;
    void pause_if_full() noexcept;
    void resume_if_drained() noexcept;
    void drop_writer_here() noexcept;
    std::string describe() const;
    Rare& rare();
    void wake_all(Futures list) noexcept;
    bool post(Message& message, Work::Run run) noexcept;
    static void run_flush(Worker& worker, Work& work) noexcept;
    static void run_lost(Worker& worker, Work& work) noexcept;

    Worker& home_;
    std::string pending_;  ///< written, and not in flight
    std::string sending_;  ///< in flight from sent_ on
    std::size_t sent_ = 0;
    std::size_t low_ = kHighWater / 4;
    std::size_t high_ = kHighWater;
    std::unique_ptr<Rare> rare_;
    std::unique_ptr<StreamToken> token_;
    std::exception_ptr lost_error_;
    Message flush_;  ///< stands in the run queue while is_flush_due_
    Message lost_;   ///< stands in the run queue from schedule_lost() to lose()
    Message drop_;   ///< what the destructor of a handle on another thread sends
    unsigned writes_lost_ = 0;
    unsigned char flushes_cancelled_ = 0;
    const bool has_reader_;
    const bool has_writer_;
    bool is_reading_ = false;
    bool is_writing_ = false;
    bool is_flush_due_ = false;
    bool is_eof_wanted_ = false;
    bool is_eof_sent_ = false;
    bool is_full_ = false;  ///< above the high-water mark, and not below the low one since
    bool is_closing_ = false;
    bool is_broken_ = false;
    bool is_lost_due_ = false;
    bool is_lost_ = false;
    bool is_closed_ = false;
    bool handler_runs_ = false;
};

}  // namespace knit::detail
