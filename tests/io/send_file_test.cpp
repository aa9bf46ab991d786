// Files to sockets.
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

/// A file without a name, where the test runs, in the build's tree: /tmp may be a tmpfs, which does not tell what is
/// cached.
class Scratch {
public:
    explicit Scratch(const std::string& content) {
        char name[] = "knit-file-XXXXXX";
        number_ = detail::Fd(mkstemp(name));
        unlink(name);
        EXPECT_EQ(static_cast<ssize_t>(content.size()), ::write(number_.get(), content.data(), content.size()));
    }
    int native_handle() const noexcept { return number_.get(); }

private:
    detail::Fd number_;
};

/// Not every file system does, and then a file is sent by requests.
bool tells_what_is_cached(const Scratch& file) {
    char byte = 0;
    const iovec one{&byte, 1};
    return ::preadv2(file.native_handle(), &one, 1, 0, RWF_NOWAIT) == 1;
}

std::string pattern(std::size_t size) {
    std::string result(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        result[i] = static_cast<char>(i * 7 + i / 251);
    }
    return result;
}

Coro<std::string> read_all(io::TcpStream& stream) {
    std::string result;
    std::vector<char> buffer(1 << 16);
    while (const std::size_t count = co_await stream.read_some(std::span<char>(buffer))) {
        result.append(buffer.data(), count);
    }
    co_return result;
}

/// What arrives of a file that is sent so.
Coro<> expect_arrives(const Scratch& file, std::uint64_t offset, std::optional<std::uint64_t> count,
                      std::string expected) {
    Pair pair = co_await connected_pair();
    auto reading = create_task(read_all(pair.far));
    EXPECT_EQ(expected.size(), co_await pair.near.send_file(file, offset, count));
    pair.near.close();
    const std::string got = co_await reading;
    EXPECT_TRUE(expected == got) << expected.size() << ", " << got.size();
}

TEST(SendFile, SendsAllOfItOrAnyPart) {
    const std::string content = pattern((3 << 20) + 17);
    const Scratch file(content);
    run_io([&]() -> Coro<> {
        co_await expect_arrives(file, 0, {}, content);
        co_await expect_arrives(file, 100, 50, content.substr(100, 50));
        co_await expect_arrives(file, 1 << 20, {}, content.substr(1 << 20));
        co_await expect_arrives(file, 5, 1 << 20, content.substr(5, 1 << 20));
        co_await expect_arrives(file, 0, 0, "");
    });
    EXPECT_EQ(static_cast<off_t>(content.size()), lseek(file.native_handle(), 0, SEEK_CUR));
}

TEST(SendFile, LeavesTheSocketAsItWasAndTheFileToItsReaders) {
    const std::string content = pattern(1 << 20);
    const Scratch file(content);
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const int before = fcntl(pair.near.native_handle(), F_GETFL);
        auto waiting = create_task(read_all(pair.near));  // a request that waits is not disturbed
        auto reading = create_task(read_all(pair.far));
        EXPECT_EQ(content.size(), co_await pair.near.send_file(file));
        EXPECT_EQ(before, fcntl(pair.near.native_handle(), F_GETFL));
        EXPECT_FALSE(waiting.done());
        pair.near.shutdown();
        EXPECT_TRUE(content == co_await reading);
        co_await pair.far.write("answer");
        pair.far.close();
        EXPECT_EQ("answer", co_await waiting);
    });
}

TEST(SendFile, WhatThePageCacheDoesNotTellOfIsReadAndSent) {
    const detail::Fd version(::open("/proc/version", O_RDONLY | O_CLOEXEC));
    std::string expected(4096, '\0');
    expected.resize(static_cast<std::size_t>(pread(version.get(), expected.data(), expected.size(), 0)));
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto reading = create_task(read_all(pair.far));
        EXPECT_EQ(expected.size(), co_await pair.near.send_file(version.get()));
        pair.near.close();
        EXPECT_EQ(expected, co_await reading);
    });
}

TEST(SendFile, AFileThatIsShorterThanAskedGivesWhatThereIs) {
    const Scratch file("short");
    run_io([&]() -> Coro<> {
        co_await expect_arrives(file, 0, 1000, "short");
        co_await expect_arrives(file, 3, 1000, "rt");
        co_await expect_arrives(file, 5, 1000, "");
        co_await expect_arrives(file, 500, {}, "");
    });
}

TEST(SendFile, IsCancelledWhileThePeerDoesNotRead) {
    const Scratch file(pattern(32 << 20));
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto sending = create_task(pair.near.send_file(file));
        co_await turns(50);
        EXPECT_FALSE(sending.done());
        sending.cancel();
        EXPECT_THROW(co_await sending, CancelledError);
    });
}

TEST(SendFile, ThrowsWhenThePeerHasGoneOrTheFileIsNone) {
    const Scratch file(pattern(32 << 20));
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto no_file = pair.near.send_file(-1);
        EXPECT_THROW(co_await std::move(no_file), ValueError);
        const detail::Fd unreadable(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        auto not_readable = pair.near.send_file(unreadable.get());
        try {
            co_await std::move(not_readable);
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::bad_file_descriptor, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("read the file to be sent to")) << error.what();
        }
        reset_on_close(pair.far);
        pair.far.close();
        try {
            co_await pair.near.send_file(file);
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            const bool is_broken = error.code() == std::errc::broken_pipe;
            EXPECT_TRUE(is_broken || error.code() == std::errc::connection_reset) << error.what();
        }
    });
}

/// Of a call that has been made and awaited by another task.
Coro<std::error_code> error_of(Task<std::uint64_t>& sending) {
    std::error_code result;
    try {
        co_await sending;
    } catch (const std::system_error& error) {
        result = error.code();
        EXPECT_NE(std::string::npos, std::string(error.what()).find("closed by another task")) << error.what();
    }
    co_return result;
}

TEST(SendFile, EndsWhenTheStreamIsClosedByAnotherTask) {
    const Scratch file(pattern(32 << 20));
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto sending = create_task(pair.near.send_file(file));
        co_await turns(50);
        pair.near.close();
        EXPECT_EQ(std::errc::operation_canceled, co_await error_of(sending));
    });
}

/// Begins to send a file, and leaves off where it has sent a piece and lets others have their turn.
Coro<Task<std::uint64_t>> begin_to_send(io::TcpStream& stream, const Scratch& file) {
    const std::uint64_t before = get_runtime().metrics().loops[0].operations_submitted;
    Task<std::uint64_t> sending = create_task(stream.send_file(file));
    co_await yield();
    EXPECT_EQ(before, get_runtime().metrics().loops[0].operations_submitted) << "it waits for its peer";
    EXPECT_FALSE(sending.done());
    co_return sending;
}

TEST(SendFile, EndsWhenTheStreamIsClosedWhileItLetsOthersHaveTheirTurn) {
    const Scratch file(pattern(1 << 20));
    if (!tells_what_is_cached(file)) {
        GTEST_SKIP() << "no sendfile(2) of such a file";
    }
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const int number = pair.near.native_handle();
        auto sending = co_await begin_to_send(pair.near, file);
        pair.near.close();
        EXPECT_LE(0, fcntl(number, F_GETFD)) << "a stranger could get the number";
        EXPECT_EQ(std::errc::operation_canceled, co_await error_of(sending));
        EXPECT_EQ(-1, fcntl(number, F_GETFD));
    });
}

TEST(SendFile, EndsBeforeTheNumberIsGivenBackWhenAnotherThreadClosesTheStream) {
    const Scratch file(pattern(1 << 20));
    if (!tells_what_is_cached(file)) {
        GTEST_SKIP() << "no sendfile(2) of such a file";
    }
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const int number = pair.near.native_handle();
        auto sending = co_await begin_to_send(pair.near, file);
        std::thread([&pair] { pair.near.close(); }).join();
        EXPECT_LE(0, fcntl(number, F_GETFD)) << "a stranger could get the number";
        EXPECT_EQ(std::errc::operation_canceled, co_await error_of(sending));
    });
}

TEST(SendFile, IsRefusedBeforeTheFirstByteWhileAnotherLoopUsesTheSocket) {
    const Scratch file("file");
    run_io(
        [&]() -> Coro<> {
            Pair pair = co_await connected_pair();
            TaskOptions other_loop;
            other_loop.loop = &get_runtime().loop(1);
            std::latch is_there(1);
            const auto read = [&]() -> Coro<std::string> {
                get_running_loop().call_soon([&is_there] { is_there.count_down(); });
                std::string text(4, ' ');
                const std::size_t count = co_await pair.near.read_some(std::span<char>(text));
                co_return text.substr(0, count);
            };
            auto reading = create_task(read(), other_loop);
            is_there.wait();
            EXPECT_THROW(co_await pair.near.send_file(file), RuntimeError);
            co_await pair.far.write("read");
            EXPECT_EQ("read", co_await reading);
            pair.near.close();
            char byte = 0;
            EXPECT_EQ(0U, co_await pair.far.read_some(std::span(&byte, 1)));
        },
        2);
}

TEST(SendFile, OfAnotherLoopIsRefusedBetweenTwoPieces) {
    const std::string content = pattern(1 << 20);
    const Scratch file(content);
    if (!tells_what_is_cached(file)) {
        GTEST_SKIP() << "no sendfile(2) of such a file";
    }
    run_io(
        [&]() -> Coro<> {
            Pair pair = co_await connected_pair();
            auto sending = co_await begin_to_send(pair.near, file);
            TaskOptions other_loop;
            other_loop.loop = &get_runtime().loop(1);
            std::latch has_tried(1);
            bool is_refused = false;
            const auto send_too = [&]() -> Coro<> {
                try {
                    co_await pair.near.send_file(file);
                } catch (const RuntimeError&) {
                    is_refused = true;
                }
                has_tried.count_down();
            };
            auto trying = create_task(send_too(), other_loop);
            has_tried.wait();  // this loop stands still, and with it the one that sends
            EXPECT_TRUE(is_refused);
            co_await trying;
            auto reading = create_task(read_all(pair.far));
            EXPECT_EQ(content.size(), co_await sending);
            pair.near.close();
            const std::string got = co_await reading;
            EXPECT_TRUE(content == got) << got.size();
        },
        2);
}

TEST(SendFile, APeerThatTakesAllAtOnceDoesNotKeepTheLoop) {
    const Scratch file("x");
    if (!tells_what_is_cached(file)) {
        GTEST_SKIP() << "no sendfile(2) of such a file";
    }
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        int turns_of_others = 0;
        const auto take_turns = [&]() -> Coro<> {
            for (;;) {
                co_await yield();
                ++turns_of_others;
            }
        };
        Task<> others = create_task(take_turns());
        co_await yield();
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(1U, co_await pair.near.send_file(file, 0, 1));
        }
        EXPECT_LE(99, turns_of_others);
        others.cancel();
    });
}

TEST(SendFile, ThrowsWhatHasEndedTheConnection) {
    const Scratch file("file");
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        reset_on_close(pair.far);
        pair.far.close();
        pollfd one{pair.near.native_handle(), POLLIN, 0};  // a look that does not take the error away
        EXPECT_EQ(1, ::poll(&one, 1, 30'000));
        try {
            co_await pair.near.send_file(file);
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::connection_reset, error.code()) << error.what();
        }
    });
}

}  // namespace
}  // namespace knit::test
