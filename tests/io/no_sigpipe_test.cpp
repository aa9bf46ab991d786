// A SIGPIPE that a system call has sent is no signal of the program's.
#include <csignal>

#include <gtest/gtest.h>

#include <cerrno>

#include "epoll_ops.hpp"

namespace knit::test {
namespace {

using detail::NoSigpipe;

volatile std::sig_atomic_t g_pipe_signals = 0;

/// Counts those that come through.
class NoSigpipeTest : public testing::Test {
protected:
    NoSigpipeTest() {
        g_pipe_signals = 0;
        struct sigaction count {};
        count.sa_handler = [](int) { g_pipe_signals = g_pipe_signals + 1; };
        sigaction(SIGPIPE, &count, &before_);
    }
    ~NoSigpipeTest() override { sigaction(SIGPIPE, &before_, nullptr); }

private:
    struct sigaction before_ {};
};

TEST_F(NoSigpipeTest, TakesTheSignalOfACallThatHasFailed) {
    {
        NoSigpipe quiet;
        raise(SIGPIPE);
        errno = EPIPE;
        EXPECT_EQ(-EPIPE, quiet.take(-1));
    }
    EXPECT_EQ(0, g_pipe_signals);
}

TEST_F(NoSigpipeTest, TakesTheSignalOfACallThatHasGivenAPart) {
    {
        NoSigpipe quiet;
        raise(SIGPIPE);
        EXPECT_EQ(5, quiet.take(5));
    }
    EXPECT_EQ(0, g_pipe_signals);
}

TEST_F(NoSigpipeTest, LeavesWhatWaitsForAThreadThatHasBlockedIt) {
    sigset_t pipe;
    sigset_t before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    raise(SIGPIPE);
    {
        NoSigpipe quiet;
        EXPECT_EQ(5, quiet.take(5));
    }
    EXPECT_EQ(0, g_pipe_signals);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(1, g_pipe_signals);
}

}  // namespace
}  // namespace knit::test
