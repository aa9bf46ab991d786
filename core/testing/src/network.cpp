#include "knit/testing/network.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <system_error>
#include <vector>

#include "knit/event.hpp"
#include "knit/loop.hpp"
#include "knit/sleep.hpp"
#include "simulation.hpp"

namespace knit::testing {
namespace detail {

/// One direction of a connection.
struct Way {
    struct Chunk {
        std::vector<std::byte> bytes;
        TimePoint due;
    };
    std::deque<Chunk> chunks;
    std::size_t taken = 0;  ///< of the first chunk
    std::size_t under_way = 0;
    TimePoint last_due{};
    TimePoint end_due{};
    bool has_ended = false;  ///< the writer has shut it down
    Event readable;
    Event writable;
};

struct Connection {
    std::array<Way, 2> ways;  ///< what side i writes
    std::array<bool, 2> is_closed{};
    bool is_lost = false;

    static std::pair<Stream, Stream> make() {
        auto connection = std::make_shared<Connection>();
        return {Stream(connection, 0), Stream(connection, 1)};
    }
    void wake_all() {
        for (Way& way : ways) {
            way.readable.set();
            way.writable.set();
        }
    }
    /// Nothing more goes through on that side?
    void check(unsigned side) const {
        if (is_closed[side]) {
            throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                                    "the simulated stream was closed");
        }
        if (is_lost) {
            throw std::system_error(std::make_error_code(std::errc::connection_reset),
                                    "the simulated connection broke");
        }
    }
};

/// Where connections to one name arrive.
struct Port {
    std::string address;
    std::deque<Stream> waiting;
    Event changed;
    bool is_closed = false;
};

namespace {

Duration latency() {
    const NetworkOptions& options = world().network;
    const Duration range = std::max(options.latency_max - options.latency_min, Duration::zero());
    const auto span = static_cast<std::uint64_t>(range.count());
    return options.latency_min + Duration(static_cast<Duration::rep>(world().below(span + 1)));
}

std::size_t shortened(std::size_t size, unsigned per_mille) {
    return size > 1 && world().happens(per_mille) ? 1 + world().below(size - 1) : size;
}

/// When what is sent now arrives, in order; the reader is told then.
TimePoint arrival(const std::shared_ptr<Connection>& connection, unsigned side) {
    Way& way = connection->ways[side];
    Loop& loop = get_running_loop();
    way.last_due = std::max(way.last_due, loop.time() + latency());
    static_cast<void>(loop.call_at(way.last_due, [connection, side] { connection->ways[side].readable.set(); }));
    return way.last_due;
}

/// What has come, up to the buffer's size.
std::size_t take(Way& way, std::span<std::byte> buffer, TimePoint time) {
    std::size_t count = 0;
    while (count < buffer.size() && !way.chunks.empty() && way.chunks.front().due <= time) {
        std::vector<std::byte>& bytes = way.chunks.front().bytes;
        const std::size_t part = std::min(buffer.size() - count, bytes.size() - way.taken);
        std::memcpy(buffer.data() + count, bytes.data() + way.taken, part);
        count += part;
        way.taken += part;
        if (way.taken == bytes.size()) {
            way.chunks.pop_front();
            way.taken = 0;
        }
    }
    way.under_way -= count;
    return count;
}

}  // namespace
}  // namespace detail

using detail::world;

Stream& Stream::operator=(Stream&& other) noexcept {
    if (this != &other) {
        close();
        connection_ = std::move(other.connection_);
        side_ = other.side_;
    }
    return *this;
}

Stream::~Stream() { close(); }

const std::shared_ptr<detail::Connection>& Stream::open_connection() const {
    if (connection_ == nullptr) {
        throw std::system_error(EBADF, std::generic_category(), "the simulated stream is closed");
    }
    return connection_;
}

Coro<std::size_t> Stream::read_some(std::span<std::byte> buffer) {
    const std::shared_ptr<detail::Connection> connection = open_connection();
    const unsigned side = side_;
    detail::Way& way = connection->ways[1 - side];
    for (;;) {
        connection->check(side);
        const TimePoint time = get_running_loop().time();
        const std::size_t size = detail::shortened(buffer.size(), world().network.short_reads);
        const std::size_t count = detail::take(way, buffer.first(size), time);
        if (count > 0 || buffer.empty()) {
            way.writable.set();
            co_return count;
        }
        if (way.has_ended && way.chunks.empty() && way.end_due <= time) {
            co_return 0;
        }
        way.readable.clear();
        co_await way.readable.wait();
    }
}

Coro<std::size_t> Stream::write_some(std::span<const std::byte> bytes) {
    const std::shared_ptr<detail::Connection> connection = open_connection();
    const unsigned side = side_;
    detail::Way& way = connection->ways[side];
    for (;;) {
        if (world().happens(world().network.losses)) {
            connection->is_lost = true;
            connection->wake_all();
        }
        connection->check(side);
        if (way.has_ended || connection->is_closed[1 - side]) {
            throw std::system_error(std::make_error_code(std::errc::broken_pipe), "the simulated stream has ended");
        }
        const std::size_t room = world().network.window - std::min(world().network.window, way.under_way);
        if (bytes.empty() || room > 0) {
            break;
        }
        way.writable.clear();
        co_await way.writable.wait();
    }
    const std::size_t room = world().network.window - way.under_way;
    const std::size_t count = detail::shortened(std::min(bytes.size(), room), world().network.short_writes);
    if (count > 0) {
        const auto taken = bytes.first(count);
        way.chunks.push_back({std::vector<std::byte>(taken.begin(), taken.end()), detail::arrival(connection, side)});
        way.under_way += count;
    }
    co_return count;
}

Coro<> Stream::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const std::size_t count = co_await write_some(bytes);
        bytes = bytes.subspan(count);
    }
}

std::size_t Stream::available() const {
    const detail::Way& way = open_connection()->ways[1 - side_];
    const TimePoint time = get_running_loop().time();
    std::size_t count = 0;
    for (const detail::Way::Chunk& chunk : way.chunks) {
        count += chunk.due <= time ? chunk.bytes.size() : 0;
    }
    return count - (count > 0 ? way.taken : 0);
}

void Stream::shutdown() {
    detail::Way& way = open_connection()->ways[side_];
    if (!way.has_ended) {
        way.has_ended = true;
        way.end_due = detail::arrival(connection_, side_);
    }
}

void Stream::close() {
    if (connection_ == nullptr) {
        return;
    }
    const std::shared_ptr<detail::Connection> connection = std::move(connection_);
    detail::Way& way = connection->ways[side_];
    connection->is_closed[side_] = true;
    if (!way.has_ended) {
        way.has_ended = true;
        way.end_due = way.last_due;
    }
    connection->wake_all();
}

void Stream::lose() {
    open_connection()->is_lost = true;
    connection_->wake_all();
}

std::pair<Stream, Stream> stream_pair() { return detail::Connection::make(); }

Listener::Listener(std::string address) : port_(std::make_shared<detail::Port>()) {
    std::weak_ptr<detail::Port>& place = world().ports[address];
    if (const auto other = place.lock(); other != nullptr && !other->is_closed) {
        throw std::system_error(std::make_error_code(std::errc::address_in_use), "listen(\"" + address + "\")");
    }
    port_->address = std::move(address);
    place = port_;
}

Listener& Listener::operator=(Listener&& other) noexcept {
    if (this != &other) {
        close();
        port_ = std::move(other.port_);
    }
    return *this;
}

Listener::~Listener() { close(); }

Coro<Stream> Listener::accept() {
    const std::shared_ptr<detail::Port> port = port_;
    if (port == nullptr) {
        throw std::system_error(EBADF, std::generic_category(), "the simulated listener is closed");
    }
    while (port->waiting.empty()) {
        if (port->is_closed) {
            throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                                    "the simulated listener was closed");
        }
        port->changed.clear();
        co_await port->changed.wait();
    }
    Stream stream = std::move(port->waiting.front());
    port->waiting.pop_front();
    co_return stream;
}

void Listener::close() {
    if (port_ == nullptr) {
        return;
    }
    port_->is_closed = true;
    for (Stream& stream : port_->waiting) {
        stream.lose();
    }
    port_->waiting.clear();
    port_->changed.set();
    port_.reset();
}

Listener listen(std::string address) { return Listener(std::move(address)); }

Coro<Stream> connect(std::string address) {
    co_await sleep(detail::latency());
    const auto found = world().ports.find(address);
    const std::shared_ptr<detail::Port> port = found != world().ports.end() ? found->second.lock() : nullptr;
    if (port == nullptr || port->is_closed) {
        throw std::system_error(std::make_error_code(std::errc::connection_refused), "connect(\"" + address + "\")");
    }
    auto [here, there] = stream_pair();
    port->waiting.push_back(std::move(there));
    port->changed.set();
    co_await sleep(detail::latency());
    co_return std::move(here);
}

}  // namespace knit::testing
