// The operations that block, as plain calls on a thread of the drivers' pool.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "epoll_ops.hpp"

namespace knit::detail {
namespace {

// Newer than the headers of liburing 2.3.
constexpr unsigned kOpFtruncate = 55;

const char* path(std::uint64_t address) noexcept { return pointer<const char>(address); }

int completed(long result) noexcept { return result_of(result); }

/// At `off`; all ones: at the file's own position.
int run_transfer(const io_uring_sqe& sqe) noexcept {
    iovec single{pointer<void>(sqe.addr), sqe.len};
    const bool is_vector = sqe.opcode == IORING_OP_READV || sqe.opcode == IORING_OP_WRITEV;
    const iovec* const parts = is_vector ? pointer<const iovec>(sqe.addr) : &single;
    const int count = is_vector ? static_cast<int>(sqe.len) : 1;
    const auto offset = static_cast<off_t>(sqe.off);
    const auto flags = static_cast<int>(sqe.rw_flags);
    const bool is_read = sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_READV;
    NoSigpipe quiet;
    long result = is_read ? ::preadv2(sqe.fd, parts, count, offset, flags)
                          : ::pwritev2(sqe.fd, parts, count, offset, flags);
    if (result < 0 && errno == ESPIPE) {  // a terminal has no positions, and a ring does not mind
        result = is_read ? ::preadv2(sqe.fd, parts, count, -1, flags) : ::pwritev2(sqe.fd, parts, count, -1, flags);
    }
    return quiet.take(result);
}

int run_on_file(const io_uring_sqe& sqe) noexcept {
    const auto offset = static_cast<off_t>(sqe.off);
    switch (sqe.opcode) {
        case IORING_OP_FSYNC:
            return completed((sqe.fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? ::fdatasync(sqe.fd) : ::fsync(sqe.fd));
        case kOpFtruncate: return completed(::ftruncate(sqe.fd, offset));
        case IORING_OP_CLOSE: return completed(::close(sqe.fd));
        default: return -EINVAL;
    }
}

}  // namespace

bool release_open(const io_uring_sqe& sqe) noexcept {
    const unsigned access = sqe.open_flags & O_ACCMODE;
    struct stat status {};
    if (access == O_RDWR || ::fstatat(sqe.fd, path(sqe.addr), &status, 0) != 0 || !S_ISFIFO(status.st_mode)) {
        return false;
    }
    const int flags = (access == O_RDONLY ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC;
    if (const int other_end = ::openat(sqe.fd, path(sqe.addr), flags); other_end >= 0) {
        ::close(other_end);
    }
    return true;
}

int run_blocking(const io_uring_sqe& sqe) noexcept {
    switch (sqe.opcode) {
        case IORING_OP_READ:
        case IORING_OP_READV:
        case IORING_OP_WRITE:
        case IORING_OP_WRITEV: return run_transfer(sqe);
        case IORING_OP_OPENAT:
            return completed(::openat(sqe.fd, path(sqe.addr), static_cast<int>(sqe.open_flags), sqe.len));
        case IORING_OP_STATX:
            return completed(::statx(sqe.fd, path(sqe.addr), static_cast<int>(sqe.statx_flags), sqe.len,
                                     pointer<struct statx>(sqe.off)));
        case IORING_OP_UNLINKAT:
            return completed(::unlinkat(sqe.fd, path(sqe.addr), static_cast<int>(sqe.unlink_flags)));
        case IORING_OP_RENAMEAT:
            return completed(::renameat2(sqe.fd, path(sqe.addr), static_cast<int>(sqe.len), path(sqe.addr2),
                                         sqe.rename_flags));
        case IORING_OP_MKDIRAT: return completed(::mkdirat(sqe.fd, path(sqe.addr), sqe.len));
        default: return run_on_file(sqe);  // -EINVAL for what knit does not use, as a kernel that does not know it
    }
}

}  // namespace knit::detail
