#include "knit/io/pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::Pipe;

Coro<std::string> read_to_the_end(PipeReader& reader) {
    std::string all;
    char buffer[4096];
    for (;;) {
        const std::size_t count = co_await reader.read_some(buffer);
        if (count == 0) {
            co_return all;
        }
        all.append(buffer, count);
    }
}

TEST(Pipe, CarriesBytesToTheEnd) {
    run_io([]() -> Coro<> {
        const std::size_t before = open_descriptors();
        {
            Pipe ends = io::pipe();
            Task<std::string> reading = create_task(read_to_the_end(ends.reader));
            const std::string text(1000000, 'x');  // many times what a pipe holds
            const std::size_t written = co_await ends.writer.write(text);
            EXPECT_EQ(text.size(), written);
            ends.writer.close();
            EXPECT_EQ(text, co_await reading);
            EXPECT_EQ("", co_await read_to_the_end(ends.reader));
            EXPECT_NE(0, fcntl(ends.reader.native_handle(), F_GETFD) & FD_CLOEXEC);
        }
        EXPECT_EQ(before, open_descriptors());
    });
}

TEST(Pipe, WriteSomeTakesWhatThereIsRoomFor) {
    run_io([]() -> Coro<> {
        Pipe ends = io::pipe();
        const std::string text(1000000, 'x');
        const std::size_t written = co_await ends.writer.write_some(text);
        EXPECT_GT(written, 0U);
        EXPECT_LT(written, text.size());
    });
}

/// The errno of a write, and that it names the pipe.
Coro<int> write_error(PipeWriter& writer, std::string text) {
    try {
        co_await writer.write(text);
    } catch (const WriteError& error) {
        EXPECT_NE(std::string::npos, std::string(error.what()).find("write pipe")) << error.what();
        co_return error.code().value();
    }
    co_return 0;
}

TEST(Pipe, WithoutAReaderIsAnErrorAndNoSignal) {
    struct sigaction before {};
    ASSERT_EQ(0, sigaction(SIGPIPE, nullptr, &before));
    ASSERT_EQ(SIG_DFL, before.sa_handler);  // it would end this process
    run_io([]() -> Coro<> {
        Pipe ends = io::pipe();
        ends.reader.close();
        EXPECT_EQ(EPIPE, co_await write_error(ends.writer, "text"));
        EXPECT_EQ(EPIPE, co_await write_error(ends.writer, "text"));
    });
    struct sigaction after {};
    ASSERT_EQ(0, sigaction(SIGPIPE, nullptr, &after));
    EXPECT_EQ(SIG_DFL, after.sa_handler);
}

TEST(Pipe, AWriterThatWaitsForRoomHearsThatTheReaderHasGone) {
    run_io([]() -> Coro<> {
        Pipe ends = io::pipe();
        Task<int> writing = create_task(write_error(ends.writer, std::string(1000000, 'x')));
        co_await turns();
        EXPECT_FALSE(writing.done());
        ends.reader.close();
        EXPECT_EQ(EPIPE, co_await writing);
    });
}

TEST(Pipe, ACancelledReadLosesNothing) {
    run_io([]() -> Coro<> {
        Pipe ends = io::pipe();
        std::string got;
        const auto read = [&]() -> Coro<> {
            char buffer[16];
            const std::size_t count = co_await ends.reader.read_some(buffer);
            got.append(buffer, count);
        };
        for (int round = 0; round < 50; ++round) {
            Task<> reading = create_task(read());
            co_await turns(round % 4);
            co_await ends.writer.write("ab");
            reading.cancel();
            static_cast<void>(co_await as_result(std::move(reading)));
        }
        ends.writer.close();
        const std::string rest = co_await read_to_the_end(ends.reader);
        EXPECT_EQ(100U, got.size() + rest.size());
    });
}

TEST(Pipe, ANonBlockingEndIsWaitedForAndStaysSo) {
    run_io([]() -> Coro<> {
        int ends[2];
        EXPECT_EQ(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        PipeReader reader{knit::detail::Fd(ends[0])};
        PipeWriter writer{knit::detail::Fd(ends[1])};
        Task<std::string> reading = create_task(read_to_the_end(reader));
        co_await turns();
        const std::string text(500000, 'x');
        co_await writer.write(text);
        writer.close();
        EXPECT_EQ(text, co_await reading);
        EXPECT_NE(0, fcntl(reader.native_handle(), F_GETFL) & O_NONBLOCK);
    });
}

TEST(Pipe, OutOfDescriptorsIsAnError) {
    look_at_error_types();
    const int copy = dup(0);
    ::close(copy);
    rlimit before{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const rlimit low{static_cast<rlim_t>(copy), before.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
    try {
        static_cast<void>(io::pipe());
        ADD_FAILURE() << "made";
    } catch (const std::system_error& error) {
        EXPECT_EQ(EMFILE, error.code().value());
    }
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
}

}  // namespace
}  // namespace knit::test
