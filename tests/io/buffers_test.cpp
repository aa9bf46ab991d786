// Vectored reads and writes.
#include "knit/io/buffers.hpp"

#include <array>
#include <climits>
#include <numeric>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::ConstBuffer;
using io::MutableBuffer;
using io::UnixStream;

Coro<std::string> read_all(io::TcpStream& stream) {
    std::string result;
    std::vector<char> buffer(1 << 16);
    while (const std::size_t count = co_await stream.read_some(std::span<char>(buffer))) {
        result.append(buffer.data(), count);
    }
    co_return result;
}

TEST(Buffers, AreWrittenInTheirOrderAndEmptyOnesAreNothing) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string body = "body";
        const std::vector<unsigned char> tail{'t', 'a', 'i', 'l'};
        const std::array<ConstBuffer, 6> parts{"", "head ", ConstBuffer(), body, std::string_view(" "), tail};
        EXPECT_EQ(14U, co_await pair.near.write(parts));
        const std::array<ConstBuffer, 2> nothing{"", ""};
        EXPECT_EQ(0U, co_await pair.near.write(nothing));
        EXPECT_EQ(0U, co_await pair.near.write(std::span<const ConstBuffer>()));
        pair.near.shutdown();
        EXPECT_EQ("head body tail", co_await read_all(pair.far));
    });
}

TEST(Buffers, AListMayBeHandedOnUntilItIsAwaited) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string body = "body";
        auto limited = wait_for(pair.near.write({"head ", body, " "}), 20s);
        auto writing = create_task(std::move(limited));
        EXPECT_EQ(10U, co_await writing);
        auto tail = create_task(pair.near.write({"t", "a", "i", "l", "o", "f", "n", "i", "n", "e"}));
        EXPECT_EQ(10U, co_await tail);
        pair.near.shutdown();
        EXPECT_EQ("head body tailofnine", co_await read_all(pair.far));
    });
}

TEST(Buffers, MoreThanTheKernelTakesAtOnceAreAllWritten) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string whole(3 * IOV_MAX + 7, '\0');
        std::iota(whole.begin(), whole.end(), '\1');
        std::vector<ConstBuffer> parts;
        for (const char& byte : whole) {
            parts.emplace_back(&byte, 1U);
            parts.emplace_back();
        }
        EXPECT_EQ(whole.size(), co_await pair.near.write(parts));
        pair.near.shutdown();
        EXPECT_EQ(whole, co_await read_all(pair.far));
    });
}

TEST(Buffers, APartialWriteGoesOnInTheMiddleOfABuffer) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::vector<std::string> pieces;
        std::string whole;
        for (int i = 0; i < 9; ++i) {
            pieces.push_back(std::string((1U << 20) + static_cast<unsigned>(i), static_cast<char>('a' + i)));
            whole += pieces.back();
        }
        const std::vector<ConstBuffer> parts(pieces.begin(), pieces.end());
        auto writing = create_task([](io::TcpStream& stream, const std::vector<ConstBuffer>& list) -> Coro<> {
            EXPECT_GT(co_await stream.write(list), 0U);
            stream.shutdown();
        }(pair.near, parts));
        const std::string got = co_await read_all(pair.far);
        EXPECT_TRUE(whole == got);
        co_await writing;
    });
}

TEST(Buffers, WriteSomeMayWriteLess) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string much(32 << 20, 'x');
        const std::array<ConstBuffer, 2> parts{much, much};
        const std::size_t count = co_await pair.near.write_some(parts);
        EXPECT_GT(count, 0U);
        EXPECT_LT(count, 2 * much.size());
    });
}

TEST(Buffers, AreFilledOneAfterTheOther) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string first(3, '\0');
        std::array<std::byte, 0> none{};
        std::array<unsigned char, 8> second{};
        const std::array<MutableBuffer, 3> parts{first, none, second};
        co_await pair.far.write("abcdef");
        EXPECT_EQ(6U, co_await pair.near.read_some(parts));
        EXPECT_EQ("abc", first);
        EXPECT_EQ("def", std::string(reinterpret_cast<char*>(second.data()), 3));
        EXPECT_EQ(0U, co_await pair.near.read_some(std::span<const MutableBuffer>()));
        pair.far.close();
        EXPECT_EQ(0U, co_await pair.near.read_some(parts));
    });
}

TEST(Buffers, BeginWithWhatACancelledReadExactlyHadRead) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string buffer(8, '\0');
        auto reading = create_task(pair.near.read_exactly(buffer));
        co_await turns();
        co_await pair.far.write("abcde");
        co_await turns();
        reading.cancel();
        EXPECT_THROW(co_await reading, CancelledError);
        std::string first(2, '\0');
        std::string second(2, '\0');
        const std::array<MutableBuffer, 2> parts{first, second};
        EXPECT_EQ(4U, co_await pair.near.read_some(parts));
        EXPECT_EQ("abcd", first + second);
        EXPECT_EQ(1U, co_await pair.near.read_some(buffer));
        EXPECT_EQ('e', buffer[0]);
    });
}

TEST(Buffers, ACancelledVectoredReadLosesNothing) {
    run_io([]() -> Coro<> {
        auto [near, far] = UnixStream::pair();
        UnixStream reader = std::move(near);
        std::string buffer(8, '\0');
        const std::array<MutableBuffer, 1> parts{buffer};
        auto reading = create_task(reader.read_some(parts));
        co_await turns();
        reading.cancel();
        EXPECT_THROW(co_await reading, CancelledError);
        co_await far.write("x");
        EXPECT_EQ(1U, co_await reader.read_some(parts));
    });
}

TEST(Buffers, AVectoredWriteThatIsStuckIsCancelled) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string much(32 << 20, 'x');
        const std::array<ConstBuffer, 2> parts{much, much};
        auto writing = create_task(pair.near.write(parts));
        co_await turns(20);
        EXPECT_FALSE(writing.done());
        writing.cancel();
        EXPECT_THROW(co_await writing, CancelledError);
    });
}

TEST(Buffers, OfAClosedStreamAreAnError) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.near.close();
        const std::array<ConstBuffer, 1> parts{"x"};
        EXPECT_THROW(co_await pair.near.write(parts), std::system_error);
    });
}

}  // namespace
}  // namespace knit::test
