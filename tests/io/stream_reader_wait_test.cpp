// StreamReader standing alone: errors, waiting, cancellation, flow control.

#include <memory>
#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::StreamReader;

TEST(StreamReader, AnErrorEndsTheWaitingReadAndEveryLaterOne) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        EXPECT_EQ(nullptr, reader.exception());
        reader.feed_data("part");
        auto task = create_task(reader.readline());
        co_await yield();
        reader.set_exception(std::make_exception_ptr(std::runtime_error("reset")));
        const std::string first = co_await error_of(task);
        EXPECT_EQ("reset", first);
        EXPECT_EQ("reset", co_await error_of(reader.read(1)));
        EXPECT_EQ("reset", co_await error_of(reader.read()));
        EXPECT_EQ("reset", co_await error_of(reader.readexactly(1)));
        EXPECT_NE(nullptr, reader.exception());
    });
}

TEST(StreamReader, AnErrorInTheSameTurnAsDataEndsALineThatIsNotComplete) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        auto task = create_task(reader.readline());
        co_await yield();
        reader.feed_data("part");
        reader.set_exception(std::make_exception_ptr(std::runtime_error("reset")));
        const std::string error = co_await error_of(task);
        EXPECT_EQ("reset", error);
    });
}

/// What it has looked through already is not there any more.
TEST(StreamReader, AWaitingReadUntilGoesOnBehindWhatAnotherHasRead) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("abcdef");
        auto task = create_task(reader.readuntil("\n"));
        co_await yield();
        EXPECT_EQ("abcde", co_await reader.read(5));
        reader.feed_data("\n");
        const auto line = co_await wait_for(task, 20s);
        EXPECT_EQ("f\n", line);
    });
}

TEST(StreamReader, ASecondWaitingReadIsRefusedAndTheFirstIsNotDisturbed) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        auto task = create_task(reader.read(5));
        co_await yield();
        const std::string tail = "() called while another coroutine is already waiting for incoming data";
        const std::string by_read = "RuntimeError: read" + tail;
        const std::string by_until = "RuntimeError: readuntil" + tail;
        const std::string by_exactly = "RuntimeError: readexactly" + tail;
        EXPECT_EQ(by_read, co_await error_of(reader.read(1)));
        EXPECT_EQ(by_until, co_await error_of(reader.readline()));
        EXPECT_EQ(by_until, co_await error_of(reader.readuntil("x")));
        EXPECT_EQ(by_exactly, co_await error_of(reader.readexactly(2)));
        reader.feed_data("ok");
        EXPECT_EQ("ok", co_await task);
    });
}

/// The read that `make` makes is cancelled after `count` bytes of "abcd\n" have been fed; the rest comes later.
template <class Make>
Coro<> expect_nothing_lost(Make make) {
    const std::string all = "abcd\n";
    for (std::size_t count = 0; count < all.size(); ++count) {
        for (int late = 0; late < 3; ++late) {
            StreamReader reader;
            auto task = create_task(make(reader));
            co_await turns(late);
            reader.feed_data(all.substr(0, count));
            if (late == 1) {
                co_await yield();
            }
            std::string got;
            task.cancel();
            try {
                got = co_await task;
            } catch (const CancelledError&) {
                got.clear();
            }
            reader.feed_data(all.substr(count));
            reader.feed_eof();
            const std::string rest = co_await reader.read();
            EXPECT_EQ(all, got + rest) << count << " bytes, " << late << " turns";
        }
    }
}

TEST(StreamReader, ACancelledReadLosesNothing) {
    run_io([]() -> Coro<> {
        co_await expect_nothing_lost([](StreamReader& reader) { return reader.read(3); });
        co_await expect_nothing_lost([](StreamReader& reader) { return reader.read(); });
        co_await expect_nothing_lost([](StreamReader& reader) { return reader.readline(); });
        co_await expect_nothing_lost([](StreamReader& reader) { return reader.readuntil("d\n"); });
        co_await expect_nothing_lost([](StreamReader& reader) { return reader.readexactly(5); });
    });
}

TEST(StreamReader, AReadThatTimesOutLosesNothing) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("ab");
        EXPECT_EQ("TimeoutError", co_await error_of(wait_for(reader.readexactly(4), 2ms)));
        reader.feed_data("cd\n");
        EXPECT_EQ("abcd\n", co_await reader.readline());
    });
}

TEST(StreamReader, NextLineGivesEachLineAndThenNothing) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("line1\nline2\nline3");
        reader.feed_eof();
        std::vector<std::string> lines;
        while (auto line = co_await reader.next_line()) {
            lines.push_back(*line);
        }
        EXPECT_EQ((std::vector<std::string>{"line1\n", "line2\n", "line3"}), lines);
    });
}

struct Transport final : io::ReadTransport {
    void pause_reading() override { log.emplace_back("pause"); }
    void resume_reading() override { log.emplace_back("resume"); }
    std::vector<std::string> log;
};

TEST(StreamReader, PausesAboveTwiceTheLimitAndResumesAtIt) {
    run_io([]() -> Coro<> {
        Transport transport;
        StreamReader reader(4);
        reader.set_transport(transport);
        reader.feed_data("xxxxxxxx");
        EXPECT_TRUE(transport.log.empty());
        reader.feed_data("x");
        EXPECT_EQ(std::vector<std::string>{"pause"}, transport.log);
        co_await reader.read(4);
        EXPECT_EQ(1U, transport.log.size());
        co_await reader.read(1);
        EXPECT_EQ((std::vector<std::string>{"pause", "resume"}), transport.log);
        EXPECT_THROW(reader.set_transport(transport), RuntimeError);
    });
}

TEST(StreamReader, ResumesWhenAReadHasToWaitForMore) {
    run_io([]() -> Coro<> {
        Transport transport;
        StreamReader reader(2);
        reader.set_transport(transport);
        reader.feed_data("12345");
        auto task = create_task(reader.readexactly(8));
        co_await yield();
        EXPECT_EQ((std::vector<std::string>{"pause", "resume"}), transport.log);
        reader.feed_data("678");
        EXPECT_EQ("12345678", co_await task);
    });
}

TEST(StreamReader, RefusesMisuse) {
    EXPECT_THROW(StreamReader(0), ValueError);
    StreamReader reader;
    EXPECT_THROW(reader.set_exception(nullptr), ValueError);
    StreamReader other = std::move(reader);
    EXPECT_THROW(reader.feed_eof(), RuntimeError);  // NOLINT(bugprone-use-after-move)
    other.feed_data("");
    other.feed_eof();
    EXPECT_THROW(other.feed_data("x"), RuntimeError);
}

TEST(StreamReader, MayBeMovedAndDestroyedWhileAReadWaits) {
    run_io([]() -> Coro<> {
        auto reader = std::make_unique<StreamReader>();
        auto task = create_task(reader->readline());
        co_await yield();
        auto moved = std::make_unique<StreamReader>(std::move(*reader));
        reader.reset();
        moved->feed_data("x\n");
        moved.reset();
        EXPECT_EQ("x\n", co_await task);
    });
}

TEST(StreamReader, ManySmallReadsOfMuchAreNotQuadratic) {
    run_io([]() -> Coro<> {
        StreamReader reader(1 << 20);
        for (int i = 0; i < 50'000; ++i) {
            reader.feed_data("0123456789\n");
        }
        reader.feed_eof();
        std::size_t lines = 0;
        while (auto line = co_await reader.next_line()) {
            lines += line->size() == 11 ? 1U : 0U;
        }
        EXPECT_EQ(50'000U, lines);
    });
}

TEST(StreamReader, IsFedOnTheLoopOfTheTaskThatWaits) {
    run_io(
        []() -> Coro<> {
            StreamReader reader;
            auto task = create_task(reader.readline());
            co_await yield();
            co_await resume_on(get_runtime().loop(1));
            EXPECT_THROW(reader.feed_data("x\n"), RuntimeError);
            co_await resume_on(get_runtime().loop(0));
            reader.feed_data("y\n");
            EXPECT_EQ("y\n", co_await task);
        },
        2);
}

}  // namespace
}  // namespace knit::test
