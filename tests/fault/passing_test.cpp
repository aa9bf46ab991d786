// What a program must not see at a ring's edge that fails: errors that an operation goes on after, how the kernel says
// that a request has been cancelled, what it cannot do.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "knit/io/file.hpp"
#include "knit/io/udp.hpp"
#include "knit/io/unix.hpp"
#include "knit/testing.hpp"
#include "io_test.hpp"
#include "program.hpp"

namespace knit::test {
namespace {

using io::File;
using io::UnixStream;

Coro<> use_streams() {
    Pair pair = co_await connected_pair();
    pair.near.zero_copy_threshold(4);
    std::array<char, 5> text{};
    EXPECT_EQ(5U, co_await pair.near.write("hello"));
    EXPECT_EQ(5U, co_await pair.far.read_exactly(text));
    EXPECT_EQ(2U, co_await pair.near.write_some("ab"));
    EXPECT_EQ(2U, co_await pair.far.read_some(text));
    EXPECT_EQ("abllo", std::string(text.data(), text.size()));
    const std::array<io::ConstBuffer, 2> parts{std::string_view("hel"), std::string_view("lo")};
    EXPECT_EQ(5U, co_await pair.near.write(parts));
    std::array<char, 2> first{};
    std::array<char, 3> second{};
    const std::array<io::MutableBuffer, 2> room{first, second};
    EXPECT_EQ(5U, co_await pair.far.read_some(room));
    co_await pair.near.write("x");
    const io::Received received = co_await pair.far.receive();
    EXPECT_EQ("x", received.text());
}

Coro<> use_datagrams_and_descriptors() {
    io::UdpSocket server = io::UdpSocket::bind("127.0.0.1:0");
    io::UdpSocket client = io::UdpSocket::bind("127.0.0.1:0");
    EXPECT_EQ(4U, co_await client.send_to("ping", server.local_endpoint()));
    std::string buffer(16, '\0');
    const io::Datagram asked = co_await server.recv_from(buffer);
    EXPECT_EQ("ping", buffer.substr(0, asked.size));
    auto [near, far] = UnixStream::pair();
    const int number = STDERR_FILENO;
    co_await near.send_descriptors("y", std::span(&number, 1));
    const auto got = co_await far.receive_descriptors(buffer);
    EXPECT_EQ(1U, got.size);
    EXPECT_EQ(1U, got.descriptors.size());
}

Coro<> use_files(std::string path) {
    const std::string name = path + "/a";
    const std::string other = path + "/b";
    co_await io::make_directory(path, 0700);
    File file = co_await File::open(name, "w+");
    EXPECT_EQ(5U, co_await file.write("hello"));
    EXPECT_EQ(1U, co_await file.append("!"));
    co_await file.fsync();
    const io::FileStatus status = co_await file.stat();
    EXPECT_EQ(6U, status.size);
    std::string back(6, '\0');
    EXPECT_EQ(6U, co_await file.read_at(std::span<char>(back), 0));
    EXPECT_EQ("hello!", back);
    Pair pair = co_await connected_pair();
    EXPECT_EQ(6U, co_await pair.near.send_file(file));
    co_await file.close();
    co_await io::rename(name, other);
    co_await io::remove(other);
    co_await io::remove_directory(path);
}

/// A poll, of a descriptor that is there already.
Coro<> wait_for_input() {
    Pair pair = co_await connected_pair();
    co_await pair.near.write("x");
    Event has_come;
    get_running_loop().add_reader(pair.far.native_handle(), [&] { has_come.set(); });
    co_await wait_for(has_come.wait(), 20s);
    get_running_loop().remove_reader(pair.far.native_handle());
}

Coro<> use_everything() {
    const std::string name = "knit_passing_" + std::to_string(::getpid());
    const std::string path = std::filesystem::temp_directory_path() / name;
    for (int round = 0; round < 3; ++round) {
        co_await use_streams();
        co_await use_datagrams_and_descriptors();
        co_await use_files(path);
        co_await wait_for_input();
    }
}

/// A signal, the end of a connection that was to be accepted, no memory to lock.
TEST(Passing, NoOperationShowsWhatItCanGoOnAfter) {
    std::uint64_t errors = 0;
    std::set<int> given;
    testing::for_each_seed(1, 20, [&](std::uint64_t seed) {
        run_at_edge({.seed = seed, .passing = 400, .denies_buffers = seed % 4 == 0}, 1, use_everything());
        errors += fault::counts().errors;
        given.merge(fault::errors_given());
        if (::testing::Test::HasFailure()) {
            throw std::logic_error("not as it must be");
        }
    });
    EXPECT_GT(errors, 20U);
    if (errors > 500) {  // all seeds
        for (const int error : {EINTR, ECONNABORTED, EPROTO, EPERM, ENOMEM, ENOBUFS, EOPNOTSUPP}) {
            EXPECT_TRUE(given.contains(error)) << error;
        }
    }
    fault::set_plan({});
}

/// Of a device that takes nothing and gives no reason one can ask for ever.
TEST(Passing, AFileThatTakesNothingIsAnErrorAndNotAskedForEver) {
    const auto body = []() -> Coro<> {
        File file = co_await File::open("/tmp", O_TMPFILE | O_RDWR, 0600);
        try {
            co_await file.write("0123456789");
            ADD_FAILURE() << "written";
        } catch (const io::WriteError& error) {
            EXPECT_EQ(std::errc::io_error, error.code());
        }
    };
    run_at_edge({.seed = 1, .emptied = 1000}, 1, body());
    EXPECT_EQ(1U, fault::counts().errors);
    fault::set_plan({});
}

Coro<> stop_reads() {
    {
        Pair pair = co_await connected_pair();
        char byte = 0;
        Task<std::size_t> cancelled = create_task(pair.near.read_some(std::span(&byte, 1)));
        co_await turns();
        cancelled.cancel();
        EXPECT_THROW(co_await cancelled, CancelledError);
        Task<std::size_t> closed = create_task(pair.near.read_some(std::span(&byte, 1)));
        co_await turns();
        pair.near.close();
        try {
            co_await closed;
            ADD_FAILURE() << "read";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::operation_canceled, error.code());
        }
    }
}

/// That is how a request ends that a thread of the kernel's was busy with.
TEST(Passing, AnInterruptedRequestThatWasCancelledIsACancelledOne) {
    run_at_edge({.seed = 1, .interrupts_cancelled = true}, 1, stop_reads());
    EXPECT_EQ(2U, fault::counts().errors);
    fault::set_plan({});
}

/// The kernel says so of a request that it is just trying anew, too.
TEST(Passing, ACancelThatDoesNotFindItsRequestIsSentAgain) {
    const auto body = []() -> Coro<> {
        Pair pair = co_await connected_pair();
        char byte = 0;
        Task<std::size_t> reading = create_task(pair.near.read_some(std::span(&byte, 1)));
        co_await turns();
        reading.cancel();
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!reading.done() && std::chrono::steady_clock::now() < end) {
            co_await yield();
        }
        EXPECT_TRUE(reading.done());
        co_await pair.far.write("x");
        EXPECT_THROW(co_await reading, CancelledError);
    };
    run_at_edge({.seed = 1, .misses_cancels = true}, 1, body());
    EXPECT_EQ(1U, fault::counts().errors);
    fault::set_plan({});
}

/// It has no memory, for requests or for what it holds back.
TEST(Passing, ALoopDoesNotSpinWhileTheKernelIsBusy) {
    constexpr unsigned kBusy = 50;
    for (const bool is_busy_for_waits : {false, true}) {
        const auto body = []() -> Coro<> { co_await sleep(50ms); };
        run_at_edge({.seed = 1, .busy_ms = kBusy, .is_busy_for_waits = is_busy_for_waits}, 1, body());
        EXPECT_LT(0U, fault::counts().busy_enters);
        EXPECT_GT(8 * kBusy, fault::counts().busy_enters) << is_busy_for_waits;  // it pauses for 1 ms now and then
    }
    fault::set_plan({});
}

class Scratch {
public:
    Scratch() : path_(std::filesystem::temp_directory_path() / ("knit_scratch_" + std::to_string(::getpid()))) {}
    ~Scratch() { std::filesystem::remove(path_); }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// For sendfile(2) would block the loop as long as the disk.
TEST(Passing, AFileThatIsNotInThePageCacheIsReadByRequests) {
    const Scratch scratch;
    for (const bool is_epoll : {false, true}) {
        const auto body = [&]() -> Coro<> {
            File file = co_await File::open(scratch.path(), "w+");
            co_await file.write("hello!");
            Pair pair = co_await connected_pair();
            const std::uint64_t before = get_runtime().metrics().loops[0].operations_submitted;
            EXPECT_EQ(6U, co_await pair.near.send_file(file, 0, 6));
            EXPECT_EQ(before + 2, get_runtime().metrics().loops[0].operations_submitted);
            std::array<char, 6> text{};
            co_await pair.far.read_exactly(text);
            EXPECT_EQ("hello!", std::string(text.data(), text.size()));
        };
        run_at_edge({.seed = 1, .is_cold = true, .is_epoll = is_epoll}, 1, body());
        EXPECT_EQ(0U, fault::counts().sendfiles);
    }
    fault::set_plan({});
}

/// The kernel tells such an error once: what is tried after it would say something else, or nothing.
TEST(Passing, AnErrorOfTheConnectionEndsSendFileAtOnce) {
    const Scratch scratch;
    for (const int error : {EPIPE, ECONNRESET, ECONNABORTED, ECONNREFUSED, ETIMEDOUT, ENOTCONN, EHOSTUNREACH, EHOSTDOWN,
                            ENETUNREACH, ENETDOWN, ENETRESET, ENONET, ENOPROTOOPT}) {
        const auto body = [&]() -> Coro<> {
            File file = co_await File::open(scratch.path(), "w+");
            co_await file.write("hello!");
            Pair pair = co_await connected_pair();
            int code = 0;
            try {
                co_await pair.near.send_file(file);
            } catch (const std::system_error& failure) {
                code = failure.code().value();
            }
            EXPECT_TRUE(code == error || fault::counts().sendfiles == 0) << error << ", " << code;
        };
        run_at_edge({.seed = 1, .sendfile_error = error}, 1, body());
        if (fault::counts().sendfiles == 0) {
            fault::set_plan({});
            GTEST_SKIP() << "the file system does not tell what is in the page cache";
        }
    }
    fault::set_plan({});
}

/// As on Linux before 5.19. It does not ask the kernel for one that cannot be had, each time.
TEST(Passing, WithoutARingOfBuffersEachReceiveBringsItsOwn) {
    const auto body = []() -> Coro<> {
        Pair pair = co_await connected_pair();
        for (int round = 0; round < 3; ++round) {
            co_await pair.near.write("x");
            const std::uint64_t before = get_runtime().metrics().loops[0].operations_submitted;
            const io::Received received = co_await pair.far.receive();
            EXPECT_EQ("x", received.text());
            EXPECT_EQ(before + 1, get_runtime().metrics().loops[0].operations_submitted);
        }
    };
    run_at_edge({.seed = 1, .denies_buffers = true}, 1, body());
    fault::set_plan({});
}

/// A loop that always has something to do does not enter the kernel to wait, and here not to submit either.
TEST(Passing, CompletionsBehindAFullQueueReachALoopThatIsNeverIdle) {
    constexpr int kReaders = 16;
    const auto body = []() -> Coro<> {
        std::vector<std::pair<UnixStream, UnixStream>> pairs;
        std::vector<Task<std::size_t>> reading;
        std::array<char, kReaders> text{};
        for (int index = 0; index < kReaders; ++index) {
            pairs.push_back(UnixStream::pair());
        }
        for (std::size_t index = 0; index < pairs.size(); ++index) {
            reading.push_back(create_task(pairs[index].first.read_some(std::span(&text[index], 1))));
        }
        co_await turns();
        for (auto& pair : pairs) {
            EXPECT_EQ(1, ::send(pair.second.native_handle(), "x", 1, 0));
        }
        const auto end = std::chrono::steady_clock::now() + 20s;
        for (Task<std::size_t>& one : reading) {
            while (!one.done() && std::chrono::steady_clock::now() < end) {
                co_await yield();
            }
            EXPECT_TRUE(one.done());
        }
    };
    run_at_edge({.seed = 1, .sq_entries = 2, .cq_entries = 4}, 1, body());
    EXPECT_GT(fault::counts().overflows, 0U);
    fault::set_plan({});
}

}  // namespace
}  // namespace knit::test
