/// File: a file of the file system, and what is done with names of files.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/future.hpp"
#include "knit/io/detail/byte_range.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/transfer.hpp"

namespace knit::detail {

/// An open file, or the name of one that something is done with.
class FileDescriptor final : public Descriptor {
public:
    FileDescriptor(Fd fd, std::string what) : Descriptor(std::move(fd)), name(std::move(what)) {
        ask_for_became_idle();
    }
    std::string describe() const override { return name; }

    const std::string name;
    FilePosition position;
    std::optional<Future<>> idle;  ///< of a close, which waits until nothing is in flight

private:
    void became_idle() noexcept override;
};

}  // namespace knit::detail

namespace knit::io {

/// A write that failed: the disk is full (ENOSPC), the reader has gone (EPIPE) ... what() names the file and how many
/// bytes were written before, as written() does.
class WriteError : public std::system_error {
public:
    WriteError(std::error_code code, const std::string& text, std::size_t written)
        : std::system_error(code), text_(text), written_(written) {}
    const char* what() const noexcept override { return text_.c_str(); }
    std::size_t written() const noexcept { return written_; }

private:
    std::string text_;
    std::size_t written_;
};

/// What there is to know of a file.
struct FileStatus {
    using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

    std::uint64_t size = 0;
    mode_t mode = 0;  ///< type and permissions, as stat(2) has them
    std::uint64_t inode = 0;
    std::uint32_t link_count = 0;
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    Time accessed;
    Time modified;
    Time changed;  ///< of the status itself

    bool is_regular() const noexcept { return (mode & S_IFMT) == S_IFREG; }
    bool is_directory() const noexcept { return (mode & S_IFMT) == S_IFDIR; }
};

/// An open file. Move-only; the destructor closes it. It may be used on any loop, on one at a time. Any number of
/// operations at offsets may be in flight; those at the own position go one after the other. That position is this
/// object's: the kernel's, which programs that inherited the descriptor would share, does not move. Everything that is
/// awaited throws std::system_error, whose what() names operation and file, or CancelledError. Buffers belong to the
/// caller and have to stay until the await is over; so has the File until the await has begun.
///
/// A write beyond the limit of RLIMIT_FSIZE sends SIGXFSZ as always: a program that sets one ignores it, and gets
/// EFBIG.
class File {
public:
    /// No file.
    File() noexcept = default;
    /// Takes over an open descriptor.
    explicit File(knit::detail::Fd fd, std::string name = "file");

    /// Opens or makes a file; `flags` are those of open(2), O_CLOEXEC is added; `mode`, less the umask, is for a new
    /// one. Cancelled: CancelledError, and nothing stays open; but a file may have been made. (With the epoll driver
    /// eight opens of named pipes whose other ends nobody opens stop all work on files: use O_NONBLOCK there.)
    static Coro<File> open(std::filesystem::path path, int flags = O_RDONLY, mode_t mode = 0666);
    /// The same, said as in Python: "r", "w" (makes or truncates), "a" (makes or appends), "x" (makes; EEXIST), each
    /// with a "+" for both ways, "b" is allowed. ValueError for anything else.
    static Coro<File> open(std::filesystem::path path, std::string_view mode);

    bool is_open() const noexcept { return owner_.get() != nullptr; }
    explicit operator bool() const noexcept { return is_open(); }
    /// The descriptor, which stays the file's; -1 when closed.
    int native_handle() const noexcept { return is_open() ? owner_.get()->number() : -1; }

    /// As many bytes as the kernel gives at once, 0 at the end of the file or for an empty buffer. Cancelled: either
    /// CancelledError and the position is where it was, or the bytes.
    knit::detail::ReadTransfer read(std::span<std::byte> buffer) noexcept {
        return {owner_, buffer, knit::detail::Transfer::kOwnPosition, position()};
    }
    knit::detail::ReadTransfer read(std::span<char> buffer) noexcept { return read(std::as_writable_bytes(buffer)); }
    knit::detail::ReadTransfer read(std::span<unsigned char> buffer) noexcept {
        return read(std::as_writable_bytes(buffer));
    }
    /// The same from an offset; the position stays.
    knit::detail::ReadTransfer read_at(std::span<std::byte> buffer, std::uint64_t offset) noexcept {
        return {owner_, buffer, offset};
    }
    knit::detail::ReadTransfer read_at(std::span<char> buffer, std::uint64_t offset) noexcept {
        return read_at(std::as_writable_bytes(buffer), offset);
    }
    knit::detail::ReadTransfer read_at(std::span<unsigned char> buffer, std::uint64_t offset) noexcept {
        return read_at(std::as_writable_bytes(buffer), offset);
    }
    /// From the position to the end of the file. Cancelled: CancelledError, the position is somewhere.
    Coro<std::string> read_all();

    /// All the bytes at the position, which moves; gives how many. WriteError. Cancelled: CancelledError, and an
    /// unknown part has been written.
    knit::detail::WriteTransfer write(std::span<const std::byte> bytes) noexcept {
        return {owner_, bytes, true, knit::detail::Transfer::kOwnPosition, 0, position()};
    }
    knit::detail::WriteTransfer write(std::string_view text) noexcept { return write(std::as_bytes(std::span(text))); }
    template <knit::detail::ByteRange R>
    knit::detail::WriteTransfer write(const R& bytes) noexcept {
        return write(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    knit::detail::WriteTransfer write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    /// The same at an offset; the position stays. (With O_APPEND at the end all the same, as pwrite(2) has it.)
    knit::detail::WriteTransfer write_at(std::span<const std::byte> bytes, std::uint64_t offset) noexcept {
        return {owner_, bytes, true, offset};
    }
    knit::detail::WriteTransfer write_at(std::string_view text, std::uint64_t offset) noexcept {
        return write_at(std::as_bytes(std::span(text)), offset);
    }
    template <knit::detail::ByteRange R>
    knit::detail::WriteTransfer write_at(const R& bytes, std::uint64_t offset) noexcept {
        return write_at(knit::detail::bytes_of(bytes), offset);
    }
    template <std::size_t N>
    knit::detail::WriteTransfer write_at(char (&buffer)[N],
                                         std::uint64_t offset) = delete;  // say string_view(buffer, size)
    /// The same at the end of the file, wherever that is by then: writers that append do not overwrite each other,
    /// though each of several requests, when the first writes less, finds its own end.
    knit::detail::WriteTransfer append(std::span<const std::byte> bytes) noexcept;
    knit::detail::WriteTransfer append(std::string_view text) noexcept {
        return append(std::as_bytes(std::span(text)));
    }

    template <knit::detail::ByteRange R>
    knit::detail::WriteTransfer append(const R& bytes) noexcept {
        return append(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    knit::detail::WriteTransfer append(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

    /// What has been written reaches the device. Cancelled: CancelledError, unless it was done already.
    Coro<> fsync();
    /// The same without what is not needed to read it back.
    Coro<> fdatasync();
    Coro<FileStatus> stat();
    /// Cuts the file, or fills it up with zeros. Cancelled: CancelledError, and it is unknown whether it was done.
    Coro<> truncate(std::uint64_t size);
    /// Gives back the descriptor, and says, as the destructor cannot, what writing back the last bytes came to: EIO,
    /// ENOSPC, EDQUOT. Operations that are in flight end with ECANCELED. Closed in any case, also when cancelled or
    /// when it throws. May be called again.
    Coro<> close();

private:
    knit::detail::FilePosition* position() const noexcept {
        return is_open() ? &static_cast<knit::detail::FileDescriptor*>(owner_.get())->position : nullptr;
    }

    knit::detail::DescriptorOwner owner_;
};

/// The whole file. Cancelled: CancelledError.
Coro<std::string> read_file(std::filesystem::path path);
/// Makes or truncates the file and writes the bytes. Not atomic: another reader may see a part, as may everybody after
/// a cancellation or an error.
Coro<> write_file(std::filesystem::path path, std::string bytes);
/// Of a name; that of a symbolic link is followed. ENOENT when there is nothing.
Coro<FileStatus> stat(std::filesystem::path path);
/// A file's name, not a directory's: EISDIR. Cancelled, as all that follow: CancelledError, and it is unknown whether
/// it was done.
Coro<> remove(std::filesystem::path path);
Coro<> remove_directory(std::filesystem::path path);
/// Replaces what `to` named, at once for everybody.
Coro<> rename(std::filesystem::path from, std::filesystem::path to);
Coro<> make_directory(std::filesystem::path path, mode_t mode = 0777);
/// The names in a directory, "." and ".." left out, in no order. Read on the blocking pool.
Coro<std::vector<std::string>> list_directory(std::filesystem::path path);

}  // namespace knit::io

namespace knit {
using io::File;
using io::FileStatus;
using io::WriteError;
}  // namespace knit
