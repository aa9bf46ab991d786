// StreamReader and StreamWriter over connections: STREAM-.. of asyncio's behaviours, and those between the numbers.

#include <string>
#include <vector>

#include "stream_pair.hpp"

namespace knit::test {
namespace {

TEST(Stream, ReadsWhatThePeerWrites) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        co_await pair.far.write("hello\nworld");
        EXPECT_EQ("hello\n", co_await pair.reader.readline());
        pair.far.close();
        EXPECT_EQ("world", co_await pair.reader.read());
        EXPECT_TRUE(pair.reader.at_eof());
        co_await close_writer(pair.writer);
    });
}

TEST(Stream, WritesOfOneTurnArriveTogetherAndInOrder) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.writer.write("one ");
        std::string owned = "two ";
        pair.writer.write(std::move(owned));
        pair.writer.writelines(std::vector<std::string>{"three ", "four"});
        co_await turns(3);
        std::string buffer(100, '\0');
        buffer.resize(co_await pair.far.read_some(buffer));
        EXPECT_EQ("one two three four", buffer);
        EXPECT_EQ(0U, pair.writer.get_write_buffer_size());
        co_await close_writer(pair.writer);
    });
}

TEST(Stream, WhatIsWrittenIsSentWhenTheTaskReads) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        auto answer = create_task(echo(std::move(pair.far)));
        for (int i = 0; i < 3; ++i) {
            pair.writer.write("question");
            EXPECT_EQ("question", co_await pair.reader.readexactly(8));
        }
        co_await close_writer(pair.writer);
        co_await answer;
    });
}

TEST(Stream, CarriesMuchBothWaysAtOnce) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        auto peer = create_task(echo(std::move(pair.far)));
        std::string much(3'000'000, '\0');
        for (std::size_t i = 0; i < much.size(); ++i) {
            much[i] = static_cast<char>(i * 2654435761U >> 24);
        }
        auto reading = create_task(pair.reader.read());
        for (std::size_t at = 0; at < much.size(); at += 10'000) {
            pair.writer.write(std::string_view(much).substr(at, 10'000));
            co_await pair.writer.drain();
        }
        pair.writer.write_eof();
        const std::string got = co_await reading;
        EXPECT_TRUE(got == much) << got.size();
        co_await close_writer(pair.writer);
        co_await peer;
    });
}

TEST(Stream, CloseSendsWhatWasWrittenAndEndsTheReader) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        auto reading = create_task(pair.reader.read());
        co_await yield();
        const std::string much(1 << 20, 'x');
        pair.writer.write(much);
        EXPECT_FALSE(pair.writer.is_closing());
        pair.writer.close();
        pair.writer.close();
        EXPECT_TRUE(pair.writer.is_closing());
        std::string got(much.size(), '\0');
        co_await pair.far.read_exactly(got);
        EXPECT_TRUE(got == much);
        EXPECT_EQ(0U, co_await pair.far.read_some(got));
        co_await pair.writer.wait_closed();
        EXPECT_EQ("", co_await reading);
        EXPECT_TRUE(pair.reader.at_eof());
        EXPECT_EQ("", co_await pair.reader.read());
    });
}

TEST(Stream, WritingAndDrainingAfterTheEndIsAnError) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        co_await close_writer(pair.writer);
        co_await pair.writer.wait_closed();
        pair.writer.write("data");
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.drain()));
    });
}

TEST(Stream, DrainRightAfterCloseIsAnError) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.writer.close();
        pair.writer.write("data");
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.drain()));
        EXPECT_EQ(0U, pair.writer.get_write_buffer_size());
    });
}

TEST(Stream, DrainWhileClosingIsNoErrorWhileWhatWasWrittenIsStillOnItsWay) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.writer.set_write_buffer_limits(16 << 20);
        const std::string much(8 << 20, 'x');  // more than the kernel takes
        pair.writer.write(much);
        pair.writer.close();
        EXPECT_EQ(std::error_code(), co_await code_of(pair.writer.drain()));
        EXPECT_LT(0U, pair.writer.get_write_buffer_size());
        std::string got(much.size(), '\0');
        co_await pair.far.read_exactly(got);
        EXPECT_TRUE(got == much);
        co_await pair.writer.wait_closed();
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.drain()));
    });
}

TEST(Stream, TakesHostAndPortApartAndListsOfLines) {
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        const auto port = listener.local_endpoint().port();
        io::Connection near = co_await open_connection("127.0.0.1", port);
        io::TcpStream far = co_await listener.accept();
        near.writer.writelines({"ab", "cd\n"});
        co_await near.writer.drain();
        std::string got(5, '\0');
        co_await far.read_exactly(got);
        EXPECT_EQ("abcd\n", got);
        co_await close_writer(near.writer);
    });
}

TEST(Stream, ConnectsAsConnectOptionsSay) {
    run_io([]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        ConnectOptions from;
        from.local_endpoint = io::Endpoint("127.0.0.2", 0);
        const StreamOptions options;
        Coro<io::Connection> opening = open_connection(listener.local_endpoint(), options, from);
        io::Connection near = co_await std::move(opening);
        EXPECT_EQ("127.0.0.2", near.writer.local_endpoint().host());
        co_await close_writer(near.writer);
    });
}

TEST(Stream, TheFifthWriteToNobodyIsLogged) {
    Logged logged;
    run_io([&]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        co_await close_writer(pair.writer);
        for (int i = 0; i < 4; ++i) {
            pair.writer.write("x");
        }
        EXPECT_TRUE(logged.warnings().empty());
        pair.writer.write("x");
    });
    EXPECT_EQ(std::vector<std::string>{"socket.send() raised exception."}, logged.warnings());
}

TEST(Stream, WriteEofHalfCloses) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        EXPECT_TRUE(pair.writer.can_write_eof());
        pair.writer.write("abc");
        pair.writer.write_eof();
        pair.writer.write_eof();
        EXPECT_THROW(pair.writer.write("x"), RuntimeError);
        EXPECT_THROW(pair.writer.writelines(std::vector<std::string>{"x"}), RuntimeError);
        std::string got(3, '\0');
        co_await pair.far.read_exactly(got);
        EXPECT_EQ(0U, co_await pair.far.read_some(got));
        co_await pair.far.write("got abc");
        pair.far.close();
        EXPECT_EQ("got abc", co_await pair.reader.read());
        co_await close_writer(pair.writer);
    });
}

TEST(Stream, WriteEofWithNothingUnsentIsDoneAtOnce) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.writer.write_eof();
        char byte = 0;
        EXPECT_EQ(0, recv(pair.far.native_handle(), &byte, 1, MSG_DONTWAIT));
        co_await close_writer(pair.writer);
    });
}

TEST(Stream, AbortDropsWhatWasWritten) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        const std::string much(16 << 20, 'x');
        pair.writer.write(much);
        pair.writer.abort();
        EXPECT_TRUE(pair.writer.is_closing());
        EXPECT_EQ(0U, pair.writer.get_write_buffer_size());
        co_await pair.writer.wait_closed();
        EXPECT_EQ("", co_await pair.reader.read());
        std::string got(1, '\0');
        EXPECT_EQ(0U, co_await pair.far.read_some(got));
    });
}

TEST(Stream, AbortEndsASendThatIsStuck) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        const std::string much(64 << 20, 'x');
        pair.writer.write(much);
        auto draining = create_task(pair.writer.drain());
        co_await turns(20);
        EXPECT_FALSE(draining.done());
        pair.writer.abort();
        co_await draining;
        co_await pair.writer.wait_closed();
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.drain()));
    });
}

TEST(Stream, AResetIsTheErrorOfReaderAndWriter) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        auto reading = create_task(pair.reader.read());
        co_await turns();
        reset_on_close(pair.far);
        pair.far.close();
        const std::error_code code = co_await code_of(reading);
        EXPECT_EQ(std::errc::connection_reset, code);
        EXPECT_NE(nullptr, pair.reader.exception());
        EXPECT_TRUE(pair.writer.is_closing());
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.drain()));
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.writer.wait_closed()));
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(pair.reader.readline()));
    });
}

TEST(Stream, WritingToAPeerThatHasGoneFailsInDrainInTheEnd) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.far.close();
        std::error_code code;
        while (!code) {
            pair.writer.write("foo\n");
            code = co_await code_of(pair.writer.drain());
            co_await yield();
        }
        EXPECT_TRUE(code == std::errc::connection_reset || code == std::errc::broken_pipe) << code.message();
        EXPECT_NE(std::error_code(), co_await code_of(pair.writer.wait_closed()));
    });
}

TEST(Stream, ClosingWithUnreadDataWorks) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        const std::string much(100'000, 'x');
        co_await pair.far.write(much);
        co_await pair.reader.readexactly(1);
        pair.writer.close();
        co_await wait_for(pair.writer.wait_closed(), 5s);
    });
}

}  // namespace
}  // namespace knit::test
