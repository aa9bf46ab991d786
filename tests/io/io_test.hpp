/// What the tests of io share.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include "knit/core.hpp"
#include "knit/io/io.hpp"

namespace knit::test {

using namespace std::chrono_literals;

/// Runs the body, a callable that gives a Coro<>, on `loops` loops.
template <class F>
void run_io(F body, unsigned loops = 1, unsigned ring_entries = 256) {
    RunOptions options;
    options.loops = loops;
    options.ring_entries = ring_entries;
    run(std::move(body), std::move(options));
}

/// Descriptors that this process has open.
inline std::size_t open_descriptors() {
    std::size_t count = 0;
    DIR* const directory = opendir("/proc/self/fd");
    while (readdir(directory) != nullptr) {
        ++count;
    }
    closedir(directory);
    return count - 3;  // ".", ".." and the directory itself
}

/// Two ends of one connection over loopback.
struct Pair {
    io::TcpStream near;
    io::TcpStream far;
};
inline Coro<Pair> connected_pair() {
    io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
    Pair pair;
    pair.near = co_await io::TcpStream::connect(listener.local_endpoint());
    pair.far = co_await listener.accept();
    co_return pair;
}

/// Gives the loop a few turns, so that what was begun reaches the kernel.
inline Coro<> turns(int count = 5) {
    for (int i = 0; i < count; ++i) {
        co_await yield();
    }
}

/// Echoes until the end of the stream.
inline Coro<> echo(io::TcpStream stream) {
    char buffer[4096];
    for (;;) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            co_return;
        }
        co_await stream.write(std::string_view(buffer, count));
    }
}

/// Closing sends a reset instead of an end of stream.
inline void reset_on_close(const io::Socket& socket) {
    const linger now{1, 0};
    ASSERT_EQ(0, setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now));
}

/// UBSan needs a pipe for its first look at an object's type, and remembers it: to be called while there are
/// descriptors, by tests that then leave none.
inline void look_at_error_types() {
    const std::system_error error(EMFILE, std::generic_category(), "a look");
    EXPECT_TRUE(error.code() == std::errc::too_many_files_open);
    EXPECT_FALSE(error.code().message().empty());
    EXPECT_NE(std::string(), error.what());
}

}  // namespace knit::test
