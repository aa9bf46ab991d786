#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "driver.hpp"
#include "io_test.hpp"

namespace knit::test {
namespace {

/// What a child came to: its status, and what it wrote to its standard error.
struct Ended {
    int status = 0;
    std::string text;
};

/// Forks, has the child do `what` and leave with 0.
template <class F>
Ended in_child(F what) {
    int ends[2];
    EXPECT_EQ(0, ::pipe(ends));
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        ::close(ends[0]);
        ::close(ends[1]);
        what();
        _exit(0);
    }
    ::close(ends[1]);
    Ended ended;
    char buffer[512];
    for (ssize_t count = 1; count > 0;) {
        count = ::read(ends[0], buffer, sizeof buffer);
        ended.text.append(buffer, static_cast<std::size_t>(count > 0 ? count : 0));
    }
    ::close(ends[0]);
    EXPECT_EQ(child, waitpid(child, &ended.status, 0));
    return ended;
}

void expect_loud_end(const Ended& ended) {
    EXPECT_TRUE(WIFSIGNALED(ended.status)) << ended.status;
    EXPECT_EQ(SIGABRT, WTERMSIG(ended.status));
    EXPECT_NE(std::string::npos, ended.text.find("create_subprocess_exec()")) << ended.text;
    EXPECT_NE(std::string::npos, ended.text.find("before run()")) << ended.text;
}

/// Tells the parent on standard error, and by the status, that `call` threw a RuntimeError.
template <class F>
void expect_refusal(F call) {
    try {
        call();
    } catch (const RuntimeError& error) {
        std::fputs(error.what(), stderr);
        _exit(7);
    }
}

void expect_refused(const Ended& ended) {
    EXPECT_TRUE(WIFEXITED(ended.status)) << ended.status;
    EXPECT_EQ(7, WEXITSTATUS(ended.status)) << ended.text;
    EXPECT_NE(std::string::npos, ended.text.find("create_subprocess_exec()")) << ended.text;
}

TEST(Fork, AChildThatOnlyLeavesOrExecutesIsUnharmed) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Ended ended = in_child([] {});
        EXPECT_EQ(0, ended.status) << ended.text;
        ended = in_child([] { execl("/bin/sh", "sh", "-c", "exit 3", nullptr); });
        EXPECT_EQ(3, WEXITSTATUS(ended.status));
        co_await pair.near.write("still");  // the parent goes on
        char text[8];
        EXPECT_EQ(5U, co_await pair.far.read_some(text));
    });
}

TEST(Fork, AChildThatGoesOnInTheLoopEndsLoudly) {
    run_io([]() -> Coro<> {
        expect_loud_end(in_child([] {
            // As if the child returned into the coroutine: the loop's next turn.
            get_running_loop().worker().turn();
        }));
        co_return;
    });
}

/// Forks and, in the child, awaits `what`; gives the child's id, to the parent.
template <class A>
Coro<pid_t> fork_and_await(int error_end, A what) {
    const pid_t child = fork();
    if (child == 0) {
        dup2(error_end, 2);
        co_await what();
        _exit(0);
    }
    co_return child;
}

template <class A>
Coro<Ended> awaited_in_child(A what) {
    int ends[2];
    EXPECT_EQ(0, ::pipe(ends));
    const pid_t child = co_await fork_and_await(ends[1], what);
    ::close(ends[1]);
    Ended ended;
    char buffer[512];
    for (ssize_t count = 1; count > 0;) {
        count = ::read(ends[0], buffer, sizeof buffer);
        ended.text.append(buffer, static_cast<std::size_t>(count > 0 ? count : 0));
    }
    ::close(ends[0]);
    EXPECT_EQ(child, waitpid(child, &ended.status, 0));
    co_return ended;
}

TEST(Fork, AnAwaitInAChildEndsLoudly) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const auto read = [&]() -> Coro<> {
            char text[4];
            co_await pair.near.read_some(text);
        };
        const auto nap = []() -> Coro<> { co_await sleep(1ms); };
        const auto turn = []() -> Coro<> { co_await yield(); };
        expect_loud_end(co_await awaited_in_child(read));
        expect_loud_end(co_await awaited_in_child(nap));
        expect_loud_end(co_await awaited_in_child(turn));
        co_await pair.far.write("late");
        char text[8];
        EXPECT_EQ(4U, co_await pair.near.read_some(text));  // the child's read has not touched it
    });
}

TEST(Fork, AMessageToALoopEndsTheChildLoudly) {
    run_io(
        []() -> Coro<> {
            Loop& other = get_runtime().loop(1);
            co_await sleep(1ms);
            auto job = to_thread([&] {
                return in_child([&] {
                    for (;;) {
                        other.call_soon_threadsafe([] {});
                        other.worker().driver().wake();
                    }
                });
            });
            expect_loud_end(co_await std::move(job));
        },
        2);
}

TEST(Fork, ARunInAChildIsRefused) {
    run_io([]() -> Coro<> {
        expect_refused(in_child([] { expect_refusal([] { run_io([]() -> Coro<> { co_return; }); }); }));
        auto job = to_thread([] {
            return in_child([] { expect_refusal([] { run_io([]() -> Coro<> { co_return; }); }); });
        });
        expect_refused(co_await std::move(job));
        auto loopless = to_thread([] {
            return in_child([] { expect_refusal([] { static_cast<void>(get_running_loop()); }); });
        });
        expect_refused(co_await std::move(loopless));
    });
}

TEST(Fork, BeforeAndAfterARunIsFine) {
    run_io([]() -> Coro<> { co_return; });
    const Ended ended = in_child([] {
        run_io([]() -> Coro<> { co_await sleep(1ms); }, 2);
    });
    EXPECT_EQ(0, ended.status) << ended.text;
}

TEST(Fork, ASignalInAChildDoesWhatItDoesWithoutKnit) {
    if (KNIT_TSAN) {
        GTEST_SKIP() << "ThreadSanitizer keeps a signal back until the thread's next call, which is _exit() here";
    }
    run_io([]() -> Coro<> {
        auto waiting = signal_wait(SIGTERM);
        const Ended ended = in_child([] {
            raise(SIGTERM);
            _exit(0);
        });
        EXPECT_TRUE(WIFSIGNALED(ended.status));
        EXPECT_EQ(SIGTERM, WTERMSIG(ended.status));
        co_return;
    });
}

}  // namespace
}  // namespace knit::test
