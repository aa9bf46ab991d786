// Every stream, file and datagram socket takes the same kinds of bytes.

#include <array>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "io_test.hpp"

namespace knit::test {
namespace {

const std::vector<unsigned char> kUnsigned = {'a', 'b'};
const std::array<char, 2> kChars = {'c', 'd'};
const std::vector<std::byte> kBytes = {std::byte{'e'}, std::byte{'f'}};

TEST(ByteTypes, OfAPipe) {
    run_io([]() -> Coro<> {
        io::Pipe ends = io::pipe();
        co_await ends.writer.write(kUnsigned);
        co_await ends.writer.write(kChars);
        co_await ends.writer.write_some(kBytes);
        co_await ends.writer.write_some("gh");
        std::array<unsigned char, 16> buffer{};
        const std::size_t size = co_await ends.reader.read_some(buffer);
        EXPECT_EQ("abcdefgh", std::string(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size)));
    });
}

TEST(ByteTypes, OfAFile) {
    run_io([]() -> Coro<> {
        const std::string path = ::testing::TempDir() + "knit_bytes_" + std::to_string(getpid());
        {
            io::File file = co_await io::File::open(path, "w");
            co_await file.write(kUnsigned);
            co_await file.write_at(kChars, 2);
            co_await file.append(kBytes);
        }
        EXPECT_EQ("abcdef", co_await io::read_file(path));
        std::filesystem::remove(path);
    });
}

TEST(ByteTypes, OfDatagrams) {
    run_io([]() -> Coro<> {
        std::array<unsigned char, 16> buffer{};
        io::UdpSocket far = io::UdpSocket::bind("127.0.0.1:0");
        io::UdpSocket near = io::UdpSocket::bind("127.0.0.1:0");
        co_await near.send_to(kUnsigned, far.local_endpoint());
        EXPECT_EQ(2U, (co_await far.recv_from(buffer)).size);
        EXPECT_EQ('b', buffer[1]);
        io::UdpSocket connected = co_await io::UdpSocket::connect(far.local_endpoint());
        co_await connected.send(kChars);
        EXPECT_EQ(2U, (co_await far.recv(buffer)).size);
        EXPECT_EQ('d', buffer[1]);
        auto [left, right] = io::UnixDatagram::pair();
        co_await left.send(kBytes);
        EXPECT_EQ(2U, (co_await right.recv(buffer)).size);
        EXPECT_EQ('f', buffer[1]);
    });
}

TEST(ByteTypes, BuffersAreListedOnTheSpot) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string header = "header ";
        const std::string body = "body";
#if defined(__clang__) || __GNUC__ > 12
        EXPECT_EQ(11U, co_await pair.near.write({header, body}));
#else
        co_await pair.near.write("header body");
#endif
        auto texts = pair.near.write({"ab", "cd"});
        EXPECT_EQ(4U, co_await texts);
        auto many = pair.near.write({"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
        EXPECT_EQ(10U, co_await many);
        auto single = pair.near.write_some({kUnsigned});
        EXPECT_EQ(2U, co_await single);
        std::string got(27, '\0');
        co_await pair.far.read_exactly(got);
        EXPECT_EQ("header bodyabcd0123456789ab", got);
    });
}

}  // namespace
}  // namespace knit::test
