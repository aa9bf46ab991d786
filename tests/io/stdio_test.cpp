#include "knit/io/stdio.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "io_test.hpp"
#include "knit/io/pipe.hpp"

namespace knit::test {
namespace {

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

/// Puts `fd` in the place of a standard descriptor while it lives.
class Redirected {
public:
    Redirected(int standard, int fd) : standard_(standard), saved_(dup(standard)) { dup2(fd, standard); }
    Redirected(const Redirected&) = delete;
    ~Redirected() {
        dup2(saved_, standard_);
        ::close(saved_);
    }

private:
    int standard_;
    int saved_;
};

TEST(Stdio, ReadsARegularFileAndLeavesStandardInputOpen) {
    char name[] = "/tmp/knit-stdin-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_EQ(9, ::write(fd, "line\nrest", 9));
    ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
    {
        const Redirected redirected(0, fd);
        run_io([]() -> Coro<> {
            PipeReader input = io::standard_input();
            EXPECT_EQ("line\nrest", co_await read_to_the_end(input));
            input.close();
            EXPECT_NE(-1, fcntl(0, F_GETFD));
        });
    }
    ::close(fd);
    std::filesystem::remove(name);
}

TEST(Stdio, WritesAndLeavesTheDescriptorBlocking) {
    int ends[2];
    ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
    {
        const Redirected redirected(1, ends[1]);
        run_io([]() -> Coro<> {
            PipeWriter output = io::standard_output();
            co_await output.write("to the shell");
            EXPECT_EQ(0, fcntl(1, F_GETFL) & O_NONBLOCK);
        });
    }
    char text[32];
    EXPECT_EQ(12, ::read(ends[0], text, sizeof text));
    EXPECT_EQ("to the shell", std::string(text, 12));
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(Stdio, ARegularFileIsWrittenOnWhereOthersLeftIt) {
    char name[] = "/tmp/knit-stdout-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_EQ(4, ::write(fd, "one ", 4));
    rlimit before{};
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    {
        const Redirected redirected(1, fd);
        run_io([&]() -> Coro<> {
            PipeWriter output = io::standard_output();
            co_await output.write("two ");
            EXPECT_EQ(8, lseek(fd, 0, SEEK_CUR));
            const rlimit low{10, before.rlim_max};
            EXPECT_EQ(0, setrlimit(RLIMIT_FSIZE, &low));
            const auto write = [&]() -> Coro<std::size_t> {
                try {
                    co_await output.write("three");
                } catch (const WriteError& error) {
                    EXPECT_EQ(EFBIG, error.code().value());
                    co_return error.written();
                }
                co_return 0;
            };
            EXPECT_EQ(2U, co_await write());
            EXPECT_EQ(10, lseek(fd, 0, SEEK_CUR));
        });
    }
    EXPECT_EQ(0, setrlimit(RLIMIT_FSIZE, &before));
    std::signal(SIGXFSZ, handler);
    ::close(fd);
    std::filesystem::remove(name);
}

TEST(Stdio, ATerminalIsReadLineByLineAndStaysBlocking) {
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(terminal, 0);
    ASSERT_EQ(0, grantpt(terminal));
    ASSERT_EQ(0, unlockpt(terminal));
    const int shell = ::open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(shell, 0);
    {
        const Redirected redirected(0, shell);
        run_io([&]() -> Coro<> {
            PipeReader input = io::standard_input();
            const auto read = [&]() -> Coro<std::string> {
                char buffer[64];
                const std::size_t count = co_await input.read_some(buffer);
                co_return std::string(buffer, count);
            };
            Task<std::string> cancelled = create_task(read());
            co_await sleep(5ms);
            cancelled.cancel();
            Result<std::string> nothing = co_await as_result(std::move(cancelled));
            EXPECT_FALSE(nothing);
            Task<std::string> reading = create_task(read());
            co_await turns();
            EXPECT_EQ(5, ::write(terminal, "typed", 5));
            co_await turns();
            EXPECT_FALSE(reading.done());
            EXPECT_EQ(1, ::write(terminal, "\n", 1));
            EXPECT_EQ("typed\n", co_await reading);
            EXPECT_EQ(0, fcntl(0, F_GETFL) & O_NONBLOCK);
        });
    }
    ::close(shell);
    ::close(terminal);
}

TEST(Stdio, StreamsReadLinesAndWriteThem) {
    int in[2];
    int out[2];
    ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
    ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
    ASSERT_EQ(9, ::write(in[1], "one\ntwo\nx", 9));
    ::close(in[1]);
    {
        const Redirected input(0, in[0]);
        const Redirected output(1, out[1]);
        run_io([]() -> Coro<> {
            StreamReader reader = io::stdin_stream();
            StreamWriter writer = io::stdout_stream();
            while (auto line = co_await reader.next_line()) {
                writer.write("<" + *line + ">");
            }
            writer.close();
            co_await writer.wait_closed();
            EXPECT_NE(-1, fcntl(0, F_GETFD));
            EXPECT_NE(-1, fcntl(1, F_GETFD));
        });
    }
    char text[32];
    const ssize_t count = ::read(out[0], text, sizeof text);
    EXPECT_EQ("<one\n><two\n><x>", std::string(text, static_cast<std::size_t>(std::max<ssize_t>(count, 0))));
    ::close(in[0]);
    ::close(out[0]);
    ::close(out[1]);
}

}  // namespace
}  // namespace knit::test
