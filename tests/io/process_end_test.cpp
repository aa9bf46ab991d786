// Who ends a program, and what is left of it.

#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "process_test.hpp"
#include "spawn.hpp"

namespace knit::test {
namespace {

TEST(Process, ACancelledStartLeavesNoProcess) {
    run_io([]() -> Coro<> {
        const std::size_t before = open_descriptors();
        for (int round = 0; round < 12; ++round) {
            Task<Process> starting = create_task(start({"sleep", "100"}, with(PIPE, PIPE)));
            co_await turns(round);
            if (round > 8) {
                co_await sleep(2ms);
            }
            starting.cancel();
            Result<Process> started = co_await as_result(std::move(starting));
            if (started) {
                started.value().kill();
                co_await started.value().wait();
            }
        }
        while (!has_no_children()) {
            co_await sleep(1ms);  // the one that is being killed by the pool
        }
        while (open_descriptors() != before) {
            co_await sleep(1ms);  // those of jobs that end now
        }
    });
}

TEST(Process, ThatIsDroppedGoesOnAndIsReaped) {
    const Logged logged;
    run_io([]() -> Coro<> {
        int pid = 0;
        {
            Process process = co_await start(words("cat"), with(PIPE, DEVNULL));
            pid = process.pid();
            EXPECT_FALSE(is_gone(pid));
        }
        while (!is_gone(pid)) {  // its input has ended with the Process
            co_await sleep(1ms);
        }
    });
    EXPECT_EQ("", logged.text());
    EXPECT_TRUE(has_no_children());
}

TEST(Process, ThatStillRunsAtTheEndOfTheRunIsKilledAndReaped) {
    int pid = 0;
    run_io([&]() -> Coro<> {
        Process process = co_await start(words("sleep 100"));
        pid = process.pid();
        EXPECT_EQ(1U, all_tasks().size());  // its watcher is nobody's
    });
    EXPECT_TRUE(is_gone(pid));
    EXPECT_TRUE(has_no_children());
}

TEST(Process, TheProgramsOwnChildrenAreLeftAlone) {
    run_io([]() -> Coro<> {
        const pid_t own = ::fork();
        if (own == 0) {
            _exit(5);
        }
        Process process = co_await start(words("true"));
        EXPECT_EQ(0, co_await process.wait());
        int status = 0;
        EXPECT_EQ(own, waitpid(own, &status, 0));
        EXPECT_EQ(5, WEXITSTATUS(status));
    });
}

TEST(Process, ThatSomebodyElseReapedEndsWith255) {
    const Logged logged;
    const auto before = std::signal(SIGCHLD, SIG_IGN);
    run_io([]() -> Coro<> {
        Process process = co_await start(words("sleep 0.05"));
        EXPECT_EQ(255, co_await process.wait());
    });
    std::signal(SIGCHLD, before);
    EXPECT_NE(std::string::npos, logged.text().find("255")) << logged.text();
}

// Its number may be another process's by then.
TEST(Process, ThatSomebodyElseReapedBeforeItWasWatchedIsNotKilled) {
    const auto before = std::signal(SIGCHLD, SIG_IGN);
    const pid_t gone = ::fork();
    if (gone == 0) {
        _exit(0);
    }
    EXPECT_EQ(-1, waitpid(gone, nullptr, 0));  // until the kernel has reaped it
    std::signal(SIGCHLD, before);
    detail::Child child(gone);
    EXPECT_EQ(gone, child.pid());
    EXPECT_FALSE(child.release());
}

TEST(Process, IsWaitedForAndKilledFromAnyLoop) {
    run_io(
        []() -> Coro<> {
            Process process = co_await start(words("sleep 100"));
            Task<int> elsewhere = get_runtime().loop(1).create_task(process.wait());
            const auto kill = [&]() -> Coro<> {
                process.kill();
                co_return;
            };
            co_await get_runtime().loop(2).create_task(kill());
            EXPECT_EQ(-SIGKILL, co_await elsewhere);
            EXPECT_EQ(-SIGKILL, co_await process.wait());
        },
        3);
}

TEST(Process, ManyAtATimeLeaveNothing) {
    run_io([]() -> Coro<> {
        const std::size_t before = open_descriptors();
        const auto one = [](int code) -> Coro<int> {
            Process process = co_await create_subprocess_shell("cat >/dev/null; exit " + std::to_string(code),
                                                               with(PIPE, PIPE));
            static_cast<void>(co_await process.communicate("x"));
            co_return process.returncode().value();
        };
        std::vector<Task<int>> all;
        for (int code = 0; code < 40; ++code) {
            all.push_back(create_task(one(code)));
        }
        const std::vector<int> codes = co_await gather(std::move(all));
        for (int code = 0; code < 40; ++code) {
            EXPECT_EQ(code, codes[static_cast<std::size_t>(code)]);
        }
        co_await turns();
        EXPECT_EQ(before, open_descriptors());
        EXPECT_TRUE(has_no_children());
    });
}

TEST(Process, ACancelledCommunicateLeavesNoTaskBehind) {
    run_io([]() -> Coro<> {
        Process process = co_await start(words("sleep 100"), with(PIPE, PIPE));
        const std::string much(1 << 20, 'x');
        Task<ProcessOutput> talking = create_task(process.communicate(much));
        co_await turns();
        talking.cancel();
        Result<ProcessOutput> output = co_await as_result(std::move(talking));
        EXPECT_FALSE(output);
        EXPECT_EQ(1U, all_tasks().size());
        EXPECT_FALSE(process.returncode());
        process.kill();
        EXPECT_EQ(-SIGKILL, co_await process.wait());
    });
}

TEST(Process, AFailedCommunicateLeavesNoTaskBehind) {
    run_io([]() -> Coro<> {
        Process process = co_await start(words("sleep 100"), with(PIPE, PIPE, PIPE));
        const auto read = [&]() -> Coro<> { static_cast<void>(co_await process.out().read()); };
        Task<> reading = create_task(read());  // there can be one reader only
        co_await turns();
        const std::string much(1 << 20, 'x');
        auto talking = process.communicate(much);
        Result<ProcessOutput> output = co_await as_result(std::move(talking));
        EXPECT_FALSE(output);
        EXPECT_EQ(2U, all_tasks().size());  // none that writes on, with what is the Process's
        process.kill();
        EXPECT_EQ(-SIGKILL, co_await process.wait());
        static_cast<void>(co_await as_result(std::move(reading)));
    });
}

/// This thread may not send signals to the programs that it starts, as if they were set-uid ones. Only for root.
class WithoutKill {
public:
    WithoutKill() { set(kNobody); }
    WithoutKill(const WithoutKill&) = delete;
    ~WithoutKill() { set(0); }

private:
    static constexpr uid_t kNobody = 65534;
    // Of the thread alone, which the C library's function is not.
    static void set(uid_t user) { ASSERT_EQ(0, syscall(SYS_setresuid, user, user, -1)); }
};

TEST(Process, ThatCannotBeKilledDoesNotKeepTheRunFromEnding) {
    if (getuid() != 0) {
        GTEST_SKIP() << "only root can take its own right to kill away";
    }
    const Logged logged;
    std::optional<WithoutKill> user;
    int pid = 0;
    run_io([&]() -> Coro<> {
        Process process = co_await start(words("sleep 100"));
        pid = process.pid();
        user.emplace();
    });
    user.reset();
    EXPECT_NE(std::string::npos, logged.text().find("cannot be killed")) << logged.text();
    EXPECT_EQ(0, ::kill(pid, SIGKILL));
    EXPECT_EQ(pid, waitpid(pid, nullptr, 0));
}

TEST(Process, ThatIsLostAndCannotBeKilledBlocksNobody) {
    if (getuid() != 0) {
        GTEST_SKIP() << "only root can take its own right to kill away";
    }
    const Logged logged;
    detail::SpawnRequest request;
    request.argv = {"sleep", "100"};
    pid_t pid = 0;
    {
        detail::Child child = detail::spawn(request);
        pid = child.pid();
        const WithoutKill user;
        const detail::Child lost = std::move(child);
    }
    EXPECT_NE(std::string::npos, logged.text().find("cannot be killed")) << logged.text();
    EXPECT_EQ(0, ::kill(pid, SIGKILL));
    EXPECT_EQ(pid, waitpid(pid, nullptr, 0));
}

TEST(Process, ACancelledCommunicateLeavesTheProcessUsable) {
    run_io([]() -> Coro<> {
        Process process = co_await start(words("cat"), with(PIPE, PIPE));
        process.in().write("x");
        const auto read = [&]() -> Coro<> { static_cast<void>(co_await process.out().read()); };
        Task<> reading = create_task(read());
        co_await turns();
        reading.cancel();
        static_cast<void>(co_await as_result(std::move(reading)));
        process.kill();
        EXPECT_EQ(-SIGKILL, co_await process.wait());
    });
}

}  // namespace
}  // namespace knit::test
