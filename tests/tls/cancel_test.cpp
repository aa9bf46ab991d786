// Cancelled at any point, over a stream that takes and gives little at a time; a TlsStream is left as documented.

#include <algorithm>

#include "tls_pair.hpp"

namespace knit::test {
namespace {

/// A TCP stream that moves at most `most` bytes at a time and calls `before` ahead of each operation.
class Reluctant {
public:
    explicit Reluctant(TcpStream stream, std::size_t most, std::function<void()> before = {})
        : stream_(std::move(stream)), most_(most), before_(std::move(before)) {}
    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        tell();
        co_return co_await stream_.read_some(buffer.first(std::min(buffer.size(), most_)));
    }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        tell();
        co_return co_await stream_.write_some(bytes.first(std::min(bytes.size(), most_)));
    }
    Coro<std::size_t> write(std::span<const std::byte> bytes) { co_return co_await stream_.write(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    void tell() {
        if (before_) {
            before_();
        }
    }

    TcpStream stream_;
    std::size_t most_;
    std::function<void()> before_;
};

TEST(TlsCancel, BytesOneByOneAreEnough) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto accepting = create_task(tls::accept(Reluctant(std::move(pair.far), 1), server_context()));
        auto near = co_await tls::connect(Reluctant(std::move(pair.near), 1), client_context(), to("server.test"));
        auto far = co_await std::move(accepting);
        const std::string text = pattern(2000);
        auto writing = create_task(near.write(text));
        EXPECT_TRUE(text == co_await read_exactly(far, text.size()));
        co_await writing;
    });
}

/// Cancels the current task ahead of its n-th operation on the stream below.
std::function<void()> cancel_at(int number, std::shared_ptr<bool> has_happened) {
    return [number, has_happened, count = 0]() mutable {
        if (++count == number) {
            *has_happened = true;
            current_task()->cancel();
        }
    };
}

TEST(TlsCancel, AHandshakeCancelledAtAnyStepThrowsAndClosesTheStream) {
    const tls::Context server = server_context();
    const tls::Context client = client_context();
    for (const bool is_client : {false, true}) {
        bool goes_on = true;
        int number = 0;
        while (goes_on) {
            ++number;
            run_io([&]() -> Coro<> {
                Pair pair = co_await connected_pair();
                auto happened = std::make_shared<bool>(false);
                // The cancelled side moves 200 bytes at a time: many steps.
                Reluctant near(std::move(pair.near), 200, is_client ? cancel_at(number, happened) : nullptr);
                Reluctant far(std::move(pair.far), 200, is_client ? nullptr : cancel_at(number, happened));
                auto accepting = create_task(tls::accept(std::move(far), server));
                auto connecting = create_task(tls::connect(std::move(near), client, to("server.test")));
                while (!accepting.done() || !connecting.done()) {
                    co_await yield();
                }
                goes_on = *happened;
                for (auto* const side : {&accepting, &connecting}) {
                    static_cast<void>(side->cancelled() ? nullptr : side->exception());
                }
                auto& mine = is_client ? connecting : accepting;
                if (goes_on && number > 1 && !mine.cancelled()) {
                    EXPECT_EQ(nullptr, mine.exception()) << number;  // the last step completed all the same
                } else {
                    EXPECT_EQ(goes_on, mine.cancelled()) << number;
                }
            });
        }
        EXPECT_GT(number, 4);
    }
}

/// Writes all of `text` by write_some(), cancelled again and again; nothing is to be lost or doubled.
Coro<> write_stubbornly(TlsStream<Reluctant>& stream, std::string_view text, int& cancelled) {
    std::size_t done = 0;
    while (done < text.size()) {
        try {
            Coro<std::size_t> writing = stream.write_some(text.substr(done, 3000));
            const std::size_t count = co_await std::move(writing);
            done += count;
        } catch (const CancelledError&) {
            ++cancelled;
            current_task()->uncancel();
        }
    }
}

Coro<std::string> read_stubbornly(TlsStream<Reluctant>& stream, std::size_t size, int& cancelled) {
    std::string text;
    char buffer[1000];
    while (text.size() < size) {
        try {
            Coro<std::size_t> reading = stream.read_some(buffer);
            const std::size_t count = co_await std::move(reading);
            text.append(buffer, count);
        } catch (const CancelledError&) {
            ++cancelled;
            current_task()->uncancel();
        }
    }
    co_return text;
}

TEST(TlsCancel, WriteSomeAndReadSomeLoseAndDoubleNothing) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto some = [count = 0]() mutable {
            if (current_task()->name() == "victim" && ++count % 3 == 0) {
                current_task()->cancel();
            }
        };
        auto accepting = create_task(tls::accept(Reluctant(std::move(pair.far), 700, some), server_context()));
        auto near = co_await tls::connect(Reluctant(std::move(pair.near), 900, some), client_context(),
                                          to("server.test"));
        auto far = co_await std::move(accepting);
        const std::string text = pattern(100'000);
        int writes_cancelled = 0;
        int reads_cancelled = 0;
        auto writing = create_task(write_stubbornly(near, text, writes_cancelled), {.name = "victim"});
        auto reading = create_task(read_stubbornly(far, text.size(), reads_cancelled), {.name = "victim"});
        EXPECT_TRUE(text == co_await reading);
        co_await writing;
        EXPECT_GT(writes_cancelled, 0);
        EXPECT_GT(reads_cancelled, 0);
    });
}

TEST(TlsCancel, AWriteToAPeerThatDoesNotReadEndsAndTheStreamStaysInOrder) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        const std::string much = pattern(8'000'000);
        auto writing = create_task(error_of(pair.near.write(much)));
        co_await turns(50);
        writing.cancel();
        EXPECT_EQ("CancelledError", co_await writing);
        auto closing = create_task(error_of(pair.near.shutdown()));
        const std::string got = co_await read_all(pair.far);  // whole records, then close-notify
        EXPECT_LT(got.size(), much.size());
        EXPECT_TRUE(std::string_view(much).substr(0, got.size()) == got);
        EXPECT_EQ("", co_await closing);
    });
}

TEST(TlsCancel, AWriteThatIsCancelledAndClosedInOneTurnIsCancelled) {
    run_io([]() -> Coro<> {
        bool is_stuck = false;
        Pair pair = co_await connected_pair();
        auto accepting = create_task(tls::accept(std::move(pair.far), server_context()));
        auto near = co_await tls::connect(Stuck(std::move(pair.near), is_stuck), client_context(), to("server.test"));
        auto far = co_await std::move(accepting);
        is_stuck = true;
        auto writing = create_task(near.write("x"));
        co_await turns();
        writing.cancel();
        near.close();
        EXPECT_EQ("CancelledError", co_await error_of(writing));
    });
}

/// Has write() alone: what a cancelled one has sent is unknown.
class Inexact {
public:
    explicit Inexact(TcpStream stream) : stream_(std::move(stream)) {}
    auto read_some(std::span<std::byte> buffer) { return stream_.read_some(buffer); }
    auto write(std::span<const std::byte> bytes) { return stream_.write(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    TcpStream stream_;
};

TEST(TlsCancel, MuchGoesBothWaysAtOnceOverAStreamThatTellsNothing) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto accepting = create_task(tls::accept(Inexact(std::move(pair.far)), server_context()));
        auto near = co_await tls::connect(Inexact(std::move(pair.near)), client_context(), to("server.test"));
        auto far = co_await std::move(accepting);
        const std::string there = pattern(8'000'000, 1);
        const std::string back = pattern(8'000'000, 2);
        auto sent = create_task(near.write(there));
        auto sent_back = create_task(far.write(back));
        auto got = create_task(read_exactly(far, there.size()));
        EXPECT_TRUE(back == co_await read_exactly(near, back.size()));
        EXPECT_TRUE(there == co_await got);
        co_await sent;
        co_await sent_back;
    });
}

TEST(TlsCancel, OverAStreamWithoutWriteSomeTlsIsAtItsEnd) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto accepting = create_task(tls::accept(std::move(pair.far), server_context()));
        auto near = co_await tls::connect(Inexact(std::move(pair.near)), client_context(), to("server.test"));
        auto far = co_await std::move(accepting);
        const std::string much = pattern(8'000'000);
        auto writing = create_task(error_of(near.write(much)));
        co_await turns(50);
        writing.cancel();
        EXPECT_EQ("CancelledError", co_await writing);
        EXPECT_EQ("TLS is at its end: a write to the stream below was cut short: protocol error",
                  co_await error_of(near.write("x")));
    });
}

}  // namespace
}  // namespace knit::test
