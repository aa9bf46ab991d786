// make_streams() over streams of all kinds: what is no socket, what has one direction, what always waits or never.

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

/// One direction of a stream in memory.
struct Channel {
    std::deque<std::byte> bytes;
    bool has_ended = false;
    bool is_closed = false;
    Condition changed;
};

Coro<> notify(std::shared_ptr<Channel> channel) {
    const auto guard = co_await channel->changed.scoped();
    channel->changed.notify_all();
}

Coro<std::size_t> read_from(std::shared_ptr<Channel> channel, std::span<std::byte> buffer) {
    const auto guard = co_await channel->changed.scoped();
    while (channel->bytes.empty() && !channel->has_ended && !channel->is_closed) {
        co_await channel->changed.wait();
    }
    if (channel->is_closed) {
        throw std::system_error(ECANCELED, std::generic_category(), "read: closed");
    }
    const std::size_t count = std::min(buffer.size(), channel->bytes.size());
    std::copy_n(channel->bytes.begin(), count, buffer.begin());
    channel->bytes.erase(channel->bytes.begin(), channel->bytes.begin() + static_cast<std::ptrdiff_t>(count));
    co_return count;
}

Coro<std::size_t> write_to(std::shared_ptr<Channel> channel, std::span<const std::byte> bytes) {
    const auto guard = co_await channel->changed.scoped();
    channel->bytes.insert(channel->bytes.end(), bytes.begin(), bytes.end());
    channel->changed.notify_all();
    co_return bytes.size();
}

/// A stream that is no socket, whose every call is a coroutine: as TLS will be.
class MemoryStream {
public:
    MemoryStream(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out)
        : in_(std::move(in)), out_(std::move(out)) {}
    Coro<std::size_t> read_some(std::span<std::byte> buffer) { return read_from(in_, buffer); }
    Coro<std::size_t> write(std::span<const std::byte> bytes) { return write_to(out_, bytes); }
    Coro<> shutdown() {
        out_->has_ended = true;
        return notify(out_);
    }
    void close() {
        for (const auto& channel : {in_, out_}) {
            (channel == in_ ? channel->is_closed : channel->has_ended) = true;
            create_task(notify(channel));
        }
    }

private:
    std::shared_ptr<Channel> in_;
    std::shared_ptr<Channel> out_;
};

static_assert(io::ByteStream<MemoryStream>);
static_assert(io::ByteStream<io::TcpStream>);
static_assert(io::ByteStream<io::UnixStream>);
static_assert(!io::ByteStream<io::TcpListener>);

std::pair<MemoryStream, MemoryStream> memory_pair() {
    auto there = std::make_shared<Channel>();
    auto back = std::make_shared<Channel>();
    return {MemoryStream(there, back), MemoryStream(back, there)};
}

TEST(ByteStream, AnyStreamGetsAReaderAndAWriter) {
    run_io([]() -> Coro<> {
        auto ends = memory_pair();
        io::Connection near = make_streams(std::move(ends.first));
        io::Connection far = make_streams(std::move(ends.second));
        const std::string much(500'000, 'x');
        near.writer.write("hello\n");
        near.writer.write(much);
        near.writer.write_eof();
        EXPECT_EQ("hello\n", co_await far.reader.readline());
        const std::string rest = co_await far.reader.read();
        EXPECT_EQ(much.size(), rest.size());
        far.writer.write("bye");
        far.writer.close();
        EXPECT_EQ("bye", co_await near.reader.read());
        EXPECT_FALSE(near.writer.get_extra_info("peername").has_value());
        co_await close_writer(near.writer);
        co_await far.writer.wait_closed();
    });
}

/// Never waits, and never ends.
class ZeroStream {
public:
    knit::detail::Ready close() { return {}; }
    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        std::memset(buffer.data(), 0, buffer.size());
        co_return buffer.size();
    }
};

TEST(ByteStream, AReaderAloneIsEnoughAndAStreamThatNeverWaitsIsPausedAtTheLimit) {
    run_io([]() -> Coro<> {
        const StreamOptions small{.limit = 1000};
        io::StreamReader reader = make_reader(ZeroStream(), small);
        for (int i = 0; i < 10; ++i) {
            const std::string got = co_await reader.readexactly(100'000);
            EXPECT_EQ(100'000U, got.size());
        }
    });
}

/// Counts what is written; takes little at a time, and fails after `most`.
class Sink {
public:
    explicit Sink(std::shared_ptr<std::string> into, std::size_t most) : into_(std::move(into)), most_(most) {}
    static constexpr bool kCanShutdown = false;
    void close() { *into_ += "|closed"; }
    void shutdown() {}
    Coro<std::size_t> write(std::span<const std::byte> bytes) {
        co_await yield();
        co_return bytes.size();
    }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        co_await yield();
        if (into_->size() >= most_) {
            throw std::system_error(EPIPE, std::generic_category(), "write to the sink");
        }
        const std::size_t count = std::min<std::size_t>(bytes.size(), 4);
        into_->append(reinterpret_cast<const char*>(bytes.data()), count);
        co_return count;
    }

private:
    std::shared_ptr<std::string> into_;
    std::size_t most_;
};

/// Looks at what it is to write when it may go on, which may be late.
class LateSink {
public:
    explicit LateSink(Future<> go, std::shared_ptr<std::string> into) : go_(std::move(go)), into_(std::move(into)) {}
    static constexpr bool kCanShutdown = false;
    void close() {}
    void shutdown() {}
    Coro<std::size_t> write(std::span<const std::byte> bytes) { return write_some(bytes); }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        co_await go_;
        into_->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        co_return bytes.size();
    }

private:
    Future<> go_;
    std::shared_ptr<std::string> into_;
};

TEST(ByteStream, AnAbortedWriteHasItsBytesUntilItHasEnded) {
    run_io([]() -> Coro<> {
        Future<> go;
        auto got = std::make_shared<std::string>();
        io::StreamWriter writer = make_writer(LateSink(go, got));
        const std::string much(300'000, 'x');
        writer.write(much);
        co_await turns();
        writer.abort();
        co_await turns();
        go.set_result();
        co_await writer.wait_closed();
        EXPECT_TRUE(much == *got);
    });
}

TEST(ByteStream, AWriterAloneIsEnough) {
    run_io([]() -> Coro<> {
        auto got = std::make_shared<std::string>();
        io::StreamWriter writer = make_writer(Sink(got, 100));
        EXPECT_FALSE(writer.can_write_eof());
        writer.write("hello world");
        writer.close();
        co_await writer.wait_closed();
        EXPECT_EQ("hello world|closed", *got);
    });
}

TEST(ByteStream, DrainWaitsAboveTheHighWaterMarkUntilTheLowOne) {
    run_io([]() -> Coro<> {
        auto got = std::make_shared<std::string>();
        io::StreamWriter writer = make_writer(Sink(got, 100));
        EXPECT_EQ(std::size_t{16} << 10, writer.get_write_buffer_limits().low);
        EXPECT_EQ(std::size_t{64} << 10, writer.get_write_buffer_limits().high);
        EXPECT_THROW(writer.set_write_buffer_limits(1, 2), ValueError);
        writer.set_write_buffer_limits({}, 5);
        EXPECT_EQ(20U, writer.get_write_buffer_limits().high);
        writer.set_write_buffer_limits(10);
        EXPECT_EQ(2U, writer.get_write_buffer_limits().low);
        writer.set_write_buffer_limits(10, 4);

        writer.write("0123456789");
        co_await writer.drain();  // not above: at once
        EXPECT_EQ("", *got);
        EXPECT_EQ(10U, writer.get_write_buffer_size());
        writer.write("a");
        auto first = create_task(writer.drain());
        auto second = create_task(writer.drain());
        auto third = create_task(writer.drain());
        co_await yield();
        third.cancel();
        while (!first.done()) {
            EXPECT_GT(writer.get_write_buffer_size(), 2U);
            co_await yield();
        }
        EXPECT_LE(writer.get_write_buffer_size(), 4U);
        co_await second;
        EXPECT_TRUE(third.cancelled());
        co_await close_writer(writer);
    });
}

TEST(ByteStream, ALimitSetBelowWhatIsUnsentPausesAtOnce) {
    run_io([]() -> Coro<> {
        auto got = std::make_shared<std::string>();
        io::StreamWriter writer = make_writer(Sink(got, 100));
        writer.write("0123456789");
        writer.set_write_buffer_limits(0);
        co_await writer.drain();
        EXPECT_EQ("0123456789", *got);
        co_await close_writer(writer);
    });
}

TEST(ByteStream, AWriteThatFailsIsTheErrorOfDrainAndWaitClosed) {
    run_io([]() -> Coro<> {
        auto got = std::make_shared<std::string>();
        io::StreamWriter writer = make_writer(Sink(got, 8));
        writer.set_write_buffer_limits(1);
        writer.write("0123456789");
        EXPECT_EQ(std::errc::broken_pipe, co_await code_of(writer.drain()));
        EXPECT_TRUE(writer.is_closing());
        EXPECT_EQ(0U, writer.get_write_buffer_size());
        EXPECT_EQ(std::errc::broken_pipe, co_await code_of(writer.wait_closed()));
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(writer.drain()));
        EXPECT_EQ("01234567|closed", *got);
    });
}

/// Reads fail, and not by the system.
class BrokenStream {
public:
    void close() {}
    Coro<std::size_t> read_some(std::span<std::byte>) {
        co_await yield();
        throw std::runtime_error("no such thing");
    }
};

TEST(ByteStream, AFailureThatIsNotTheSystemsIsReportedToo) {
    run_io([]() -> Coro<> {
        std::vector<std::string> heard;
        get_running_loop().set_exception_handler(
            [&heard](const ExceptionContext& context) { heard.push_back(context.message); });
        io::StreamReader reader = make_reader(BrokenStream());
        const std::string error = co_await error_of(reader.read());
        EXPECT_EQ("no such thing", error);
        EXPECT_EQ(std::vector<std::string>{"Fatal read error on transport"}, heard);
        get_running_loop().set_exception_handler(nullptr);
    });
}

}  // namespace
}  // namespace knit::test
