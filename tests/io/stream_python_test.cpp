// Python's asyncio as client and as server of our streams.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <string>
#include <vector>

#include "stream_pair.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): posix_spawn wants it, no header has it for all

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

/// stream_peer.py as a process; what it prints comes by a pipe.
class Peer {
public:
    explicit Peer(std::vector<std::string> arguments) {
        std::array<int, 2> ends{};
        EXPECT_EQ(0, pipe2(ends.data(), O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        arguments.insert(arguments.begin(), {"python3", KNIT_SOURCE_DIR "/tests/io/stream_peer.py"});
        std::vector<char*> pointers;
        for (std::string& argument : arguments) {
            pointers.push_back(argument.data());
        }
        pointers.push_back(nullptr);
        EXPECT_EQ(0, posix_spawnp(&pid_, "python3", &actions, nullptr, pointers.data(), environ));
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        output_ = ends[0];
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { close(output_); }

    /// One line of its output. Blocks.
    std::string read_line() const {
        std::string line;
        char byte = 0;
        while (read(output_, &byte, 1) == 1 && byte != '\n') {
            line += byte;
        }
        return line;
    }
    /// Its exit code. Blocks.
    int wait() const {
        int status = 0;
        EXPECT_EQ(pid_, waitpid(pid_, &status, 0));
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t pid_ = 0;
    int output_ = -1;
};

std::string swap_case(std::string text) {
    for (char& letter : text) {
        if (letter >= 'a' && letter <= 'z') {
            letter = static_cast<char>(letter - 'a' + 'A');
        } else if (letter >= 'A' && letter <= 'Z') {
            letter = static_cast<char>(letter - 'A' + 'a');
        }
    }
    return text;
}

std::string much() {
    std::string bytes;
    for (int i = 0; i < 256 * 8192; ++i) {
        bytes += static_cast<char>(i % 256);
    }
    return bytes;
}

const std::string kFour("\0\1\2\3", 4);

/// The same as answer() of stream_peer.py.
Coro<> answer(StreamReader reader, StreamWriter writer) {
    const std::string line = co_await reader.readline();
    writer.write(line);
    co_await writer.drain();
    EXPECT_EQ(kFour, co_await reader.readexactly(4));
    const std::string data = co_await reader.read();
    writer.write(swap_case(data));
    co_await writer.drain();
    co_await close_writer(writer);
}

/// The same as connect() of stream_peer.py.
Coro<> ask(io::Endpoint where) {
    Coro<io::Connection> opening = open_connection(where);
    io::Connection near = co_await std::move(opening);
    near.writer.write("hello\n");
    EXPECT_EQ("hello\n", co_await near.reader.readline());
    near.writer.write(kFour);
    auto reading = create_task(near.reader.read());
    const std::string bytes = much();
    for (std::size_t at = 0; at < bytes.size(); at += 10'000) {
        near.writer.write(std::string_view(bytes).substr(at, 10'000));
        co_await near.writer.drain();
    }
    near.writer.write_eof();
    const std::string got = co_await reading;
    EXPECT_TRUE(got == swap_case(bytes));
    co_await close_writer(near.writer);
}

TEST(StreamPython, OurClientAndAsynciosServer) {
    const Peer peer({"serve"});
    const io::Endpoint where("127.0.0.1:" + peer.read_line());
    run_io([&where]() -> Coro<> { co_await wait_for(ask(where), 40s); });
    EXPECT_EQ(0, peer.wait());
}

TEST(StreamPython, OurServerAndAsynciosClient) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(answer, "127.0.0.1:0");
        const Peer peer({"connect", std::to_string(server.local_endpoint().port())});
        EXPECT_EQ(0, co_await to_thread([&peer] { return peer.wait(); }));
        server.close();
        co_await server.wait_closed();
    });
}

}  // namespace
}  // namespace knit::test
