#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

/// Two ends, plain descriptors.
struct Ends {
    Ends() { EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)); }
    Ends(const Ends&) = delete;
    ~Ends() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
    void put(const char* text) { EXPECT_EQ(1, ::write(fds[1], text, 1)); }
    char take() {
        char letter = 0;
        EXPECT_EQ(1, ::read(fds[0], &letter, 1));
        return letter;
    }
    int fds[2];
};

/// Until `is_true()`; a loop that is never without work would look at its descriptors less often.
template <class F>
Coro<> until(F is_true) {
    while (!is_true()) {
        co_await sleep(1ms);
    }
}

TEST(WatchFd, AReaderIsCalledAsLongAsThereIsSomethingToRead) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        std::string got;
        Event is_empty;
        ends.put("a");
        ends.put("b");
        ends.put("c");
        loop.add_reader(ends.fds[0], [&](const std::string& prefix) {
            EXPECT_FALSE(current_task().has_value());
            got += prefix + ends.take();
            if (got.size() == 6) {
                is_empty.set();
            }
        }, std::string("-"));
        EXPECT_EQ("", got);
        co_await is_empty.wait();
        EXPECT_EQ("-a-b-c", got);
        EXPECT_TRUE(loop.remove_reader(ends.fds[0]));
        EXPECT_FALSE(loop.remove_reader(ends.fds[0]));
        ends.put("d");
        co_await turns();
        EXPECT_EQ("-a-b-c", got);
    });
}

TEST(WatchFd, WakesALoopThatSleepsAndSeesTheEnd) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        Event has_ended;
        loop.add_reader(ends.fds[0], [&] {
            char letter;
            if (::read(ends.fds[0], &letter, 1) == 0) {
                EXPECT_TRUE(loop.remove_reader(ends.fds[0]));
                has_ended.set();
            }
        });
        co_await turns();
        auto job = to_thread([&] { ::shutdown(ends.fds[1], SHUT_WR); });
        co_await std::move(job);
        co_await has_ended.wait();
    });
}

TEST(WatchFd, ASecondReaderReplacesTheFirst) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        std::string got;
        loop.add_reader(ends.fds[0], [&] { got += "first"; });
        loop.add_reader(ends.fds[0], [&] { got += ends.take(); });
        ends.put("x");
        const auto has_come = [&] { return !got.empty(); };
        co_await until(has_come);
        EXPECT_EQ("x", got);
        EXPECT_TRUE(loop.remove_reader(ends.fds[0]));
    });
}

TEST(WatchFd, AReaderAndAWriterOfOneDescriptorAreApart) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        int writable = 0;
        int readable = 0;
        loop.add_reader(ends.fds[0], [&] {
            ends.take();
            ++readable;
        });
        loop.add_writer(ends.fds[0], [&] {
            if (++writable == 3) {
                EXPECT_TRUE(loop.remove_writer(ends.fds[0]));
            }
        });
        const auto was_written = [&] { return writable == 3; };
        co_await until(was_written);
        EXPECT_EQ(3, writable);
        EXPECT_EQ(0, readable);
        ends.put("x");
        const auto was_read = [&] { return readable != 0; };
        co_await until(was_read);
        EXPECT_EQ(1, readable);
        EXPECT_EQ(3, writable);
        EXPECT_FALSE(loop.remove_writer(ends.fds[0]));
        EXPECT_TRUE(loop.remove_reader(ends.fds[0]));
    });
}

TEST(WatchFd, ARemovedReaderIsNotCalledAnyMoreAndMayComeBack) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        std::string got;
        ends.put("a");
        for (int delay = 0; delay < 6; ++delay) {
            loop.add_reader(ends.fds[0], [&] { got += '.'; });
            co_await turns(delay);
            EXPECT_TRUE(loop.remove_reader(ends.fds[0]));
            const std::string before = got;
            co_await turns(3);
            EXPECT_EQ(before, got);
        }
        loop.add_reader(ends.fds[0], [&] { got = ends.take(); });
        const auto is_taken = [&] { return got == "a"; };
        co_await until(is_taken);
        loop.remove_reader(ends.fds[0]);
    });
}

TEST(WatchFd, RunsInTheContextOfItsRegistration) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        ContextVar<int> number("number", 0);
        int seen = -1;
        number.set(7);
        loop.add_reader(ends.fds[0], [&] {
            ends.take();
            seen = number.get();
        });
        number.set(8);
        ends.put("x");
        const auto is_seen = [&] { return seen != -1; };
        co_await until(is_seen);
        EXPECT_EQ(7, seen);
        loop.remove_reader(ends.fds[0]);
    });
}

TEST(WatchFd, IsNoTaskThatAnybodySees) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        loop.add_reader(ends.fds[0], [] {});
        co_await turns();
        EXPECT_EQ(1U, all_tasks().size());
    });
}

TEST(WatchFd, AnErrorInTheCallbackIsReportedAndTheWatchGoesOn) {
    run_io([]() -> Coro<> {
        Ends ends;
        Loop& loop = get_running_loop();
        std::vector<std::string> messages;
        loop.set_exception_handler([&](const ExceptionContext& context) { messages.push_back(context.message); });
        loop.add_reader(ends.fds[0], [&] {
            ends.take();
            throw ValueError("oh");
        });
        ends.put("a");
        ends.put("b");
        const auto are_reported = [&] { return messages.size() >= 2; };
        co_await until(are_reported);
        EXPECT_EQ(2U, messages.size());
        loop.remove_reader(ends.fds[0]);
        loop.set_exception_handler({});
    });
}

TEST(WatchFd, WhatIsNoDescriptorIsRefused) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        EXPECT_THROW(loop.add_reader(-1, [] {}), ValueError);
        try {
            loop.add_writer(100000, [] {});
            ADD_FAILURE() << "watched";
        } catch (const std::system_error& error) {
            EXPECT_EQ(EBADF, error.code().value());
        }
        EXPECT_FALSE(loop.remove_reader(100000));
        co_return;
    });
}

TEST(WatchFd, EndsWithTheRunAndLeavesTheDescriptorOpen) {
    Ends ends;
    const std::size_t before = open_descriptors();
    run_io([&]() -> Coro<> {
        get_running_loop().add_reader(ends.fds[0], [] { ADD_FAILURE() << "never"; });
        get_running_loop().add_writer(ends.fds[0], [] {});
        co_await turns();
    });
    EXPECT_EQ(before, open_descriptors());
    EXPECT_NE(-1, fcntl(ends.fds[0], F_GETFD));
}

}  // namespace
}  // namespace knit::test
