// What holds for a stream of every kind when its other end goes, and for writes without a copy.
#include <csignal>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io_test.hpp"
#include "logged.hpp"

namespace knit::test {
namespace {

using io::Shutdown;
using io::TcpStream;
using io::UnixStream;

template <class S>
struct Ends {
    S near;
    S far;
};
template <class S>
Coro<Ends<S>> ends_of() {
    Ends<S> ends;
    if constexpr (std::is_same_v<S, TcpStream>) {
        Pair pair = co_await connected_pair();
        ends.near = std::move(pair.near);
        ends.far = std::move(pair.far);
    } else {
        auto [near, far] = UnixStream::pair();
        ends.near = std::move(near);
        ends.far = std::move(far);
        co_await yield();
    }
    co_return ends;
}

template <class S>
class StreamOf : public testing::Test {};
using Kinds = testing::Types<TcpStream, UnixStream>;
TYPED_TEST_SUITE(StreamOf, Kinds);

TYPED_TEST(StreamOf, WritingToAPeerThatHasGoneIsAnErrorAndNoSignal) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        ends.far.linger(0s);
        ends.far.close();
        bool has_failed = false;
        while (!has_failed) {  // ends: what the peer did arrives
            try {
                co_await ends.near.write("x");
            } catch (const std::system_error& error) {
                has_failed = true;
                const bool is_broken = error.code() == std::errc::broken_pipe;
                EXPECT_TRUE(is_broken || error.code() == std::errc::connection_reset) << error.what();
                EXPECT_TRUE(std::string(error.what()).starts_with("write ")) << error.what();
            }
        }
        const std::string much(1 << 20, 'x');
        const io::ConstBuffer parts[] = {much, much};
        EXPECT_THROW(co_await ends.near.write(parts), std::system_error);
    });
}

TYPED_TEST(StreamOf, AReaderOfAStreamThatIsClosedIsWoken) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        char buffer[8];
        auto reading = create_task(ends.near.read_some(buffer));
        co_await turns();
        ends.near.close();
        try {
            co_await reading;
            ADD_FAILURE() << "read";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::operation_canceled, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("closed by another task")) << error.what();
        }
    });
}

TYPED_TEST(StreamOf, AWriterOfAStreamThatIsClosedIsWoken) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        const std::string much(32 << 20, 'x');
        auto writing = create_task(ends.near.write(much));
        co_await turns(20);
        ends.near.close();
        EXPECT_THROW(co_await writing, std::system_error);
    });
}

TYPED_TEST(StreamOf, HalfClosesEitherWayOrBoth) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        std::string buffer(8, '\0');
        ends.near.shutdown(Shutdown::write);
        EXPECT_EQ(0U, co_await ends.far.read_some(buffer));
        co_await ends.far.write("late");
        EXPECT_EQ(4U, co_await ends.near.read_some(buffer));
        auto reading = create_task(ends.near.read_some(buffer));
        co_await turns();
        ends.near.shutdown(Shutdown::read);
        EXPECT_EQ(0U, co_await reading);
        ends.far.shutdown(Shutdown::both);
        EXPECT_THROW(co_await ends.far.write("x"), std::system_error);
    });
}

TYPED_TEST(StreamOf, APeerThatIsKilledInTheMiddleOfAMessageLeavesItsBeginning) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        // The child has the other end alone and says half of it.
        const pid_t child = fork();
        if (child == 0) {
            const ssize_t sent = ::send(ends.far.native_handle(), "half", 4, MSG_NOSIGNAL);
            for (;;) {
                sent == 4 ? pause() : (_exit(1), 0);
            }
        }
        ends.far.close();
        std::string buffer(4, '\0');
        co_await ends.near.read_exactly(buffer);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        std::string rest(4, '\0');
        try {
            co_await ends.near.read_exactly(rest);
            ADD_FAILURE() << "read";
        } catch (const IncompleteReadError& error) {
            EXPECT_EQ("", error.partial());
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_reset, error.code());
        }
        EXPECT_EQ("half", buffer);
    });
}

/// All of it, without a copy if the socket can, arrives as it was sent.
template <class S>
Coro<> expect_arrives_from_memory(std::size_t size) {
    auto ends = co_await ends_of<S>();
    ends.near.zero_copy_threshold(1000);
    std::vector<unsigned char> sent(size);
    for (std::size_t i = 0; i < size; ++i) {
        sent[i] = static_cast<unsigned char>(i * 31 + i / 253);
    }
    auto writing = create_task(ends.near.write(sent));
    std::vector<unsigned char> got(size);
    co_await ends.far.read_exactly(got);
    EXPECT_EQ(size, co_await writing);
    EXPECT_TRUE(sent == got);
}

TYPED_TEST(StreamOf, WritesFromTheCallersMemoryAtAnySize) {
    run_io([]() -> Coro<> {
        for (const std::size_t size : {999U, 1000U, 100'000U, 5'000'000U}) {
            co_await expect_arrives_from_memory<TypeParam>(size);
        }
    });
}

TYPED_TEST(StreamOf, AWriteWithoutACopyIsCancelledAndItsBufferIsFreeAfterwards) {
    run_io([]() -> Coro<> {
        auto ends = co_await ends_of<TypeParam>();
        ends.near.zero_copy_threshold(1);
        auto buffer = std::make_unique<std::string>(32 << 20, 'x');
        auto writing = create_task(ends.near.write(*buffer));
        co_await turns(20);
        EXPECT_FALSE(writing.done());
        writing.cancel();
        // The notification that the buffer is free may wait for the peer.
        auto reading = create_task([](TypeParam& stream) -> Coro<> {
            std::vector<char> room(1 << 20);
            while (co_await stream.read_some(std::span<char>(room)) != 0) {
            }
        }(ends.far));
        EXPECT_THROW(co_await writing, CancelledError);
        buffer.reset();
        ends.near.close();
        try {
            co_await reading;
        } catch (const std::system_error&) {
        }
    });
}

/// The kernel answers write_some() at once, and write() when it is cancelled; neither gives the memory back.
template <class S>
Coro<> write_much(S& stream, bool all) {
    const std::string buffer(32 << 20, 'x');
    if (all) {
        co_await stream.write(buffer);
    } else {
        co_await stream.write_some(buffer);
    }
}

TYPED_TEST(StreamOf, CloseEndsAWriteWithoutACopyWhosePeerDoesNotRead) {
    run_io([]() -> Coro<> {
        for (const int variant : {0, 1, 2, 3}) {
            auto ends = co_await ends_of<TypeParam>();
            ends.near.zero_copy_threshold(1);
            auto writing = create_task(write_much(ends.near, variant / 2 != 0));
            co_await turns(20);
            if (variant % 2 != 0) {
                writing.cancel();
                co_await turns(20);
            }
            ends.near.close();
            const std::vector<Task<>> all(1, writing);
            const WaitOptions limit{.timeout = 20s};
            co_await wait(all, limit);
            EXPECT_TRUE(writing.done()) << variant;
            ends.far.close();
            static_cast<void>(co_await as_result(writing));
        }
    });
}

template <class S>
Coro<> write_much_of(S stream, bool all) {
    Coro<> writing = write_much(stream, all);
    co_await std::move(writing);
}

/// A peer that is there after the run, and does not read: it is not what decides when the run ends.
TYPED_TEST(StreamOf, TheEndOfTheRunEndsAWriteWithoutACopyWhosePeerDoesNotRead) {
    for (const int variant : {0, 1, 2, 3}) {
        const Logged logged;
        TypeParam peer;
        RunOptions options;
        options.loops = 1;
        options.grace = 20s;
        auto body = [&]() -> Coro<> {
            auto ends = co_await ends_of<TypeParam>();
            ends.near.zero_copy_threshold(1);
            peer = std::move(ends.far);
            auto writing = create_task(write_much_of(std::move(ends.near), variant / 2 != 0));
            co_await turns(20);
            if (variant % 2 != 0) {
                writing.cancel();
                co_await turns(20);
            }
        };
        run(std::move(body), std::move(options));
        EXPECT_EQ(std::string::npos, logged.text().find("abandoned")) << variant;
    }
}

}  // namespace
}  // namespace knit::test
