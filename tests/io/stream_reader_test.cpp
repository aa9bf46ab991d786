// StreamReader standing alone. STREAM-.. of asyncio's behaviours, and those between the numbers.

#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::StreamReader;

/// What awaiting `awaitable` throws, as "Type: what"; "" for nothing.
template <class A>
Coro<std::string> error_of(A awaitable) {
    try {
        co_await std::move(awaitable);
        co_return "";
    } catch (const CancelledError&) {
        co_return "CancelledError";
    } catch (const ValueError& error) {
        co_return std::string("ValueError: ") + error.what();
    } catch (const RuntimeError& error) {
        co_return std::string("RuntimeError: ") + error.what();
    } catch (const TimeoutError&) {
        co_return "TimeoutError";
    } catch (const std::exception& error) {
        co_return error.what();
    }
}

TEST(StreamReader, OfNoBytesGivesNoneAtOnceAndConsumesNothing) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("x");
        EXPECT_EQ("", co_await reader.read(0));
        EXPECT_EQ("x", co_await reader.read(1));
        EXPECT_EQ("", co_await reader.readexactly(0));
    });
}

TEST(StreamReader, GivesWhatIsThereAndNotMoreThanAskedFor) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("abcdef");
        EXPECT_EQ("abcd", co_await reader.read(4));
        EXPECT_EQ("ef", co_await reader.read(4));
    });
}

TEST(StreamReader, ReadToTheEndCollectsEverything) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        auto task = create_task(reader.read(-1));
        co_await yield();
        reader.feed_data("chunk1\n");
        reader.feed_data("chunk2");
        co_await turns(2);
        EXPECT_FALSE(task.done());
        reader.feed_eof();
        EXPECT_EQ("chunk1\nchunk2", co_await task);
    });
}

TEST(StreamReader, AtTheEndGivesNothingAfterWhatWasThere) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("ab");
        reader.feed_eof();
        EXPECT_FALSE(reader.at_eof());
        EXPECT_EQ("ab", co_await reader.read(10));
        EXPECT_TRUE(reader.at_eof());
        EXPECT_EQ("", co_await reader.read(10));
        EXPECT_EQ("", co_await reader.read());
    });
}

TEST(StreamReader, ALineComesInPieces) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("chunk1 ");
        auto task = create_task(reader.readline());
        for (const char* piece : {"chunk2 ", "chunk3 ", "\n chunk4"}) {
            co_await turns(2);
            EXPECT_FALSE(task.done());
            reader.feed_data(piece);
        }
        EXPECT_EQ("chunk1 chunk2 chunk3 \n", co_await task);
        EXPECT_EQ(" chunk4", co_await reader.read(100));
    });
}

TEST(StreamReader, ALineAtTheEndMayLackItsNewline) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("some data");
        reader.feed_eof();
        EXPECT_EQ("some data", co_await reader.readline());
        EXPECT_EQ("", co_await reader.readline());
    });
}

TEST(StreamReader, ALineLongerThanTheLimitIsDroppedAndTheNextIsRead) {
    run_io([]() -> Coro<> {
        StreamReader reader(7);
        reader.feed_data("1234567\n12345678\nnext\n");
        EXPECT_EQ("1234567\n", co_await reader.readline());
        EXPECT_EQ("ValueError: Separator is found, but chunk is longer than limit",
                  co_await error_of(reader.readline()));
        EXPECT_EQ("next\n", co_await reader.readline());
        reader.feed_data("12345678x");
        EXPECT_EQ("ValueError: Separator is not found, and chunk exceed the limit",
                  co_await error_of(reader.readline()));
        reader.feed_data("ok\n");
        EXPECT_EQ("ok\n", co_await reader.readline());
    });
}

TEST(StreamReader, AnOverlongLineThatStillComesIsDroppedWhileItIsRead) {
    run_io([]() -> Coro<> {
        StreamReader reader(3);
        auto task = create_task(reader.readline());
        co_await yield();
        reader.feed_data("li");
        reader.feed_data("ne1");
        reader.feed_data("li");
        const std::string error = co_await error_of(task);
        EXPECT_EQ("ValueError: Separator is not found, and chunk exceed the limit", error);
        reader.feed_data("ne2\n");
        EXPECT_EQ("ne2\n", co_await reader.readline());
    });
}

TEST(StreamReader, ReadUntilFindsASeparatorThatComesInPieces) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        auto task = create_task(reader.readuntil("AAA"));
        for (const char* piece : {"dataA", "Ax", "A", "A", "Amore"}) {
            co_await turns(2);
            EXPECT_FALSE(task.done());
            reader.feed_data(piece);
        }
        EXPECT_EQ("dataAAxAAA", co_await task);
        EXPECT_EQ("more", co_await reader.read(100));
    });
}

TEST(StreamReader, ReadUntilBeyondTheLimitLeavesTheBytes) {
    run_io([]() -> Coro<> {
        StreamReader reader(3);
        reader.feed_data("some dataAAA");
        std::size_t consumed = 0;
        std::string text;
        try {
            co_await reader.readuntil("AAA");
        } catch (const LimitOverrunError& error) {
            consumed = error.consumed();
            text = error.what();
        }
        EXPECT_EQ(9U, consumed);
        EXPECT_EQ("Separator is found, but chunk is longer than limit", text);
        EXPECT_EQ("some dataAAA", co_await reader.read(100));
        reader.feed_data("some dataAA");
        try {
            co_await reader.readuntil("AAA");
        } catch (const LimitOverrunError& error) {
            consumed = error.consumed();
            text = error.what();
        }
        EXPECT_EQ(9U, consumed);
        EXPECT_EQ("Separator is not found, and chunk exceed the limit", text);
        EXPECT_EQ("some dataAA", co_await reader.read(100));
    });
}

TEST(StreamReader, ReadUntilAtTheEndGivesThePartInTheError) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("some dataAA");
        reader.feed_eof();
        std::string text;
        try {
            co_await reader.readuntil("AAA");
        } catch (const IncompleteReadError& error) {
            EXPECT_EQ("some dataAA", error.partial());
            EXPECT_FALSE(error.expected().has_value());
            text = error.what();
        }
        EXPECT_EQ("11 bytes read on a total of undefined expected bytes", text);
        EXPECT_EQ("", co_await reader.read(10));
    });
}

TEST(StreamReader, AnEmptySeparatorIsAValueError) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        EXPECT_EQ("ValueError: Separator should be at least one-byte string", co_await error_of(reader.readuntil("")));
        EXPECT_EQ("ValueError: Separator should be at least one-byte string",
                  co_await error_of(reader.readuntil({"a", ""})));
        EXPECT_EQ("ValueError: Separator should contain at least one element",
                  co_await error_of(reader.readuntil(std::vector<std::string>())));
    });
}

TEST(StreamReader, OfSeveralSeparatorsTheOneThatEndsFirstWins) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("line 1\nline 2\rABCDEFG");
        EXPECT_EQ("line 1\n", co_await reader.readuntil({"\r", "\n"}));
        EXPECT_EQ("line 2\r", co_await reader.readuntil({"\r", "\n"}));
        EXPECT_EQ("ABCDE", co_await reader.readuntil({"DEF", "BCDE"}));
        EXPECT_EQ("FG", co_await reader.read(9));
    });
}

TEST(StreamReader, SeparatorsOfDifferentLengthsMayBeLongerThanWhatIsThere) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("data");
        auto task = create_task(reader.readuntil({"A", "long sep"}));
        co_await yield();
        EXPECT_FALSE(task.done());
        reader.feed_data("Z");
        co_await yield();
        EXPECT_FALSE(task.done());
        reader.feed_data("A");
        EXPECT_EQ("dataZA", co_await task);
    });
}

TEST(StreamReader, ReadExactlyTakesExactlyWhateverTheLimit) {
    run_io([]() -> Coro<> {
        StreamReader reader(3);
        auto task = create_task(reader.readexactly(8));
        co_await yield();
        reader.feed_data("12345");
        co_await turns(2);
        EXPECT_FALSE(task.done());
        reader.feed_data("67890");
        EXPECT_EQ("12345678", co_await task);
        EXPECT_EQ("90", co_await reader.read(9));
        EXPECT_EQ("ValueError: readexactly size can not be less than zero", co_await error_of(reader.readexactly(-1)));
    });
}

TEST(StreamReader, ReadExactlyAtTheEndGivesThePartInTheError) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("abc");
        reader.feed_eof();
        std::string text;
        try {
            co_await reader.readexactly(36);
        } catch (const IncompleteReadError& error) {
            EXPECT_EQ("abc", error.partial());
            EXPECT_EQ(36U, error.expected());
            text = error.what();
        }
        EXPECT_EQ("3 bytes read on a total of 36 expected bytes", text);
        EXPECT_EQ("", co_await reader.read(10));
    });
}

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
