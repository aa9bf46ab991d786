// Descriptors that are passed over Unix sockets.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::ReceivedDescriptors;
using io::UnixStream;

struct UnixPair {
    UnixStream near;
    UnixStream far;
};
UnixPair unix_pair() {
    auto [near, far] = UnixStream::pair();
    return {std::move(near), std::move(far)};
}

detail::Fd null_device() { return detail::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(Descriptors, ArriveWithTheirBytesAndAreClosedOnExec) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        std::array<int, 2> ends{};
        EXPECT_EQ(0, pipe2(ends.data(), O_CLOEXEC));
        const detail::Fd read_end(ends[0]);
        const detail::Fd write_end(ends[1]);
        EXPECT_EQ(5U, co_await pair.near.send_descriptors("hello", std::span<const int>(&ends[1], 1)));
        std::string buffer(16, '\0');
        ReceivedDescriptors got = co_await pair.far.receive_descriptors(buffer);
        EXPECT_EQ("hello", buffer.substr(0, got.size));
        EXPECT_FALSE(got.is_truncated);
        EXPECT_EQ(1U, got.descriptors.size());
        EXPECT_EQ(FD_CLOEXEC, fcntl(got.descriptors.front().get(), F_GETFD));
        EXPECT_EQ(3, ::write(got.descriptors.front().get(), "abc", 3));
        EXPECT_EQ(3, ::read(read_end.get(), buffer.data(), buffer.size()));
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(Descriptors, BytesMayComeWithoutAndAPlainReadDropsThem) {
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        co_await pair.near.write("plain");
        std::string buffer(16, '\0');
        const std::size_t before = open_descriptors();
        ReceivedDescriptors got = co_await pair.far.receive_descriptors(buffer);
        EXPECT_EQ(5U, got.size);
        EXPECT_TRUE(got.descriptors.empty());
        {
            const detail::Fd file = null_device();
            const int number = file.get();
            co_await pair.near.send_descriptors("x", std::span<const int>(&number, 1));
        }
        EXPECT_EQ(1U, co_await pair.far.read_some(buffer));
        EXPECT_EQ(before, open_descriptors());
        pair.near.close();
        ReceivedDescriptors end = co_await pair.far.receive_descriptors(buffer);
        EXPECT_EQ(0U, end.size);
    });
}

TEST(Descriptors, MoreThanAskedForAreToldAndNotLeaked) {
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        const std::size_t before = open_descriptors();
        {
            std::vector<detail::Fd> files;
            std::vector<int> numbers;
            for (int i = 0; i < 5; ++i) {
                files.push_back(null_device());
                numbers.push_back(files.back().get());
            }
            co_await pair.near.send_descriptors("x", numbers);
        }
        std::string buffer(16, '\0');
        {
            ReceivedDescriptors got = co_await pair.far.receive_descriptors(buffer, 2);
            EXPECT_TRUE(got.is_truncated);
            EXPECT_EQ(1U, got.size);
            EXPECT_LE(got.descriptors.size(), 3U);  // the room is rounded up
            EXPECT_EQ(before + got.descriptors.size(), open_descriptors());
        }
        EXPECT_EQ(before, open_descriptors());
    });
}

Coro<> receive_into(UnixStream& stream, ReceivedDescriptors& got) {
    char room[16];
    got = co_await stream.receive_descriptors(room);
}

TEST(Descriptors, AReceiverThatIsCancelledOrDestroyedLeaksNone) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        const detail::Fd file = null_device();
        const int number = file.get();
        const std::size_t inside = open_descriptors();
        std::string buffer(16, '\0');
        for (int i = 0; i < 10; ++i) {
            ReceivedDescriptors got;
            auto receiving = create_task(receive_into(pair.far, got));
            co_await turns(i % 3);
            co_await pair.near.send_descriptors("x", std::span<const int>(&number, 1));
            receiving.cancel();
            try {
                co_await receiving;
            } catch (const CancelledError&) {
            }
            if (got.size == 0) {  // the cancellation was first: then they are still there
                got = co_await pair.far.receive_descriptors(buffer);
            }
            EXPECT_EQ(1U, got.descriptors.size());
            got = ReceivedDescriptors();
            receiving = create_task(receive_into(pair.far, got));
            co_await turns();
            receiving.cancel();
            EXPECT_THROW(co_await receiving, CancelledError);
            EXPECT_EQ(inside, open_descriptors());
        }
        // What nobody waits for when run() ends.
        create_task([](UnixStream stream) -> Coro<> {
            char room[16];
            co_await stream.receive_descriptors(room);
        }(std::move(pair.far)));
        co_await turns();
        co_await pair.near.send_descriptors("x", std::span<const int>(&number, 1));
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(Descriptors, ManyBytesGoWithOneSetOfThem) {
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        const detail::Fd file = null_device();
        const int number = file.get();
        const std::string much(4 << 20, 'x');
        auto sending = create_task([](UnixStream& stream, const std::string& text, int sent) -> Coro<> {
            EXPECT_EQ(text.size(), co_await stream.send_descriptors(text, std::span<const int>(&sent, 1)));
        }(pair.near, much, number));
        std::vector<char> buffer(1 << 20);
        std::size_t bytes = 0;
        std::size_t descriptors = 0;
        while (bytes < much.size()) {
            ReceivedDescriptors got = co_await pair.far.receive_descriptors(std::span<char>(buffer));
            bytes += got.size;
            descriptors += got.descriptors.size();
        }
        co_await sending;
        EXPECT_EQ(1U, descriptors);
    });
}

TEST(Descriptors, MistakesSayWhatToDo) {
    run_io([]() -> Coro<> {
        UnixPair pair = unix_pair();
        const std::vector<int> many(254, 0);
        EXPECT_THROW(static_cast<void>(pair.near.send_descriptors("x", many)), ValueError);
        EXPECT_THROW(static_cast<void>(pair.near.send_descriptors("", std::span<const int>())), ValueError);
        const int none = -1;
        try {
            co_await pair.near.send_descriptors("x", std::span<const int>(&none, 1));
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::bad_file_descriptor, error.code());
        }
    });
}

}  // namespace
}  // namespace knit::test
