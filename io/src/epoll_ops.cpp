#include "epoll_ops.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

namespace knit::detail {
namespace {

bool would_wait(int result) noexcept { return result == -EAGAIN || result == -EWOULDBLOCK; }

Attempt done_or_wait(int result, int number, Want want) noexcept {
    return would_wait(result) ? Attempt::wait(number, want) : Attempt::done(result);
}

/// What poll(2) says of `number` now; negative: minus the errno.
int poll_now(int number, short events) noexcept {
    pollfd one{number, events, 0};
    while (::poll(&one, 1, 0) < 0) {  // ends: signals are handled one by one, and EINTR is all that they can say
        if (errno != EINTR) {
            return -errno;
        }
    }
    return (one.revents & POLLNVAL) != 0 ? -EBADF : one.revents;
}

/// Flags of a message. Waiting for all of it is the operation's business, which asks for the rest.
int message_flags(const io_uring_sqe& sqe) noexcept {
    return static_cast<int>((sqe.msg_flags & ~static_cast<unsigned>(MSG_WAITALL)) | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Into a buffer that is taken now and put back when nothing came.
Attempt try_receive_lent(const io_uring_sqe& sqe, BufferPool* buffers) noexcept {
    const int picked = buffers != nullptr ? buffers->pick() : -1;
    if (picked < 0) {
        return Attempt::done(-ENOBUFS);
    }
    const auto id = static_cast<std::uint16_t>(picked);
    const std::size_t size = std::min<std::size_t>(sqe.len, LentBuffer::kSize);
    const int result = result_of(::recv(sqe.fd, buffers->bytes_of(id), size, message_flags(sqe)));
    if (result <= 0) {
        buffers->provide(*buffers->take(id));
        return done_or_wait(result, sqe.fd, Want::input);
    }
    Attempt attempt = Attempt::done(result);
    attempt.flags = IORING_CQE_F_BUFFER | static_cast<std::uint32_t>(picked) << IORING_CQE_BUFFER_SHIFT;
    return attempt;
}

Attempt try_receive(const io_uring_sqe& sqe, BufferPool* buffers) noexcept {
    if ((sqe.flags & IOSQE_BUFFER_SELECT) != 0) {
        return try_receive_lent(sqe, buffers);
    }
    const long result = sqe.opcode == IORING_OP_RECVMSG
                            ? ::recvmsg(sqe.fd, pointer<msghdr>(sqe.addr), message_flags(sqe))
                            : ::recv(sqe.fd, pointer<void>(sqe.addr), sqe.len, message_flags(sqe));
    return done_or_wait(result_of(result, errno), sqe.fd, Want::input);
}

bool names_unix_socket(const io_uring_sqe& sqe) noexcept {
    if (sqe.opcode != IORING_OP_SENDMSG && sqe.opcode != IORING_OP_SENDMSG_ZC) {
        return false;
    }
    const msghdr& message = *pointer<const msghdr>(sqe.addr);
    return message.msg_name != nullptr && static_cast<const sockaddr*>(message.msg_name)->sa_family == AF_UNIX;
}

Attempt try_send(const io_uring_sqe& sqe) noexcept {
    long result = 0;
    if (sqe.opcode == IORING_OP_SENDMSG || sqe.opcode == IORING_OP_SENDMSG_ZC) {
        result = ::sendmsg(sqe.fd, pointer<const msghdr>(sqe.addr), message_flags(sqe));
    } else {
        // Zero copy is an offer, not a promise: it is a plain send, and its buffer is free at once.
        result = ::sendto(sqe.fd, pointer<const void>(sqe.addr), sqe.len, message_flags(sqe),
                          pointer<const sockaddr>(sqe.addr2), sqe.addr2 != 0 ? sqe.addr_len : 0);
    }
    const int sent = result_of(result, errno);
    // A datagram to a Unix socket whose queue is full: this one always has room, and each refusal would be an edge.
    if (would_wait(sent) && names_unix_socket(sqe)) {
        return Attempt::later();
    }
    return done_or_wait(sent, sqe.fd, Want::output);
}

/// The listener is non-blocking: EpollDriver sees to it before the first try. One connection, also for a multishot
/// accept: without IORING_CQE_F_MORE it is armed anew.
Attempt try_accept(const io_uring_sqe& sqe) noexcept {
    const int result = ::accept4(sqe.fd, pointer<sockaddr>(sqe.addr), pointer<socklen_t>(sqe.addr2),
                                 static_cast<int>(sqe.accept_flags));
    return done_or_wait(result_of(result, errno), sqe.fd, Want::input);
}

Attempt try_connect(EpollRequest& request) noexcept {
    const io_uring_sqe& sqe = request.sqe();
    if (request.is_connecting) {
        if (const int events = poll_now(sqe.fd, POLLOUT); events <= 0) {
            return events < 0 ? Attempt::done(events) : Attempt::wait(sqe.fd, Want::output);
        }
        int error = 0;
        socklen_t size = sizeof error;
        const int result = ::getsockopt(sqe.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        return Attempt::done(result != 0 ? -errno : -error);
    }
    if (const int result = set_nonblocking(sqe.fd); result != 0) {
        return Attempt::done(result);
    }
    if (::connect(sqe.fd, pointer<const sockaddr>(sqe.addr), static_cast<socklen_t>(sqe.off)) == 0) {
        return Attempt::done(0);
    }
    switch (errno) {
        case EINPROGRESS:
        case EINTR: request.is_connecting = true; return Attempt::wait(sqe.fd, Want::output);
        // A Unix socket whose listener's queue is full: nobody tells when there is room.
        case EAGAIN: return Attempt::later();
        default: return Attempt::done(-errno);
    }
}

bool is_write(unsigned opcode) noexcept { return opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITEV; }

int transfer_now(const io_uring_sqe& sqe, int flags) noexcept {
    iovec single{pointer<void>(sqe.addr), sqe.len};
    const bool is_vector = sqe.opcode == IORING_OP_READV || sqe.opcode == IORING_OP_WRITEV;
    const iovec* const parts = is_vector ? pointer<const iovec>(sqe.addr) : &single;
    const int count = is_vector ? static_cast<int>(sqe.len) : 1;
    if (!is_write(sqe.opcode)) {
        return result_of(::preadv2(sqe.fd, parts, count, -1, flags));
    }
    NoSigpipe quiet;
    return quiet.take(::pwritev2(sqe.fd, parts, count, -1, flags));
}

/// Whether reads and writes of it block whatever its flags say.
bool is_file(int number) noexcept {
    struct stat status {};
    return ::fstat(number, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode));
}

Attempt try_transfer(const io_uring_sqe& sqe, const Descriptor* descriptor) noexcept {
    const Want want = is_write(sqe.opcode) ? Want::output : Want::input;
    if (is_file(sqe.fd)) {
        return Attempt::block();
    }
    int result = transfer_now(sqe, RWF_NOWAIT);
    if (result == -EOPNOTSUPP) {  // a terminal, or an older kernel's pipe
        if (descriptor == nullptr || descriptor->is_shared()) {
            // It cannot be made non-blocking, others would be surprised: so when it is ready, and even then on the
            // pool, because they may be faster.
            const int events = poll_now(sqe.fd, want == Want::output ? POLLOUT : POLLIN);
            return events == 0 ? Attempt::wait(sqe.fd, want) : Attempt::block();
        }
        result = set_nonblocking(sqe.fd);
        result = result == 0 ? transfer_now(sqe, 0) : result;
    }
    return done_or_wait(result, sqe.fd, want);
}

Attempt try_poll(const io_uring_sqe& sqe) noexcept {
    const int events = poll_now(sqe.fd, static_cast<short>(sqe.poll32_events & 0xffff));
    return events == 0 ? Attempt::wait(sqe.fd, Want::any) : Attempt::done(events);
}

}  // namespace

Attempt attempt(EpollRequest& request, const Descriptor* descriptor, BufferPool* buffers) noexcept {
    const io_uring_sqe& sqe = request.sqe();
    switch (sqe.opcode) {
        case IORING_OP_NOP: return Attempt::done(0);
        case IORING_OP_RECV:
        case IORING_OP_RECVMSG: return try_receive(sqe, buffers);
        case IORING_OP_SEND:
        case IORING_OP_SENDMSG:
        case IORING_OP_SEND_ZC:
        case IORING_OP_SENDMSG_ZC: return try_send(sqe);
        case IORING_OP_ACCEPT: return try_accept(sqe);
        case IORING_OP_CONNECT: return try_connect(request);
        case IORING_OP_READ:
        case IORING_OP_READV:
        case IORING_OP_WRITE:
        case IORING_OP_WRITEV: return try_transfer(sqe, descriptor);
        case IORING_OP_POLL_ADD: return try_poll(sqe);
        default: return Attempt::block();
    }
}

std::uint32_t events_for(const EpollRequest& request, Want want) noexcept {
    if (request.sqe().opcode == IORING_OP_POLL_ADD) {
        return request.sqe().poll32_events & (EPOLLIN | EPOLLOUT | EPOLLPRI);
    }
    return want == Want::output ? EPOLLOUT : EPOLLIN;
}

int set_nonblocking(int number) noexcept {
    const int flags = ::fcntl(number, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    if ((flags & O_NONBLOCK) != 0) {
        return 0;
    }
    return ::fcntl(number, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

NoSigpipe::NoSigpipe() noexcept {
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    was_blocked_ = sigismember(&before, SIGPIPE) == 1;
    was_pending_ = was_blocked_ && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

int NoSigpipe::take(long result) noexcept {
    const int error = errno;
    // A call that has given a part may have sent the signal for the rest.
    if (!was_pending_) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        const timespec at_once{};
        sigtimedwait(&pipe, nullptr, &at_once);  // none where it is ignored
    }
    return result_of(result, error);
}

NoSigpipe::~NoSigpipe() {
    if (!was_blocked_) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
    }
}

}  // namespace knit::detail
