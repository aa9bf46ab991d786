// Unix stream sockets: their names and their files.
#include "knit/io/unix.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::UnixListener;
using io::UnixStream;

/// A directory of its own, removed in the end.
class Directory {
public:
    Directory() {
        char name[] = "/tmp/knit-unix-XXXXXX";
        path_ = mkdtemp(name);
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    std::filesystem::path operator/(const char* name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

Coro<> expect_talk(UnixListener& listener, std::filesystem::path path) {
    UnixStream near = co_await UnixStream::connect(std::move(path));
    UnixStream far = co_await listener.accept();
    co_await near.write("ping");
    near.shutdown();
    char buffer[8];
    EXPECT_EQ(4U, co_await far.read_exactly(std::span<char>(buffer, 4)));
    EXPECT_EQ("ping", std::string(buffer, 4));
    EXPECT_EQ(0U, co_await far.read_some(buffer));
    co_await far.write("pong");
    EXPECT_EQ(4U, co_await near.read_some(buffer));
}

TEST(Unix, TalksOverAFile) {
    const std::size_t before = open_descriptors();
    Directory directory;
    run_io([&]() -> Coro<> {
        UnixListener listener = UnixListener::bind(directory / "s");
        EXPECT_EQ(directory / "s", listener.local_path());
        co_await expect_talk(listener, directory / "s");
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(Unix, TalksOverAnAbstractNameThatIsNoFile) {
    run_io([]() -> Coro<> {
        const std::string name = "@knit-unix-test-" + std::to_string(getpid());
        UnixListener listener = UnixListener::bind(name);
        EXPECT_EQ(name, listener.local_path());
        EXPECT_FALSE(std::filesystem::exists(name));
        co_await expect_talk(listener, name);
        std::string behind_nul = name;
        behind_nul[0] = '\0';
        co_await expect_talk(listener, behind_nul);
        try {
            UnixListener::bind(name);
            ADD_FAILURE() << "bound twice";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::address_in_use, error.code());
            EXPECT_NE(std::string::npos, std::string(error.what()).find("unix:" + name)) << error.what();
        }
    });
}

TEST(Unix, APairIsConnected) {
    run_io([]() -> Coro<> {
        auto [near, far] = UnixStream::pair();
        UnixStream reader = std::move(near);
        co_await far.write("x");
        char buffer[8];
        EXPECT_EQ(1U, co_await reader.read_some(buffer));
        EXPECT_EQ("", reader.local_path());
        EXPECT_EQ("", reader.peer_path());
        EXPECT_EQ(0, reader.peer_endpoint().port());
        EXPECT_EQ("", reader.local_endpoint().host());
        EXPECT_EQ(getpid(), reader.peer_credentials().pid);
        EXPECT_EQ(getuid(), reader.peer_credentials().uid);
    });
}

TEST(Unix, TheFileGoesWhenTheListenerIsClosedEvenWithAnAcceptInFlight) {
    Directory directory;
    run_io([&]() -> Coro<> {
        UnixListener listener = UnixListener::bind(directory / "s");
        auto accepting = create_task(listener.accept());
        co_await turns();
        EXPECT_TRUE(std::filesystem::exists(directory / "s"));
        listener.close();
        EXPECT_FALSE(std::filesystem::exists(directory / "s"));
        EXPECT_THROW(co_await accepting, std::system_error);
    });
}

TEST(Unix, TheFileGoesWithTheObjectAndMovesWithIt) {
    Directory directory;
    {
        UnixListener listener = UnixListener::bind(directory / "s");
        UnixListener other = std::move(listener);
        listener.close();  // NOLINT(bugprone-use-after-move): it has neither
        EXPECT_TRUE(std::filesystem::exists(directory / "s"));
        other = UnixListener::bind(directory / "t");
        EXPECT_FALSE(std::filesystem::exists(directory / "s"));
    }
    EXPECT_FALSE(std::filesystem::exists(directory / "t"));
}

TEST(Unix, TheFileStaysOnRequestOrWhenSomebodyHasReplacedIt) {
    Directory directory;
    {
        UnixListener kept = UnixListener::bind(directory / "kept", {.remove_file = false});
        UnixListener first = UnixListener::bind(directory / "s");
        UnixListener second = UnixListener::bind(directory / "s");
        first.close();
        EXPECT_TRUE(std::filesystem::exists(directory / "s"));
    }
    EXPECT_TRUE(std::filesystem::exists(directory / "kept"));
    EXPECT_FALSE(std::filesystem::exists(directory / "s"));
}

TEST(Unix, ASocketFileThatWasLeftIsReplacedAndAnyOtherFileIsNot) {
    Directory directory;
    UnixListener::bind(directory / "left", {.remove_file = false}).close();
    run_io([&]() -> Coro<> {
        UnixListener listener = UnixListener::bind(directory / "left");
        co_await expect_talk(listener, directory / "left");
    });
    std::ofstream(directory / "file") << "precious";
    try {
        UnixListener::bind(directory / "file");
        ADD_FAILURE() << "bound over a file";
    } catch (const std::system_error& error) {
        EXPECT_EQ(std::errc::address_in_use, error.code());
    }
    EXPECT_EQ(8U, std::filesystem::file_size(directory / "file"));
}

Coro<std::error_code> error_of_connect(std::filesystem::path path, std::string& what) {
    try {
        co_await UnixStream::connect(std::move(path));
    } catch (const std::system_error& error) {
        what = error.what();
        co_return error.code();
    }
    co_return std::error_code();
}

TEST(Unix, AConnectionThatCannotBeNamesOperationAndPath) {
    Directory directory;
    const std::size_t before = open_descriptors();
    UnixListener::bind(directory / "left", {.remove_file = false}).close();
    run_io([&]() -> Coro<> {
        std::string what;
        EXPECT_EQ(std::errc::no_such_file_or_directory, co_await error_of_connect(directory / "none", what));
        EXPECT_NE(std::string::npos, what.find("connect unix:" + (directory / "none").string())) << what;
        EXPECT_EQ(std::errc::connection_refused, co_await error_of_connect(directory / "left", what));
        EXPECT_NE(std::string::npos, what.find("connect unix:" + (directory / "left").string())) << what;
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(Unix, APathThatCannotBeOneSaysWhatToDo) {
    Directory directory;
    std::string longest = (directory / "x").string();
    longest.resize(107, 'x');
    EXPECT_NO_THROW(UnixListener::bind(longest));
    try {
        UnixListener::bind(longest + "y");
        ADD_FAILURE() << "bound";
    } catch (const ValueError& error) {
        EXPECT_NE(std::string::npos, std::string(error.what()).find("at most 107 bytes")) << error.what();
    }
    EXPECT_NO_THROW(UnixListener::bind("@" + std::to_string(getpid()) + std::string(90, 'x')));
    EXPECT_THROW(UnixListener::bind(std::string("a\0b", 3)), ValueError);
    EXPECT_THROW(UnixListener::bind(""), ValueError);
    run_io([]() -> Coro<> {
        auto connecting = UnixStream::connect("");
        EXPECT_THROW(co_await std::move(connecting), ValueError);
    });
}

TEST(Unix, AConnectWaitsForAFullQueueAndIsCancelledThere) {
    Directory directory;
    run_io([&]() -> Coro<> {
        UnixListener listener = UnixListener::bind(directory / "s", {.backlog = 0});
        UnixStream first = co_await UnixStream::connect(directory / "s");
        const std::size_t before = open_descriptors();
        auto cancelled = create_task(UnixStream::connect(directory / "s"));
        auto waiting = create_task(UnixStream::connect(directory / "s"));
        co_await turns(20);
        EXPECT_FALSE(cancelled.done());
        EXPECT_FALSE(waiting.done());
        cancelled.cancel();
        EXPECT_THROW(co_await cancelled, CancelledError);
        EXPECT_EQ(before + 1, open_descriptors());
        UnixStream first_far = co_await listener.accept();
        UnixStream second_far = co_await listener.accept();
        UnixStream second = co_await wait_for(waiting, 30s);
        co_await second_far.write("x");
        char buffer[8];
        EXPECT_EQ(1U, co_await second.read_some(buffer));
    });
}

TEST(Unix, ACancelledAcceptLosesNoConnection) {
    Directory directory;
    run_io([&]() -> Coro<> {
        UnixListener listener = UnixListener::bind(directory / "s");
        const std::size_t before = open_descriptors();
        for (int i = 0; i < 10; ++i) {
            auto accepting = create_task(listener.accept());
            co_await turns(i);
            accepting.cancel();
            EXPECT_THROW(co_await accepting, CancelledError);
        }
        EXPECT_EQ(before, open_descriptors());
        co_await expect_talk(listener, directory / "s");
    });
}

}  // namespace
}  // namespace knit::test
