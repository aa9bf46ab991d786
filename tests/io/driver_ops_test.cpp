// What every driver makes of the requests that operations prepare: the same test on each.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <future>
#include <string>
#include <vector>

extern "C" {  // glibc 2.36 forgot it
#include <sys/pidfd.h>
}

#include "epoll_driver.hpp"
#include "raw_op.hpp"

namespace knit::test {
namespace {

class DriverOps : public testing::TestWithParam<DriverKind> {
protected:
    template <class F>
    void run_here(F body, unsigned loops = 1) {
        RunOptions options;
        options.loops = loops;
        options.driver = GetParam();
        run(std::move(body), std::move(options));
    }
};
class EpollOps : public DriverOps {};

INSTANTIATE_TEST_SUITE_P(Each, DriverOps, testing::Values(DriverKind::uring, DriverKind::epoll),
                         [](const auto& one) { return one.param == DriverKind::uring ? "Uring" : "Epoll"; });
INSTANTIATE_TEST_SUITE_P(Only, EpollOps, testing::Values(DriverKind::epoll), [](const auto&) { return "Epoll"; });

class Directory {
public:
    Directory() { EXPECT_NE(nullptr, mkdtemp(path_.data())); }
    ~Directory() { rmdir(path_.c_str()); }
    std::string operator/(const char* name) const { return path_ + "/" + name; }

private:
    std::string path_ = "/tmp/knit-driver-XXXXXX";
};

Coro<> use_a_file(std::string path, std::string other) {
    const DescriptorOwner anything = own(eventfd(0, EFD_CLOEXEC));
    const char* const name = path.c_str();
    const char* const name_2 = other.c_str();
    const int number = co_await perform(anything, [=](io_uring_sqe& sqe, int) {
        io_uring_prep_openat(&sqe, AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    });
    const DescriptorOwner file = own(number);
    EXPECT_EQ(5, co_await write_to(file, "hello", 5, 0));
    EXPECT_EQ(5, co_await write_to(file, "again", 5, 3));
    EXPECT_EQ(0, co_await perform(file, [](io_uring_sqe& sqe, int fd) { io_uring_prep_fsync(&sqe, fd, 0); }));
    std::array<char, 16> text{};
    EXPECT_EQ(8, co_await read_from(file, text.data(), text.size(), 0));
    EXPECT_STREQ("helagain", text.data());
    EXPECT_EQ(0, co_await read_from(file, text.data(), text.size(), 100));
    struct statx status {};
    struct statx* const to = &status;
    EXPECT_EQ(0, co_await perform(anything, [=](io_uring_sqe& sqe, int) {
                  io_uring_prep_statx(&sqe, AT_FDCWD, name, 0, STATX_SIZE, to);
              }));
    EXPECT_EQ(8U, status.stx_size);
    EXPECT_EQ(0, co_await perform(anything, [=](io_uring_sqe& sqe, int) {
                  io_uring_prep_renameat(&sqe, AT_FDCWD, name, AT_FDCWD, name_2, 0);
              }));
    const auto unlink = [=](io_uring_sqe& sqe, int) { io_uring_prep_unlinkat(&sqe, AT_FDCWD, name_2, 0); };
    EXPECT_EQ(0, co_await perform(anything, unlink));
    EXPECT_EQ(-ENOENT, co_await perform(anything, unlink));
    const auto make = [=](io_uring_sqe& sqe, int) { io_uring_prep_mkdirat(&sqe, AT_FDCWD, name, 0700); };
    EXPECT_EQ(0, co_await perform(anything, make));
    EXPECT_EQ(-EEXIST, co_await perform(anything, make));
    EXPECT_EQ(0, rmdir(name));
}

TEST_P(DriverOps, FilesAreMadeWrittenReadAndRemoved) {
    const Directory directory;
    const std::size_t before = open_descriptors();
    run_here([&]() -> Coro<> { co_await use_a_file(directory / "file", directory / "other"); });
    EXPECT_EQ(before, open_descriptors());
}

TEST_P(DriverOps, AReadFromAPipeWaitsForItsBytesAndSeesTheEnd) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        std::array<char, 8> text{};
        auto reading = create_task(read_from(pipe.reader, text.data(), text.size()));
        co_await turns();
        EXPECT_FALSE(reading.done());
        EXPECT_EQ(5, co_await write_to(pipe.writer, "hello", 5));
        EXPECT_EQ(5, co_await reading);
        EXPECT_STREQ("hello", text.data());
        auto ending = create_task(read_from(pipe.reader, text.data(), text.size()));
        co_await turns();
        pipe.writer.close();
        EXPECT_EQ(0, co_await ending);
    });
}

TEST_P(DriverOps, AWriteToAFullPipeWaitsForRoom) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        const std::vector<char> much(1 << 20, 'x');
        auto writing = create_task([&]() -> Coro<std::size_t> {
            std::size_t sent = 0;
            while (sent < much.size()) {
                const auto rest = static_cast<unsigned>(much.size() - sent);
                const int count = co_await write_to(pipe.writer, much.data() + sent, rest);
                if (count <= 0) {
                    co_return 0;
                }
                sent += static_cast<std::size_t>(count);
            }
            pipe.writer.close();
            co_return sent;
        });
        std::size_t received = 0;
        std::vector<char> buffer(10'000);
        int count = 1;
        while (count > 0) {
            count = co_await read_from(pipe.reader, buffer.data(), static_cast<unsigned>(buffer.size()));
            received += static_cast<std::size_t>(std::max(count, 0));
        }
        EXPECT_EQ(much.size(), co_await writing);
        EXPECT_EQ(much.size(), received);
    });
}

TEST_P(DriverOps, APollWaitsForInputForRoomAndForTheEnd) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        EXPECT_EQ(POLLOUT, co_await poll_for(pipe.writer, POLLOUT));
        auto input = create_task(poll_for(pipe.reader, POLLIN));
        auto also = create_task(poll_for(pipe.reader, POLLIN));
        co_await turns();
        EXPECT_FALSE(input.done());
        co_await write_to(pipe.writer, "x", 1);
        EXPECT_EQ(POLLIN, co_await input);
        EXPECT_EQ(POLLIN, co_await also);
        char byte = 0;
        co_await read_from(pipe.reader, &byte, 1);
        auto end = create_task(poll_for(pipe.reader, POLLIN));
        co_await turns();
        EXPECT_FALSE(end.done());
        pipe.writer.close();
        EXPECT_EQ(POLLHUP, co_await end & POLLHUP);
    });
}

template <class T>
Coro<> expect_cancelled_while_waiting(Task<T> task) {
    co_await turns();
    EXPECT_FALSE(task.done());
    task.cancel();
    try {
        co_await task;
        ADD_FAILURE() << "not cancelled";
    } catch (const CancelledError&) {
    }
}

TEST_P(DriverOps, ACancelEndsWhateverWaitsAndLosesNothing) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        std::array<char, 4> text{};
        auto first = create_task(read_from(pipe.reader, text.data(), 1));
        auto second = create_task(read_from(pipe.reader, text.data() + 1, 1));
        auto poll = create_task(poll_for(pipe.reader, POLLIN));
        co_await turns();
        co_await expect_cancelled_while_waiting(std::move(first));
        co_await expect_cancelled_while_waiting(std::move(poll));
        co_await write_to(pipe.writer, "a", 1);
        EXPECT_EQ(1, co_await second);
        EXPECT_EQ('a', text[1]);
    });
}

TEST_P(DriverOps, ARequestOfSeveralCompletionsGivesItsFirstAndEndsWithItsLast) {
    run_here([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const DescriptorOwner near = own(dup(pair.near.native_handle()));
        EXPECT_EQ(5, co_await perform(near, [](io_uring_sqe& sqe, int number) {
                      io_uring_prep_send_zc(&sqe, number, "hello", 5, MSG_NOSIGNAL, 0);
                  }));
        std::array<char, 8> text{};
        EXPECT_EQ(5U, co_await pair.far.read_some(text));
        // Nobody is there any more: an error first, and then the notification.
        near.get()->break_connection();
        EXPECT_GT(0, co_await perform(near, [](io_uring_sqe& sqe, int number) {
                      io_uring_prep_send_zc(&sqe, number, "hello", 5, MSG_NOSIGNAL, 0);
                  }));
    });
}

TEST_P(DriverOps, AProcessIsWaitedForByItsPidfd) {
    run_here([]() -> Coro<> {
        std::array<int, 2> ends{};
        EXPECT_EQ(0, pipe2(ends.data(), O_CLOEXEC));
        const pid_t child = fork();
        if (child == 0) {
            char byte = 0;
            close(ends[1]);
            _exit(read(ends[0], &byte, 1) == 0 ? 7 : 1);
        }
        close(ends[0]);
        const DescriptorOwner process = own(pidfd_open(child, 0));
        auto waiting = create_task(poll_for(process, POLLIN));
        co_await turns();
        EXPECT_FALSE(waiting.done());
        close(ends[1]);
        EXPECT_EQ(POLLIN, co_await waiting & POLLIN);
        int status = 0;
        EXPECT_EQ(child, waitpid(child, &status, 0));
        EXPECT_EQ(7, WEXITSTATUS(status));
    });
}

TEST_P(DriverOps, AStreamThatMovesBetweenLoopsLosesNoWakeUp) {
    run_here(
        []() -> Coro<> {
            Pair pair = co_await connected_pair();
            const auto read_byte = [](io::TcpStream& stream) -> Coro<char> {
                char byte = 0;
                co_await stream.read_some(std::span(&byte, 1));
                co_return byte;
            };
            for (int round = 0; round < 300; ++round) {
                const auto loop = static_cast<std::size_t>(round % 3 == 0 ? 0 : 1);
                Task<char> reading = get_runtime().loop(loop).create_task(read_byte(pair.near));
                co_await turns(round % 4);
                const char sent = static_cast<char>('a' + round % 26);
                co_await pair.far.write(std::string_view(&sent, 1));
                EXPECT_EQ(sent, co_await reading);
            }
        },
        2);
}

TEST_P(DriverOps, ANumberThatIsUsedAgainHearsOfItsNewFileAlone) {
    run_here([]() -> Coro<> {
        int number = -1;
        std::vector<int> kept;
        for (int round = 0; round < 40; ++round) {
            Pair pair = co_await connected_pair();
            const bool is_again = pair.near.native_handle() == number;
            number = pair.near.native_handle();
            std::array<char, 8> text{};
            auto reading = create_task(pair.near.read_some(text));
            co_await turns();
            EXPECT_FALSE(reading.done()) << is_again;
            co_await pair.far.write("x");
            EXPECT_EQ(1U, co_await reading);
            // Both ends live on under other numbers, as after a fork, and one goes on sending.
            kept.push_back(dup(number));
            const int sender = dup(pair.far.native_handle());
            kept.push_back(sender);
            pair = Pair();
            co_await turns();
            for (std::size_t index = 1; index < kept.size(); index += 2) {
                EXPECT_EQ(1, write(kept[index], "y", 1));
            }
        }
        std::ranges::for_each(kept, close);
    });
}

TEST_P(EpollOps, AWriteToAPipeWithoutAReaderIsAnErrorAndNoSignal) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        pipe.reader.close();
        EXPECT_EQ(-EPIPE, co_await write_to(pipe.writer, "x", 1));  // SIGPIPE would end the test
        sigset_t pending;
        sigpending(&pending);
        EXPECT_EQ(0, sigismember(&pending, SIGPIPE));
    });
}

TEST_P(EpollOps, FilesAreUsedWhileEveryThreadOfTheBlockingPoolWaitsForThat) {
    const Directory directory;
    RunOptions options;
    options.driver = GetParam();
    options.blocking_threads = 1;
    const auto body = [&]() -> Coro<> {
        std::promise<void> used;
        auto waiting = create_task(to_thread([end = used.get_future().share()] { return end.wait_for(20s); }));
        co_await turns();
        co_await use_a_file(directory / "file", directory / "other");
        used.set_value();
        EXPECT_EQ(std::future_status::ready, co_await waiting);
    };
    run(body, options);
}

/// A request that is cancelled while it stands in the queue of the drivers' pool never happens.
TEST_P(EpollOps, WhatIsCancelledBeforeAThreadHasTakenItDoesNotHappen) {
    constexpr std::size_t kThreads = 8;  // of that pool, at most
    const Directory directory;
    run_here([&]() -> Coro<> {
        const DescriptorOwner anything = own(eventfd(0, EFD_CLOEXEC));
        std::vector<std::string> fifos;
        for (std::size_t index = 0; index < kThreads; ++index) {
            fifos.push_back(directory / std::to_string(index).c_str());
            EXPECT_EQ(0, mkfifo(fifos.back().c_str(), 0600));
        }
        std::vector<Task<int>> opens;  // each waits for a writer, in a thread
        for (const std::string& fifo : fifos) {
            opens.push_back(create_task(perform(anything, [name = fifo.c_str()](io_uring_sqe& sqe, int) {
                io_uring_prep_openat(&sqe, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
            })));
        }
        co_await turns();
        const std::string made = directory / "made";
        auto making = create_task(perform(anything, [name = made.c_str()](io_uring_sqe& sqe, int) {
            io_uring_prep_mkdirat(&sqe, AT_FDCWD, name, 0700);
        }));
        co_await turns();
        making.cancel();
        co_await turns();
        EXPECT_FALSE(making.done());
        for (std::size_t index = 0; index < kThreads; ++index) {
            int writer = -1;
            while (writer < 0) {  // ends: a thread is on its way to open the other end
                writer = open(fifos[index].c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
                co_await yield();
            }
            close(writer);
            const int reader = co_await opens[index];
            EXPECT_GE(reader, 0);
            close(reader);
            EXPECT_EQ(0, unlink(fifos[index].c_str()));
        }
        EXPECT_THROW(co_await making, CancelledError);
        EXPECT_EQ(-1, rmdir(made.c_str()));
    });
}

TEST_P(EpollOps, ReadersAreServedInTheOrderOfAsking) {
    run_here([]() -> Coro<> {
        Pipe pipe;
        std::array<char, 3> text{};
        std::vector<Task<int>> reading;
        for (char& byte : text) {
            reading.push_back(create_task(read_from(pipe.reader, &byte, 1)));
        }
        co_await turns();
        co_await write_to(pipe.writer, "abc", 3);
        for (Task<int>& one : reading) {
            EXPECT_EQ(1, co_await one);
        }
        EXPECT_EQ("abc", std::string(text.data(), text.size()));
    });
}

TEST_P(EpollOps, ATerminalThatOthersHaveOpenIsNotMadeNonBlocking) {
    run_here([]() -> Coro<> {
        const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        EXPECT_EQ(0, grantpt(terminal));
        EXPECT_EQ(0, unlockpt(terminal));
        const DescriptorOwner keyboard = own(terminal);
        const int number = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        const DescriptorOwner input(new NumberDescriptor(number, true));
        std::array<char, 16> text{};
        auto reading = create_task(read_from(input, text.data(), text.size()));
        co_await turns();
        EXPECT_FALSE(reading.done());
        EXPECT_EQ(3, co_await write_to(keyboard, "hi\n", 3));
        EXPECT_EQ(3, co_await reading);
        EXPECT_STREQ("hi\n", text.data());
        EXPECT_EQ(0, fcntl(number, F_GETFL) & O_NONBLOCK);
        EXPECT_NE(0, fcntl(terminal, F_GETFL) & O_NONBLOCK);  // which is ours alone
    });
}

}  // namespace
}  // namespace knit::test
