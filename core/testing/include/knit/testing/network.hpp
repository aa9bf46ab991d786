/// A network for simulations: connections that take their time, break, and give and take less than was asked for, as
/// the seed decides.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "knit/coro.hpp"
#include "knit/time.hpp"

namespace knit::testing {

struct NetworkOptions {
    /// How long bytes and connections are under way. Bytes of one connection stay in order.
    Duration latency_min = std::chrono::microseconds(10);
    Duration latency_max = std::chrono::milliseconds(2);
    /// How often, of a thousand, a read gives and a write takes less than it could.
    unsigned short_reads = 200;
    unsigned short_writes = 200;
    /// How often, of a thousand writes, the connection breaks instead.
    unsigned losses = 0;
    /// Bytes under way in one direction before a writer waits.
    std::size_t window = 64 * 1024;
};

namespace detail {
struct Connection;
struct Port;
}  // namespace detail

/// One end of a connection: a ByteStream. At most one read and one write at a time. A cancelled read has taken nothing;
/// a cancelled write may have sent a part, which a cancelled write_some() has not. Any loop of the simulation.
class Stream {
public:
    Stream() = default;
    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&& other) noexcept;
    ~Stream();

    /// How many bytes have come, at least one; 0 at the end of the stream. std::system_error: connection_reset when the
    /// connection broke, operation_canceled when this end was closed meanwhile.
    Coro<std::size_t> read_some(std::span<std::byte> buffer);
    /// Sends all the bytes. std::system_error as read_some(), and broken_pipe when the other end has been closed.
    Coro<> write(std::span<const std::byte> bytes);
    /// How many bytes have been taken, at least one unless there are none.
    Coro<std::size_t> write_some(std::span<const std::byte> bytes);
    Coro<> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
    /// Bytes that can be read without waiting.
    std::size_t available() const;
    /// The peer reads the end of the stream after what has been written.
    void shutdown();
    void close();
    /// The connection breaks, at both ends at once: what is under way is lost.
    void lose();
    bool is_open() const noexcept { return connection_ != nullptr; }

private:
    friend struct detail::Connection;
    Stream(std::shared_ptr<detail::Connection> connection, unsigned side) noexcept
        : connection_(std::move(connection)), side_(side) {}
    /// Throws std::system_error EBADF once it is closed.
    const std::shared_ptr<detail::Connection>& open_connection() const;

    std::shared_ptr<detail::Connection> connection_;
    unsigned side_ = 0;
};

/// Two ends of a connection.
std::pair<Stream, Stream> stream_pair();

/// Waits for connections to a name.
class Listener {
public:
    explicit Listener(std::string address);
    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&& other) noexcept;
    ~Listener();

    /// The oldest connection that nobody has accepted. std::system_error operation_canceled when closed.
    Coro<Stream> accept();
    /// Connections that nobody has accepted break.
    void close();

private:
    std::shared_ptr<detail::Port> port_;
};

/// std::system_error: address_in_use.
Listener listen(std::string address);
/// std::system_error: connection_refused where nobody listens.
Coro<Stream> connect(std::string address);

}  // namespace knit::testing
