#include "knit/io/file.hpp"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::File;
using io::FileStatus;

/// A directory of the test's own, which goes with everything in it.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "knit-file-XXXXXX").native();
        path_ = mkdtemp(name.data());
    }
    Folder(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }
    std::filesystem::path operator/(const char* name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// The errno that a coroutine ends with, and that what() names `part`.
Coro<int> error_of(Coro<> body, std::string part) {
    try {
        co_await std::move(body);
    } catch (const std::system_error& error) {
        EXPECT_NE(std::string::npos, std::string(error.what()).find(part)) << error.what();
        EXPECT_EQ(&std::generic_category(), &error.code().category());
        co_return error.code().value();
    }
    co_return 0;
}

Coro<> open_only(std::filesystem::path path, int flags) { static_cast<void>(co_await File::open(path, flags)); }

TEST(File, WritesAndReadsAtItsOwnPositionAndAtOffsets) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        File file = co_await File::open(folder / "a", O_RDWR | O_CREAT);
        EXPECT_EQ(5U, co_await file.write("hello"));
        EXPECT_EQ(6U, co_await file.write(" world"));
        EXPECT_EQ(1U, co_await file.write_at("J", 0));
        char text[32];
        EXPECT_EQ(0U, co_await file.read(text));
        EXPECT_EQ(11U, co_await file.read_at(text, 0));
        EXPECT_EQ("Jello world", std::string(text, 11));
        EXPECT_EQ(5U, co_await file.read_at(std::span(text), 6));
        EXPECT_EQ("world", std::string(text, 5));
        co_await file.close();
        EXPECT_FALSE(file.is_open());
        co_await file.close();
        File again = co_await File::open(folder / "a");
        EXPECT_EQ("Jello world", co_await again.read_all());
    });
}

TEST(File, AppendsAtTheEndWhereverThePositionIs) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        File one = co_await File::open(folder / "a", "w+");
        File two = co_await File::open(folder / "a", "a");
        EXPECT_EQ(3U, co_await one.append("one"));
        EXPECT_EQ(3U, co_await two.write("two"));
        EXPECT_EQ(5U, co_await one.append("three"));
        EXPECT_EQ("onetwothree", co_await io::read_file(folder / "a"));
    });
}

TEST(File, ReadsOnAtTheEndAfterAppending) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        co_await io::write_file(folder / "a", "one");
        File file = co_await File::open(folder / "a", "a+");
        EXPECT_EQ("", co_await file.read_all());
        co_await file.write("two");
        EXPECT_EQ("", co_await file.read_all());
        EXPECT_EQ("onetwo", co_await io::read_file(folder / "a"));
    });
}

TEST(File, UnderstandsPythonsModes) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        const std::filesystem::path path = folder / "a";
        File made = co_await File::open(path, "x");
        EXPECT_EQ(EEXIST, co_await error_of(open_only(path, O_CREAT | O_EXCL), "open " + path.native()));
        co_await made.write("text");
        File both = co_await File::open(path, "rb+");
        co_await both.write("T");
        EXPECT_EQ("ext", co_await both.read_all());
        static_cast<void>(co_await File::open(path, "w"));
        const FileStatus status = co_await io::stat(path);
        EXPECT_EQ(0U, status.size);
        EXPECT_EQ(0U, status.mode & 0111U);
        EXPECT_NE(0, fcntl(both.native_handle(), F_GETFD) & FD_CLOEXEC);
        EXPECT_THROW(static_cast<void>(File::open(path, "rw")), ValueError);
        EXPECT_THROW(static_cast<void>(File::open(path, "")), ValueError);
        EXPECT_THROW(static_cast<void>(File::open(path, "r++")), ValueError);
    });
}

TEST(File, TakesOperationsAtOffsetsAtTheSameTime) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        File file = co_await File::open(folder / "a", "w+");
        constexpr std::size_t kBlock = 10000;
        const auto write_block = [&](std::size_t index) -> Coro<> {
            const std::string block(kBlock, static_cast<char>('a' + index));
            co_await file.write_at(block, index * kBlock);
        };
        std::vector<Task<>> writes;
        for (std::size_t index = 0; index < 20; ++index) {
            writes.push_back(create_task(write_block(19 - index)));
        }
        co_await gather(std::move(writes));
        const std::string text = co_await io::read_file(folder / "a");
        EXPECT_EQ(20 * kBlock, text.size());
        for (std::size_t index = 0; index < 20; ++index) {
            EXPECT_EQ(std::string(kBlock, static_cast<char>('a' + index)), text.substr(index * kBlock, kBlock));
        }
    });
}

TEST(File, TellsItsStatusAndIsTruncated) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        File file = co_await File::open(folder / "a", O_RDWR | O_CREAT, 0600);
        co_await file.write("0123456789");
        co_await file.fdatasync();
        co_await file.fsync();
        co_await file.truncate(4);
        FileStatus status = co_await file.stat();
        EXPECT_EQ(4U, status.size);
        EXPECT_TRUE(status.is_regular());
        EXPECT_EQ(0600U, status.mode & 07777U);
        EXPECT_EQ(getuid(), status.user);
        struct stat expected {};
        EXPECT_EQ(0, ::stat((folder / "a").c_str(), &expected));
        EXPECT_EQ(expected.st_ino, status.inode);
        EXPECT_EQ(FileStatus::Time(std::chrono::seconds(expected.st_mtim.tv_sec) +
                                   std::chrono::nanoseconds(expected.st_mtim.tv_nsec)),
                  status.modified);
        co_await file.truncate(8);
        EXPECT_EQ(std::string("0123\0\0\0\0", 8), co_await io::read_file(folder / "a"));
        status = co_await io::stat(folder.path());
        EXPECT_TRUE(status.is_directory());
        File reader = co_await File::open(folder / "a");
        EXPECT_EQ(EINVAL, co_await error_of(reader.truncate(1), "truncate " + (folder / "a").native()));
    });
}

TEST(File, ErrorsNameOperationAndFile) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        const std::filesystem::path none = folder / "none";
        EXPECT_EQ(ENOENT, co_await error_of(open_only(none, O_RDONLY), "open " + none.native()));
        EXPECT_EQ(ENOENT, co_await error_of(io::remove(none), "remove " + none.native()));
        EXPECT_EQ(ENOENT, co_await error_of(io::rename(none, folder / "b"), "rename " + none.native()));
        EXPECT_EQ(EISDIR, co_await error_of(open_only(folder.path(), O_WRONLY), "open "));
        File closed;
        EXPECT_EQ(EBADF, co_await error_of(closed.fsync(), "fsync: it is closed"));
        File file = co_await File::open(folder / "a", "w");
        const auto read = [&]() -> Coro<> {
            char text[4];
            co_await file.read(text);
        };
        EXPECT_EQ(EBADF, co_await error_of(read(), "read " + (folder / "a").native()));
    });
}

TEST(File, NamesAreMadeMovedListedAndRemoved) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        co_await io::make_directory(folder / "d");
        EXPECT_EQ(EEXIST, co_await error_of(io::make_directory(folder / "d"), "make directory "));
        co_await io::write_file(folder / "d/one", "1");
        co_await io::write_file(folder / "d/two", "22");
        std::vector<std::string> names = co_await io::list_directory(folder / "d");
        std::ranges::sort(names);
        EXPECT_EQ((std::vector<std::string>{"one", "two"}), names);
        co_await io::rename(folder / "d/one", folder / "d/two");
        EXPECT_EQ("1", co_await io::read_file(folder / "d/two"));
        EXPECT_EQ(EISDIR, co_await error_of(io::remove(folder / "d"), "remove "));
        EXPECT_EQ(ENOTEMPTY, co_await error_of(io::remove_directory(folder / "d"), "remove directory "));
        co_await io::remove(folder / "d/two");
        co_await io::remove_directory(folder / "d");
        EXPECT_FALSE(std::filesystem::exists(folder / "d"));
        const auto list = [&]() -> Coro<> { static_cast<void>(co_await io::list_directory(folder / "d")); };
        Result<void> listed = co_await as_result(list());
        EXPECT_FALSE(listed);
    });
}

Coro<std::size_t> written_before_error(File& file, std::string bytes, int expected) {
    try {
        co_await file.write(bytes);
        ADD_FAILURE() << "written";
    } catch (const WriteError& error) {
        EXPECT_EQ(expected, error.code().value());
        if (error.written() != 0) {
            const std::string count = "after " + std::to_string(error.written()) + " of " +
                                      std::to_string(bytes.size()) + " bytes: write ";
            EXPECT_EQ(0U, std::string(error.what()).find(count)) << error.what();
        }
        co_return error.written();
    }
    co_return 0;
}

TEST(File, AFullDeviceIsAnErrorThatSaysSo) {
    run_io([]() -> Coro<> {
        File full = co_await File::open("/dev/full", O_WRONLY);
        EXPECT_EQ(0U, co_await written_before_error(full, "text", ENOSPC));
    });
}

TEST(File, AFullFileSystemTellsHowMuchWasWritten) {
    const Folder folder;
    if (mount("knit", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
        GTEST_SKIP() << "no right to mount a small file system";
    }
    run_io([&]() -> Coro<> {
        File file = co_await File::open(folder / "a", "w");
        const std::size_t written = co_await written_before_error(file, std::string(3 << 20, 'x'), ENOSPC);
        EXPECT_EQ(std::size_t{1} << 20, written);
        const FileStatus status = co_await file.stat();
        EXPECT_EQ(written, status.size);
    });
    EXPECT_EQ(0, umount(folder.path().c_str()));
}

TEST(File, AFileAtItsLimitTellsHowMuchWasWritten) {
    const Folder folder;
    rlimit before{};
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
    const rlimit low{100000, before.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &low));
    run_io([&]() -> Coro<> {
        File file = co_await File::open(folder / "a", "w");
        EXPECT_EQ(100000U, co_await written_before_error(file, std::string(300000, 'x'), EFBIG));
    });
    EXPECT_EQ(0, setrlimit(RLIMIT_FSIZE, &before));
    std::signal(SIGXFSZ, handler);
}

TEST(File, AnOpenThatIsCancelledLeavesNoDescriptor) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        static_cast<void>(co_await File::open(folder / "a", "w"));
        const std::size_t before = open_descriptors();
        for (int turn_count = 0; turn_count < 6; ++turn_count) {
            Task<File> opening = create_task(File::open(folder / "a"));
            co_await turns(turn_count);
            opening.cancel();
            Result<File> opened = co_await as_result(std::move(opening));
            EXPECT_EQ(before + (opened ? 1U : 0U), open_descriptors());
        }
        EXPECT_EQ(before, open_descriptors());
    });
}

TEST(File, AnOpenOfANamedPipeThatNobodyElseOpensIsCancelled) {
    const Folder folder;
    ASSERT_EQ(0, mkfifo((folder / "fifo").c_str(), 0600));
    run_io([&]() -> Coro<> {
        const std::size_t before = open_descriptors();
        for (const char* const mode : {"r", "w", "r", "w"}) {
            Task<File> opening = create_task(File::open(folder / "fifo", mode));
            co_await turns();
            opening.cancel();
            Result<File> opened = co_await as_result(std::move(opening));
            EXPECT_FALSE(opened);
            EXPECT_EQ(before, open_descriptors());
        }
    });
}

TEST(File, ClosingEndsWhatIsInFlight) {
    run_io([]() -> Coro<> {
        int ends[2];
        EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
        const std::size_t before = open_descriptors();
        File reader{knit::detail::Fd(ends[0])};
        const auto read = [&]() -> Coro<> {
            char text[4];
            co_await reader.read(text);
        };
        Task<int> reading = create_task(error_of(read(), "closed by another task"));
        co_await turns();
        co_await reader.close();
        EXPECT_EQ(ECANCELED, co_await reading);
        EXPECT_EQ(before - 1, open_descriptors());
        ::close(ends[1]);
    });
}

TEST(File, ACancelledCloseIsAClose) {
    const Folder folder;
    run_io([&]() -> Coro<> {
        const std::size_t before = open_descriptors();
        File file = co_await File::open(folder / "a", "w");
        const auto close = [&]() -> Coro<> { co_await file.close(); };
        Task<> closing = create_task(close());
        co_await yield();
        closing.cancel();
        static_cast<void>(co_await as_result(std::move(closing)));
        EXPECT_FALSE(file.is_open());
        EXPECT_EQ(before, open_descriptors());
    });
}

TEST(File, AReadThatIsCancelledEndsBeforeItsBufferGoes) {
    const Folder folder;
    ASSERT_EQ(0, mkfifo((folder / "fifo").c_str(), 0600));
    run_io([&]() -> Coro<> {
        File fifo = co_await File::open(folder / "fifo", O_RDWR);
        const auto read = [&]() -> Coro<std::string> {
            std::string text(16, '\0');
            const std::size_t count = co_await fifo.read(text);
            text.resize(count);
            co_return text;
        };
        Task<std::string> reading = create_task(read());
        co_await turns();
        reading.cancel();
        Result<std::string> first = co_await as_result(std::move(reading));
        EXPECT_FALSE(first);
        co_await fifo.write("kept");
        EXPECT_EQ("kept", co_await read());
    });
}

}  // namespace
}  // namespace knit::test
