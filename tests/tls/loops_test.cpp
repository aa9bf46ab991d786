// A TlsStream that ends on another loop than its own, or on none, while what a write has left is still being sent.

#include <cerrno>
#include <system_error>

#include "knit/detail/worker.hpp"
#include "tls_pair.hpp"

namespace knit::test {
namespace {

/// What a stream tells, and is told.
struct Notes {
    bool is_stuck = false;
    bool was_closed_at_home = false;
    detail::Worker* home = nullptr;
    Event closed;
};

/// A TCP stream that takes nothing any more, once it is stuck, and tells where it is closed.
class Noting {
public:
    Noting(TcpStream stream, Notes& notes) : stream_(std::move(stream)), notes_(&notes) {}
    auto read_some(std::span<std::byte> buffer) { return stream_.read_some(buffer); }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        if (notes_->is_stuck) {
            co_await notes_->closed.wait();
            throw std::system_error(ECANCELED, std::generic_category(), "closed");
        }
        co_return co_await stream_.write_some(bytes);
    }
    Coro<std::size_t> write(std::span<const std::byte> bytes) { return write_some(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() {
        notes_->was_closed_at_home = detail::Worker::current() == notes_->home;
        stream_.close();
        notes_->closed.set();
    }

private:
    TcpStream stream_;
    Notes* notes_;
};

/// Ends a client's stream by `end`; whether that was done on its loop. `is_stuck`: a write has left records to be sent.
bool ends_at_home(std::function<Coro<>(TlsStream<Noting>)> end, bool is_stuck = true, Duration timeout = 20ms) {
    Notes notes;
    run_io([&]() -> Coro<> {
        notes.home = detail::Worker::current();
        Pair pair = co_await connected_pair();
        auto accepting = create_task(tls::accept(std::move(pair.far), server_context()));
        tls::Options options = to("server.test");
        options.shutdown_timeout = timeout;
        auto near = co_await tls::connect(Noting(std::move(pair.near), notes), client_context(), options);
        TcpTls far = co_await std::move(accepting);
        notes.is_stuck = is_stuck;
        const std::string text = pattern(1000);
        try {
            co_await wait_for(near.write(text), 10ms);
        } catch (const TimeoutError&) {
            EXPECT_TRUE(notes.is_stuck);
        }
        Coro<> ending = end(std::move(near));
        co_await std::move(ending);
        co_await wait_for(notes.closed.wait(), 5s);
        far.abort();
    }, 2);
    return notes.was_closed_at_home;
}

TEST(TlsLoops, AStreamThatIsDestroyedOnAThreadEndsOnItsLoop) {
    EXPECT_TRUE(ends_at_home([](TlsStream<Noting> stream) -> Coro<> {
        co_await to_thread([&stream] { const TlsStream<Noting> last = std::move(stream); });
    }));
}

TEST(TlsLoops, AStreamThatIsClosedOnAnotherLoopEndsOnItsOwn) {
    EXPECT_TRUE(ends_at_home([](TlsStream<Noting> stream) -> Coro<> {
        Loop& home = get_running_loop();
        co_await resume_on(get_runtime().loop(1 - home.id()));
        {
            TlsStream<Noting> last = std::move(stream);
            last.close();
        }
        co_await resume_on(home);
    }));
}

/// Closes a stream on its loop or on the other one, and aborts it on a thread.
Coro<> close_and_abort(TlsStream<Noting> stream, bool is_closed_at_home) {
    Loop& home = get_running_loop();
    if (!is_closed_at_home) {
        co_await resume_on(get_runtime().loop(1 - home.id()));
    }
    stream.close();
    co_await resume_on(home);
    co_await turns();
    co_await to_thread([&stream] { stream.abort(); });
    co_await stream.wait_closed();
}

TEST(TlsLoops, AnAbortElsewhereEndsACloseThatWaitsToSend) {
    for (const bool is_closed_at_home : {false, true}) {
        EXPECT_TRUE(ends_at_home(
            [is_closed_at_home](TlsStream<Noting> stream) {
                return close_and_abort(std::move(stream), is_closed_at_home);
            },
            true, 1h));
    }
}

TEST(TlsLoops, AnAbortElsewhereEndsACloseThatWaitsForThePeer) {
    EXPECT_TRUE(ends_at_home(
        [](TlsStream<Noting> stream) { return close_and_abort(std::move(stream), true); }, false, 1h));
}

TEST(TlsLoops, AnAbortOvertakesACloseThatIsOnItsWay) {
    EXPECT_TRUE(ends_at_home(
        [](TlsStream<Noting> stream) -> Coro<> {
            co_await to_thread([&stream] {
                stream.close();
                stream.abort();
            });
            co_await stream.wait_closed();
        },
        true, 1h));
}

}  // namespace
}  // namespace knit::test
