// StreamReader standing alone. STREAM-.. of asyncio's behaviours, and those between the numbers.

#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

using io::StreamReader;

/// Not inside a coroutine, where GCC 12 takes no braces.
Coro<std::string> read_until_either(StreamReader& reader, const char* first, const char* second) {
    return reader.readuntil({first, second});
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
                  co_await error_of(read_until_either(reader, "a", "")));
        EXPECT_EQ("ValueError: Separator should contain at least one element",
                  co_await error_of(reader.readuntil(std::vector<std::string>())));
    });
}

TEST(StreamReader, OfSeveralSeparatorsTheOneThatEndsFirstWins) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("line 1\nline 2\rABCDEFG");
        EXPECT_EQ("line 1\n", co_await read_until_either(reader, "\r", "\n"));
        EXPECT_EQ("line 2\r", co_await read_until_either(reader, "\r", "\n"));
        EXPECT_EQ("ABCDE", co_await read_until_either(reader, "DEF", "BCDE"));
        EXPECT_EQ("FG", co_await reader.read(9));
    });
}

TEST(StreamReader, OfSeparatorsWithTheSameEndTheShortestCounts) {
    run_io([]() -> Coro<> {
        StreamReader reader(8);
        reader.feed_data("12345678\r\n");
        bool is_beyond_the_limit = false;
        try {
            co_await read_until_either(reader, "\r\n", "\n");
        } catch (const LimitOverrunError&) {
            is_beyond_the_limit = true;  // its text is "12345678\r"
        }
        EXPECT_TRUE(is_beyond_the_limit);
        EXPECT_EQ("12345678\r\n", co_await reader.readuntil("\r\n"));
    });
}

TEST(StreamReader, SeparatorsOfDifferentLengthsMayBeLongerThanWhatIsThere) {
    run_io([]() -> Coro<> {
        StreamReader reader;
        reader.feed_data("data");
        auto task = create_task(read_until_either(reader, "A", "long sep"));
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

}  // namespace
}  // namespace knit::test
