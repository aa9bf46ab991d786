// Files to sockets.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

/// A file without a name.
class Scratch {
public:
    explicit Scratch(const std::string& content) {
        char name[] = "/tmp/knit-file-XXXXXX";
        number_ = detail::Fd(mkstemp(name));
        unlink(name);
        EXPECT_EQ(static_cast<ssize_t>(content.size()), ::write(number_.get(), content.data(), content.size()));
    }
    int native_handle() const noexcept { return number_.get(); }

private:
    detail::Fd number_;
};

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

TEST(SendFile, EndsWhenTheStreamIsClosedByAnotherTask) {
    const Scratch file(pattern(32 << 20));
    run_io([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto sending = create_task(pair.near.send_file(file));
        co_await turns(50);
        pair.near.close();
        EXPECT_THROW(co_await sending, std::system_error);
    });
}

}  // namespace
}  // namespace knit::test
