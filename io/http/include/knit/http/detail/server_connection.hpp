/// ServerConnection<S>: a server's connection on a ByteStream of any kind; what it knows of HTTP is ConnectionBase's.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/connection_base.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/receive.hpp"
#include "knit/io/tcp.hpp"

namespace knit::http::detail {

/// A connection on a stream of type S.
template <io::ByteStream S>
class ServerConnection final : public ConnectionBase {
public:
    ServerConnection(S stream, std::shared_ptr<ServerCore> core) noexcept
        : ConnectionBase(std::move(core)), stream_(std::move(stream)) {}

    /// Answers what has come, to the end of the connection or until it is idle: true.
    Coro<bool> serve_requests() {
        take_spare();
        for (;;) {
            const Next found = is_last_ ? Next::more : next_head();
            if (found == Next::request) {
                if (const Handler* const handler = begin_handler()) {
                    try {
                        Coro<Response> running = (*handler)(*request_);
                        response_.emplace(co_await std::move(running));
                    } catch (...) {
                        catch_handler_error();
                    }
                    if (!end_handler()) {
                        co_await come_home(watch_.loop());  // first: there may be no memory where it is
                        Coro<> settling = settle_handler();
                        co_await std::move(settling);
                    }
                }
                if (const bool is_put = put(*response_); !is_put || has_rest()) {
                    Coro<> finishing = finish_request(is_put);
                    co_await std::move(finishing);
                }
                response_.reset();
                end_request();
                if (out_.size() < kOutMost) {
                    continue;
                }
            }
            if (found == Next::http2) {
                Coro<> speaking = speak_http2(kPreface);
                co_await std::move(speaking);
                break;
            }
            if (!out_.empty()) {
                try {
                    for (std::string_view rest = out_; !rest.empty();) {
                        begin_write();
                        rest.remove_prefix(co_await write_part(rest));
                    }
                } catch (const CancelledError&) {
                    end_wait_cancelled(write_watch_);
                    throw_write_timeout();
                }
                if (write_watch_.end()) {
                    throw_write_timeout();  // TLS has taken bytes that the peer has not
                }
                out_.clear();
            }
            if (is_at_end()) {
                break;
            }
            if (found == Next::more && input_.rest().empty()) {
                co_return true;
            }
            if (found == Next::more && !co_await receive_head()) {
                break;
            }
        }
        co_return false;
    }

    /// What comes next, for take(): awaited between begin_wait() and end_wait().
    auto receive_more() {
        if constexpr (kLends) {
            return stream_.receive();
        } else {
            return stream_.read_some(input_.make_room(kHeadRoom));
        }
    }
    /// False at the end of the stream.
    bool take(io::Received received) {
        const bool has_come = !received.empty();
        input_.take(std::move(received));
        return has_come;
    }
    bool take(std::size_t count) {
        input_.grow(count);
        return count != 0;
    }
    bool has_chosen_http2() const final {
        if constexpr (requires { stream_.alpn_protocol() == ""; }) {
            return stream_.alpn_protocol() == "h2";
        } else {
            return false;
        }
    }

private:
    static constexpr bool kLends = requires(S& stream) {
        { stream.receive() } -> std::same_as<io::Receive>;
    };
    static constexpr bool kTellsProgress = requires(S& stream, std::span<const std::byte> bytes) {
        stream.write_some(bytes);
    };
    static constexpr bool kAborts = requires(S& stream) { stream.abort(); };
    // Not a stream of somebody's own that derives from one: it may have a write() of its own.
    static constexpr bool kSendsFiles = std::same_as<S, io::TcpStream>;
    static constexpr std::size_t kHeadRoom = 4096;

    /// Receives more of a head; false when the connection ends.
    Coro<bool> receive_head() {
        begin_wait();
        bool has_come = false;
        bool is_late = false;
        try {
            has_come = take(co_await receive_more());
        } catch (const CancelledError&) {
            end_wait_cancelled(watch_);
            is_late = true;
        }
        end_wait();
        if (is_late) {
            time_out();
            co_return !out_.empty();
        }
        co_return has_come;
    }

    auto write_part(std::string_view bytes) {
        const auto part = std::as_bytes(std::span(bytes));
        if constexpr (kTellsProgress) {
            return stream_.write_some(part);
        } else {
            return write_whole(part);
        }
    }
    Coro<std::size_t> write_whole(std::span<const std::byte> bytes) {
        co_await stream_.write(bytes);
        co_return bytes.size();
    }

    Coro<std::size_t> send_some(std::string_view bytes) final { co_return co_await write_part(bytes); }

    Coro<bool> fill(Input& input, std::size_t size) final {
        Coro<std::size_t> reading = read_stream(input.make_room(size));
        const std::size_t count = co_await std::move(reading);
        input.grow(count);
        co_return count != 0;
    }
    Coro<std::size_t> read_stream(std::span<std::byte> buffer) final {
        try {
            co_return co_await stream_.read_some(buffer);
        } catch (const std::system_error&) {
            has_peer_gone_ = true;
            throw;
        }
    }

    Coro<> send(std::string_view bytes) final {
        while (!bytes.empty()) {
            Coro<std::size_t> writing = write_in_time(write_part(bytes));
            bytes.remove_prefix(co_await std::move(writing));
        }
    }
    Coro<std::size_t> send_cached(int file, std::uint64_t offset, std::uint64_t most) final {
        if constexpr (kSendsFiles) {
            Coro<std::size_t> writing = write_in_time(stream_.send_cached(file, offset, most));
            co_return co_await std::move(writing);
        } else {
            co_return 0;
        }
    }
    template <class A>
    Coro<std::size_t> write_in_time(A part) {
        std::size_t count = 0;
        begin_write_here();
        try {
            count = co_await std::move(part);
        } catch (const CancelledError&) {
            is_broken_ = true;
            end_wait_cancelled(write_watch_);
            throw_write_timeout();
        } catch (const std::system_error&) {
            is_broken_ = has_peer_gone_ = true;
            write_watch_.end();
            throw;
        } catch (...) {
            is_broken_ = true;
            write_watch_.end();
            throw;
        }
        if (write_watch_.end()) {
            throw_write_timeout();
        }
        co_return count;
    }

    /// Closing with bytes unread would reset the connection and could take the last answer away: reads them first, but
    /// not for long.
    Coro<> close_gently() final {
        const TimePoint end = watch_.loop().time() + kDrainTime;
        bool has_said_all = false;
        watch_.begin(kDrainSilence);
        try {
            Coro<> shutting = shutdown_bare();
            co_await std::move(shutting);
            has_said_all = true;
            for (std::size_t count = 1; count != 0 && watch_.loop().time() < end;) {
                input_.consume(input_.rest().size());
                watch_.begin(kDrainSilence);
                count = co_await stream_.read_some(input_.make_room(kPiece));
            }
        } catch (const CancelledError&) {
            end_wait_cancelled(watch_);
        }
        watch_.end();
        if constexpr (kAborts) {
            if (has_said_all) {
                abort_bare();  // its close() would say it again, and wait again
            }
        }
    }

    Coro<> shutdown_bare() final {
        if constexpr (Awaitable<decltype(stream_.shutdown())>) {
            co_await stream_.shutdown();
        } else {
            stream_.shutdown();
            co_return;
        }
    }
    void close_bare() noexcept final {
        if (!std::exchange(is_closed_, true)) {
            stream_.close();
        }
    }
    void abort_bare() noexcept final {
        if (std::exchange(is_closed_, true)) {
            return;
        }
        if constexpr (kAborts) {
            stream_.abort();
        } else {
            reset();
        }
    }
    void reset() noexcept {
        if constexpr (requires { stream_.linger(Duration::zero()); }) {
            try {
                stream_.linger(Duration::zero());
            } catch (const std::system_error&) {
                static_cast<void>(0);  // it is closed all the same
            }
        }
        stream_.close();
    }
    Coro<> wait_closed_bare() final {
        if constexpr (requires { { stream_.wait_closed() } -> std::same_as<Coro<>>; }) {
            Coro<> waiting = stream_.wait_closed();
            co_await std::move(waiting);
        }
        co_return;
    }
    io::Endpoint peer() const final {
        if constexpr (requires { stream_.peer_endpoint(); }) {
            return stream_.peer_endpoint();
        } else {
            return {};
        }
    }

    S stream_;
};

}  // namespace knit::http::detail
