// StreamReader and StreamWriter over connections.

#include <string>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::TcpListener;
using io::TcpStream;

/// A connection with a stream at one end.
struct StreamPair {
    io::StreamReader reader;
    io::StreamWriter writer;
    TcpStream far;
};

Coro<StreamPair> stream_pair(StreamOptions options = {}) {
    TcpListener listener = TcpListener::bind("127.0.0.1:0");
    io::Connection near = co_await open_connection(listener.local_endpoint(), options);
    TcpStream far = co_await listener.accept();
    co_return StreamPair{std::move(near.reader), std::move(near.writer), std::move(far)};
}

TEST(Stream, ReadsWhatThePeerWrites) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        co_await pair.far.write("hello\nworld");
        EXPECT_EQ("hello\n", co_await pair.reader.readline());
        pair.far.close();
        EXPECT_EQ("world", co_await pair.reader.read());
        EXPECT_TRUE(pair.reader.at_eof());
        pair.writer.close();
        co_await pair.writer.wait_closed();
    });
}

TEST(Stream, WritesOfOneTurnArriveTogetherAndInOrder) {
    run_io([]() -> Coro<> {
        StreamPair pair = co_await stream_pair();
        pair.writer.write("one ");
        pair.writer.writelines(std::vector<std::string>{"two ", "three"});
        co_await pair.writer.drain();
        std::string buffer(100, '\0');
        buffer.resize(co_await pair.far.read_some(buffer));
        EXPECT_EQ("one two three", buffer);
        pair.writer.close();
        EXPECT_TRUE(pair.writer.is_closing());
        co_await pair.writer.wait_closed();
        EXPECT_EQ("", co_await pair.reader.read());
    });
}

}  // namespace
}  // namespace knit::test
