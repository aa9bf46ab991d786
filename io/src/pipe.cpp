#include "knit/io/pipe.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>

#include "knit/detail/base.hpp"
#include "knit/io/detail/fd.hpp"

namespace knit::detail {
namespace {

// RWF_NOSIGNAL of Linux 6.18, for which the headers here have no name.
constexpr int kNoSignal = 0x100;

/// Asks the kernel once: a pipe without a reader answers EPIPE, and sends nothing, or says that it knows no such flag.
bool kernel_has_no_signal() noexcept {
    static const bool has = [] {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return false;
        }
        ::close(ends[0]);
        const char byte = 0;
        const iovec part{const_cast<char*>(&byte), 1};
        const bool is_known = pwritev2(ends[1], &part, 1, -1, kNoSignal) < 0 && errno == EPIPE;
        ::close(ends[1]);
        return is_known;
    }();
    return has;
}

Fd duplicate(int number, const char* name) {
    Fd fd(fcntl(number, F_DUPFD_CLOEXEC, 3));
    if (!fd) {
        throw std::system_error(errno, std::generic_category(), std::string("open ") + name);
    }
    return fd;
}

}  // namespace

int no_signal_flag() noexcept {
    if (kernel_has_no_signal()) [[likely]] {
        return kNoSignal;
    }
    // A request sends the signal to the thread that submits it, which is this one, later: it cannot be unblocked again
    // as long as one is in flight. What has become pending is taken, so that the thread's owner will not find it.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    const timespec none{};
    static_cast<void>(sigtimedwait(&broken_pipe, nullptr, &none));
    return 0;
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::Fd;

Pipe pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::generic_category(), "make a pipe");
    }
    Fd reader(ends[0]);
    Fd writer(ends[1]);
    return {PipeReader(std::move(reader), "pipe", false), PipeWriter(std::move(writer), "pipe", false)};
}

PipeReader standard_input() { return PipeReader(knit::detail::duplicate(0, "standard input"), "standard input"); }
PipeWriter standard_output() { return PipeWriter(knit::detail::duplicate(1, "standard output"), "standard output"); }
PipeWriter standard_error() { return PipeWriter(knit::detail::duplicate(2, "standard error"), "standard error"); }

}  // namespace knit::io
