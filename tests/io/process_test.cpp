#include "process_test.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace knit::test {
namespace {

TEST(Process, CommunicatesAndEnds) {
    const Logged logged;
    run_io([]() -> Coro<> {
        const std::size_t before = open_descriptors();
        {
            Process process = co_await start(words("cat"), with(PIPE, PIPE));
            EXPECT_GT(process.pid(), 0);
            ProcessOutput output = co_await process.communicate("some data");
            EXPECT_EQ("some data", output.out);
            EXPECT_FALSE(output.err);
            EXPECT_EQ(0, process.returncode());
        }
        co_await turns();
        EXPECT_EQ(before, open_descriptors());
    });
    EXPECT_EQ("", logged.text());
    EXPECT_TRUE(has_no_children());
}

TEST(Process, WaitGivesTheExitCode) {
    run_io([]() -> Coro<> {
        Process process = co_await create_subprocess_shell("exit 7");
        EXPECT_FALSE(process.returncode());
        EXPECT_EQ(7, co_await process.wait());
        EXPECT_EQ(7, process.returncode());
        EXPECT_EQ(7, co_await process.wait());
    });
}

TEST(Process, ASignalsNumberIsTheReturnCodeBelowZero) {
    run_io([]() -> Coro<> {
        for (const int signal : {SIGKILL, SIGTERM, SIGHUP}) {
            Process process = co_await start(words("sleep 100"));
            process.send_signal(signal);
            EXPECT_EQ(-signal, co_await process.wait());
            EXPECT_TRUE(is_gone(process.pid()));
        }
        Process killed = co_await start(words("sleep 100"));
        killed.kill();
        EXPECT_EQ(-SIGKILL, co_await killed.wait());
        Process ended = co_await start(words("sleep 100"));
        ended.terminate();
        EXPECT_EQ(-SIGTERM, co_await ended.wait());
        try {
            ended.kill();
            ADD_FAILURE() << "sent";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::no_such_process, error.code());
        }
    });
}

TEST(Process, ACancelledWaitLeavesTheProcess) {
    run_io([]() -> Coro<> {
        Process process = co_await start(words("sleep 100"));
        Task<int> waiting = create_task(process.wait());
        co_await turns(2);
        waiting.cancel();
        Result<int> waited = co_await as_result(waiting);
        EXPECT_FALSE(waited);
        EXPECT_FALSE(process.returncode());
        process.kill();
        EXPECT_EQ(-SIGKILL, co_await process.wait());
    });
}

TEST(Process, OutputIsReadAfterTheEnd) {
    run_io([]() -> Coro<> {
        ProcessOptions options = with(Stdio::INHERIT, PIPE);
        options.limit = 1024;
        Process process = co_await create_subprocess_shell("head -c 200000 /dev/zero; exit 1", options);
        std::size_t count = 0;
        for (;;) {
            const std::string bytes = co_await process.out().read(65536);
            if (bytes.empty()) {
                break;
            }
            count += bytes.size();
            co_await yield();
        }
        EXPECT_EQ(200000U, count);
        EXPECT_EQ(1, co_await process.wait());
        Process little = co_await create_subprocess_shell("echo late", options);
        EXPECT_EQ(0, co_await little.wait());
        EXPECT_EQ("late\n", co_await little.out().read());
    });
}

TEST(Process, ALotOfDataGoesBothWays) {
    run_io([]() -> Coro<> {
        std::string text;
        for (int line = 0; line < 300000; ++line) {
            text += std::to_string(line) + "\n";
        }
        Process process = co_await start(words("cat"), with(PIPE, PIPE));
        ProcessOutput output = co_await process.communicate(text);
        EXPECT_TRUE(output.out == text);
        EXPECT_EQ(0, process.returncode());
    });
}

TEST(Process, AProgramThatDoesNotReadItsInputIsNoError) {
    const Logged logged;
    run_io([]() -> Coro<> {
        const std::string text(2000000, 'x');
        Process process = co_await create_subprocess_shell("exec 0<&-; exit 3", with(PIPE, PIPE));
        ProcessOutput output = co_await process.communicate(text);
        EXPECT_EQ("", output.out);
        EXPECT_EQ(3, process.returncode());
    });
    EXPECT_EQ("", logged.text());
}

TEST(Process, WithoutInputItsInputEndsAtOnce) {
    run_io([]() -> Coro<> {
        Process empty = co_await start(words("wc -c"), with(PIPE, PIPE));
        ProcessOutput output = co_await empty.communicate("");
        EXPECT_EQ("0\n", output.out);
        Process none = co_await start(words("wc -c"), with(PIPE, PIPE));
        output = co_await none.communicate();
        EXPECT_EQ("0\n", output.out);
    });
}

TEST(Process, ErrorOutputGoesWhereItIsSent) {
    run_io([]() -> Coro<> {
        EXPECT_EQ("out\nerr\n0", co_await output_of("echo out; echo err >&2", with(Stdio::INHERIT, PIPE, STDOUT)));
        Process apart =
            co_await create_subprocess_shell("echo out; echo err >&2", with(DEVNULL, PIPE, PIPE));
        ProcessOutput output = co_await apart.communicate();
        EXPECT_EQ("out\n", output.out);
        EXPECT_EQ("err\n", output.err);
        EXPECT_EQ("0", co_await output_of("cat; echo lost >&2", with(DEVNULL, PIPE, DEVNULL)));
    });
}

TEST(Process, StreamsAreInteractive) {
    run_io([]() -> Coro<> {
        Process process = co_await start(words("cat"), with(PIPE, PIPE));
        for (int round = 0; round < 10; ++round) {
            const std::string line = "line " + std::to_string(round) + "\n";
            process.in().write(line);
            EXPECT_EQ(line, co_await process.out().readline());
        }
        process.in().close();
        EXPECT_EQ("", co_await process.out().read());
        EXPECT_EQ(0, co_await process.wait());
        EXPECT_THROW(static_cast<void>(process.err()), RuntimeError);
    });
}

Coro<int> error_of_start(Argv argv, ProcessOptions options, std::string part) {
    try {
        Process process = co_await start(std::move(argv), std::move(options));
        ADD_FAILURE() << "started";
    } catch (const std::system_error& error) {
        EXPECT_NE(std::string::npos, std::string(error.what()).find(part)) << error.what();
        co_return error.code().value();
    }
    co_return 0;
}

TEST(Process, WhatCannotBeStartedIsAnErrorOfTheCall) {
    run_io([]() -> Coro<> {
        const std::size_t before = open_descriptors();
        EXPECT_EQ(ENOENT, co_await error_of_start(words("/no/such/program"), with(PIPE, PIPE), "'/no/such/program'"));
        EXPECT_EQ(ENOENT, co_await error_of_start(words("no-such-program-at-all"), {}, "'no-such-program-at-all'"));
        EXPECT_EQ(EACCES, co_await error_of_start(words("/etc/passwd"), {}, "'/etc/passwd'"));
        ProcessOptions elsewhere;
        elsewhere.cwd = "/no/such/directory";
        EXPECT_EQ(ENOENT, co_await error_of_start(words("true"), elsewhere, "in directory '/no/such/directory'"));
        EXPECT_EQ(before, open_descriptors());
        EXPECT_TRUE(has_no_children());
    });
}

TEST(Process, ArgumentsThatCannotBeAreRefused) {
    run_io([]() -> Coro<> {
        EXPECT_THROW(static_cast<void>(start({})), ValueError);
        EXPECT_THROW(static_cast<void>(start({std::string("a\0b", 3)})), ValueError);
        EXPECT_THROW(static_cast<void>(start({"true"}, with(STDOUT, PIPE))), ValueError);
        ProcessOptions options;
        options.env.emplace();
        options.env->emplace("A=B", "C");
        EXPECT_THROW(static_cast<void>(start({"true"}, options)), ValueError);
        options = {};
        options.limit = 0;
        EXPECT_THROW(static_cast<void>(start({"true"}, options)), ValueError);
        co_return;
    });
}

TEST(Process, HasTheEnvironmentDirectoryAndSessionThatWereAskedFor) {
    run_io([]() -> Coro<> {
        ProcessOptions options;
        options.env.emplace();
        options.env->emplace("COLOUR", "green");
        EXPECT_EQ("green0", co_await output_of("printf %s \"$COLOUR$HOME\"", options));
        options = {};
        options.cwd = "/usr";
        EXPECT_EQ("/usr\n0", co_await output_of("pwd", options));
        options = {};
        options.start_new_session = true;
        options.out = PIPE;
        const Argv show_session = {"sh", "-c", "ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat"};
        Process process = co_await start(show_session, options);
        ProcessOutput output = co_await process.communicate();
        EXPECT_EQ(process.pid(), std::atoi(output.out.value().c_str()));
    });
}

TEST(Process, IsLookedForInThePathOfItsOwnEnvironment) {
    std::string folder = (std::filesystem::temp_directory_path() / "knit-path-XXXXXX").native();
    ASSERT_NE(nullptr, mkdtemp(folder.data()));
    std::filesystem::copy_file("/bin/true", folder + "/knit-own-program");
    run_io([&]() -> Coro<> {
        ProcessOptions options;
        options.env.emplace();
        options.env->emplace("PATH", "/nowhere:" + folder);
        Process process = co_await start(words("knit-own-program"), options);
        EXPECT_EQ(0, co_await process.wait());
    });
    std::filesystem::remove_all(folder);
}

TEST(Process, ClosingOneInputIsSeenThoughOthersRun) {
    run_io([]() -> Coro<> {
        std::vector<Process> processes;
        for (int index = 0; index < 3; ++index) {
            Process process = co_await start(words("cat"), with(PIPE, PIPE));
            processes.push_back(std::move(process));
        }
        processes[0].in().write("abc");
        processes[0].in().close();
        EXPECT_EQ("abc", co_await wait_for(processes[0].out().read(), 20s));
        processes[1].kill();
        processes[2].kill();
        EXPECT_EQ(0, co_await processes[0].wait());
        EXPECT_EQ(-SIGKILL, co_await processes[1].wait());
        EXPECT_EQ(-SIGKILL, co_await processes[2].wait());
    });
}

TEST(Process, InheritsNoDescriptorsAndNoSignalSettingsButNohups) {
    const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    const auto hangup = std::signal(SIGHUP, SIG_IGN);  // nohup's promise, which holds for children too
    sigset_t blocked;
    sigset_t mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Process process = co_await start(words("ls /proc/self/fd"), with(Stdio::INHERIT, PIPE));
        ProcessOutput listed = co_await process.communicate();
        EXPECT_EQ("0\n1\n2\n3\n", listed.out);  // 3 is the directory that it lists
        const std::string blocked_bits = co_await output_of("grep SigBlk /proc/self/status | cut -f2");
        EXPECT_EQ("0000000000000000\n0", blocked_bits);
        const std::string ignored_bits = co_await output_of("grep SigIgn /proc/self/status | cut -f2");
        constexpr unsigned long kOfTheLibrary = 3UL << 31;  // 32 and 33, which the C library keeps for itself
        constexpr unsigned long kHangup = 1UL << (SIGHUP - 1);
        EXPECT_EQ(kHangup, std::stoul(ignored_bits, nullptr, 16) & ~kOfTheLibrary) << ignored_bits;
    });
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    std::signal(SIGPIPE, before);
    std::signal(SIGHUP, hangup);
    ::close(leaked);
}

}  // namespace
}  // namespace knit::test
