#include "knit/io/file.hpp"

#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "knit/error.hpp"
#include "knit/to_thread.hpp"
#include "ring.hpp"

namespace knit::detail {
namespace {

// Linux 6.9; liburing 2.3 has no name for it.
constexpr int kOpFtruncate = 55;

/// A request that is made once, and whose result is the operation's.
class [[nodiscard]] FileOp : public Op {
public:
    FileOp(const DescriptorOwner& file, const char* what) noexcept : Op(file), what_(what) {}
    bool await_ready() noexcept { return !attach(); }
    int await_resume() { return take_result(what_); }

protected:
    FileDescriptor& file() const noexcept { return static_cast<FileDescriptor&>(descriptor()); }
    bool absorb(int result) noexcept override {
        if (result == -EINTR && !is_stopping()) {
            return false;
        }
        result_ = result;
        return true;
    }

private:
    const char* what_;
};

class OpenOp final : public FileOp {
public:
    OpenOp(const DescriptorOwner& path, int flags, mode_t mode) noexcept
        : FileOp(path, "open"), flags_(flags), mode_(mode) {}
    /// A file that was opened, but that nobody took, is closed.
    ~OpenOp() { static_cast<void>(take_file()); }
    Fd await_resume() {
        take_result("open");
        return take_file();
    }

private:
    Fd take_file() noexcept { return Fd(std::exchange(result_, -EBADF)); }
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_openat(&sqe, AT_FDCWD, file().name.c_str(), flags_ | O_CLOEXEC, mode_);
        // At once, the kernel would open a named pipe as if with O_NONBLOCK.
        sqe.flags |= IOSQE_ASYNC;
    }

    int flags_;
    mode_t mode_;
};

class SyncOp final : public FileOp {
public:
    SyncOp(const DescriptorOwner& file, bool data_only) noexcept
        : FileOp(file, data_only ? "fdatasync" : "fsync"), data_only_(data_only) {}

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_fsync(&sqe, descriptor().number(), data_only_ ? IORING_FSYNC_DATASYNC : 0);
    }

    bool data_only_;
};

class StatOp final : public FileOp {
public:
    explicit StatOp(const DescriptorOwner& file) noexcept : FileOp(file, "stat") {}
    io::FileStatus await_resume();

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        const bool is_open = descriptor().number() >= 0;
        io_uring_prep_statx(&sqe, is_open ? descriptor().number() : AT_FDCWD, is_open ? "" : file().name.c_str(),
                            is_open ? AT_EMPTY_PATH : 0, STATX_BASIC_STATS, &found_);
    }

    struct statx found_ {};
};

io::FileStatus StatOp::await_resume() {
    take_result("stat");
    const auto time_of = [](const statx_timestamp& time) {
        return io::FileStatus::Time(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
    };
    io::FileStatus status;
    status.size = found_.stx_size;
    status.mode = found_.stx_mode;
    status.inode = found_.stx_ino;
    status.link_count = found_.stx_nlink;
    status.user = found_.stx_uid;
    status.group = found_.stx_gid;
    status.accessed = time_of(found_.stx_atime);
    status.modified = time_of(found_.stx_mtime);
    status.changed = time_of(found_.stx_ctime);
    return status;
}

class TruncateOp final : public FileOp {
public:
    TruncateOp(const DescriptorOwner& file, std::uint64_t size) noexcept : FileOp(file, "truncate"), size_(size) {}
    /// False: the kernel does not know the operation.
    bool await_resume() {
        if (result_ == -EINVAL) {
            result_ = 1;
        }
        return take_result("truncate") == 0;
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        io_uring_prep_rw(kOpFtruncate, &sqe, descriptor().number(), nullptr, 0, size_);
    }

    std::uint64_t size_;
};

class CloseOp final : public FileOp {
public:
    explicit CloseOp(const DescriptorOwner& file) noexcept : FileOp(file, "close") {}

private:
    void prepare(io_uring_sqe& sqe) noexcept override { io_uring_prep_close(&sqe, descriptor().number()); }
    bool absorb(int result) noexcept override {
        result_ = result;
        if (result != -ECANCELED && (completion_flags() & kNeverBegun) == 0) {
            descriptor().forget_number();  // Linux has given it back whatever it answers
        }
        return true;
    }
};

/// An operation on one name or two.
class NameOp final : public FileOp {
public:
    enum class What { remove, remove_directory, rename, make_directory };
    NameOp(const DescriptorOwner& path, const char* text, What what) noexcept : FileOp(path, text), what_(what) {}
    /// False: the kernel does not know the operation, as Linux 5.11 to 5.14 do not make directories.
    bool await_resume() {
        if (what_ == What::make_directory && result_ == -EINVAL) {
            result_ = 1;
        }
        return FileOp::await_resume() == 0;
    }

    const char* target = nullptr;
    mode_t mode = 0;

private:
    void prepare(io_uring_sqe& sqe) noexcept override {
        const char* const path = file().name.c_str();
        switch (what_) {
            case What::remove: io_uring_prep_unlinkat(&sqe, AT_FDCWD, path, 0); break;
            case What::remove_directory: io_uring_prep_unlinkat(&sqe, AT_FDCWD, path, AT_REMOVEDIR); break;
            case What::rename: io_uring_prep_renameat(&sqe, AT_FDCWD, path, AT_FDCWD, target, 0); break;
            case What::make_directory: io_uring_prep_mkdirat(&sqe, AT_FDCWD, path, mode); break;
        }
    }

    What what_;
};

DescriptorOwner name_of(const std::filesystem::path& path) {
    if (path.native().find('\0') != std::string::npos) {
        throw ValueError("a file's name has a NUL in it");
    }
    return DescriptorOwner(new FileDescriptor(Fd(), path.native()));
}

/// Of operations that have been stopped.
Coro<> wait_until_idle(const DescriptorOwner& file) {
    auto& descriptor = static_cast<FileDescriptor&>(*file.get());
    while (descriptor.is_busy_here()) {
        descriptor.idle.emplace();
        Future<> idle = *descriptor.idle;
        co_await idle;
    }
}

int flags_of(std::string_view mode) {
    const bool both = mode.find('+') != std::string_view::npos;
    int flags = both ? O_RDWR : O_WRONLY;
    unsigned letters = 0;
    for (const char letter : mode) {
        switch (letter) {
            case 'r': flags = both ? O_RDWR : O_RDONLY; break;
            case 'w': flags |= O_CREAT | O_TRUNC; break;
            case 'a': flags |= O_CREAT | O_APPEND; break;
            case 'x': flags |= O_CREAT | O_EXCL; break;
            case '+':
            case 'b': --letters; break;
            default: letters = 2; break;
        }
        ++letters;
    }
    if (letters != 1 || std::ranges::count(mode, '+') > 1 || std::ranges::count(mode, 'b') > 1) {
        throw ValueError("invalid mode: '" + std::string(mode) +
                         "': write one of r, w, a, x, then + for reading and writing");
    }
    return flags;
}

}  // namespace

void FileDescriptor::became_idle() noexcept {
    if (!idle) {
        return;
    }
    try {
        idle->set_result();
    } catch (const InvalidStateError&) {  // who waited was cancelled
    }
    idle.reset();
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::DescriptorOwner;
using knit::detail::Fd;
using knit::detail::FileDescriptor;
using knit::detail::NameOp;

File::File(Fd fd, std::string name) : owner_(new FileDescriptor(std::move(fd), std::move(name))) {
    const int number = native_handle();
    position()->is_at_end = (fcntl(number, F_GETFL) & O_APPEND) != 0;
    const off_t start = lseek(number, 0, position()->is_at_end ? SEEK_END : SEEK_CUR);
    const bool is_stream = start < 0;
    if (is_stream) {
        position()->is_at_end = false;
    }
    position()->offset = is_stream ? knit::detail::Transfer::kOwnPosition : static_cast<std::uint64_t>(start);
}

Coro<File> File::open(std::filesystem::path path, int flags, mode_t mode) {
    const DescriptorOwner name = knit::detail::name_of(path);
    knit::detail::OpenOp operation(name, flags, mode);
    Fd fd = co_await operation;
    co_return File(std::move(fd), path.native());
}

Coro<File> File::open(std::filesystem::path path, std::string_view mode) {
    return open(std::move(path), knit::detail::flags_of(mode));
}

knit::detail::WriteTransfer File::append(std::span<const std::byte> bytes) noexcept {
    return {owner_, bytes, true, 0, RWF_APPEND};
}

Coro<std::string> File::read_all() {
    constexpr std::size_t kStep = 64 * 1024;
    const FileStatus status = co_await stat();
    std::string bytes(static_cast<std::size_t>(status.is_regular() ? status.size : 0) + 1, '\0');
    std::size_t filled = 0;
    for (;;) {
        const std::size_t count = co_await read(std::span(bytes.data() + filled, bytes.size() - filled));
        filled += count;
        if (count == 0) {
            break;
        }
        if (filled == bytes.size()) {
            bytes.resize(bytes.size() + std::max(kStep, bytes.size() / 2));
        }
    }
    bytes.resize(filled);
    co_return bytes;
}

Coro<> File::fsync() {
    knit::detail::SyncOp operation(owner_, false);
    co_await operation;
}

Coro<> File::fdatasync() {
    knit::detail::SyncOp operation(owner_, true);
    co_await operation;
}

Coro<FileStatus> File::stat() {
    knit::detail::StatOp operation(owner_);
    co_return co_await operation;
}

Coro<> File::truncate(std::uint64_t size) {
    if (size > static_cast<std::uint64_t>(INT64_MAX)) {
        throw ValueError("a file cannot have " + std::to_string(size) + " bytes");
    }
    knit::detail::TruncateOp operation(owner_, size);
    if (co_await operation) {
        co_return;
    }
    // A descriptor of the job's own: a cancelled job goes on, and the file's number may be another's by then.
    const int own = fcntl(native_handle(), F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        throw std::system_error(errno, std::generic_category(), "truncate " + owner_.get()->describe());
    }
    auto file = std::make_shared<Fd>(own);
    auto job = to_thread([file, size] { return ::ftruncate(file->get(), static_cast<off_t>(size)) == 0 ? 0 : errno; });
    const int error = co_await std::move(job);
    if (error != 0) {
        throw std::system_error(error, std::generic_category(),
                                "truncate " + (is_open() ? owner_.get()->describe() : std::string("file")));
    }
}

Coro<> File::close() {
    const DescriptorOwner file = std::move(owner_);
    if (file.get() != nullptr) {
        file.get()->stop_operations();
        // What has not begun yet names the number, which a close would make another file's.
        co_await knit::detail::wait_until_idle(file);
        knit::detail::CloseOp operation(file);
        co_await operation;
    }
}

Coro<std::string> read_file(std::filesystem::path path) {
    File file = co_await File::open(std::move(path), O_RDONLY);
    std::string bytes = co_await file.read_all();
    co_await file.close();
    co_return bytes;
}

Coro<> write_file(std::filesystem::path path, std::string bytes) {
    File file = co_await File::open(std::move(path), O_WRONLY | O_CREAT | O_TRUNC);
    co_await file.write(bytes);
    co_await file.close();
}

Coro<FileStatus> stat(std::filesystem::path path) {
    const DescriptorOwner name = knit::detail::name_of(path);
    knit::detail::StatOp operation(name);
    co_return co_await operation;
}

Coro<> remove(std::filesystem::path path) {
    const DescriptorOwner name = knit::detail::name_of(path);
    NameOp operation(name, "remove", NameOp::What::remove);
    co_await operation;
}

Coro<> remove_directory(std::filesystem::path path) {
    const DescriptorOwner name = knit::detail::name_of(path);
    NameOp operation(name, "remove directory", NameOp::What::remove_directory);
    co_await operation;
}

Coro<> rename(std::filesystem::path from, std::filesystem::path to) {
    const DescriptorOwner name = knit::detail::name_of(from);
    const DescriptorOwner target = knit::detail::name_of(to);
    NameOp operation(name, "rename", NameOp::What::rename);
    operation.target = to.c_str();
    co_await operation;
}

Coro<> make_directory(std::filesystem::path path, mode_t mode) {
    const DescriptorOwner name = knit::detail::name_of(path);
    NameOp operation(name, "make directory", NameOp::What::make_directory);
    operation.mode = mode;
    if (co_await operation) {
        co_return;
    }
    auto job = to_thread([path, mode] { return ::mkdir(path.c_str(), mode) == 0 ? 0 : errno; });
    const int error = co_await std::move(job);
    if (error != 0) {
        throw std::system_error(error, std::generic_category(), "make directory " + path.native());
    }
}

Coro<std::vector<std::string>> list_directory(std::filesystem::path path) {
    auto job = to_thread([path] {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            names.push_back(entry.path().filename().native());
        }
        return names;
    });
    co_return co_await std::move(job);
}

}  // namespace knit::io
