/// Pipes, and the ends of others' pipes, terminals and files that are read or written one way.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/detail/byte_range.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/io/detail/transfer.hpp"

namespace knit::detail {

class PipeDescriptor final : public Descriptor {
public:
    PipeDescriptor(Fd fd, std::string what, bool shared)
        : Descriptor(std::move(fd)), name(std::move(what)), is_shared_(shared) {}
    std::string describe() const override { return name; }
    bool is_shared() const noexcept override { return is_shared_; }

    const std::string name;

private:
    const bool is_shared_;
};

/// For a write to a pipe: what keeps the kernel from sending SIGPIPE.
int no_signal_flag() noexcept;

}  // namespace knit::detail

namespace knit::io {

/// One end. Move-only; the destructor closes it. It may be used on any loop, on one at a time. Awaiters hold a
/// reference to the object until they are awaited, and buffers have to stay until the await is over.
class PipeEnd {
public:
    PipeEnd() noexcept = default;

    bool is_open() const noexcept { return owner_.get() != nullptr; }
    explicit operator bool() const noexcept { return is_open(); }
    /// The descriptor, which stays the pipe's; -1 when closed.
    int native_handle() const noexcept { return is_open() ? owner_.get()->number() : -1; }
    /// Gives the descriptor back. Operations in flight end with ECANCELED. May be called again.
    void close() noexcept { owner_.close(); }

protected:
    PipeEnd(knit::detail::Fd fd, std::string name, bool is_shared)
        : owner_(new knit::detail::PipeDescriptor(std::move(fd), std::move(name), is_shared)) {}

    knit::detail::DescriptorOwner owner_;
};

class PipeReader : public PipeEnd {
public:
    PipeReader() noexcept = default;
    /// Takes over a descriptor. Whether it is non-blocking is no matter, and stays, because others may have it too,
    /// unless `is_shared` says that they have not.
    explicit PipeReader(knit::detail::Fd fd, std::string name = "pipe", bool is_shared = true)
        : PipeEnd(std::move(fd), std::move(name), is_shared) {}

    /// As many bytes as there are, at least one; 0 when every writer has closed. Cancelled: either CancelledError and
    /// nothing was read, or the bytes. Throws std::system_error.
    knit::detail::ReadTransfer read_some(std::span<std::byte> buffer) noexcept { return {owner_, buffer}; }
    knit::detail::ReadTransfer read_some(std::span<char> buffer) noexcept {
        return read_some(std::as_writable_bytes(buffer));
    }
    knit::detail::ReadTransfer read_some(std::span<unsigned char> buffer) noexcept {
        return read_some(std::as_writable_bytes(buffer));
    }
};

/// SIGPIPE is not sent for a pipe without a reader: the write throws EPIPE. Before Linux 6.18 that takes that the
/// loop's thread blocks SIGPIPE, from its first write to a pipe on; what the process does with the signal stays.
class PipeWriter : public PipeEnd {
public:
    PipeWriter() noexcept = default;
    /// As PipeReader's.
    explicit PipeWriter(knit::detail::Fd fd, std::string name = "pipe", bool is_shared = true)
        : PipeEnd(std::move(fd), std::move(name), is_shared) {}

    /// All the bytes; gives how many. Up to PIPE_BUF (4,096) bytes do not mix with other writers'. Throws WriteError:
    /// EPIPE when every reader has closed. Cancelled: CancelledError, and an unknown part has been written.
    knit::detail::WriteTransfer write(std::span<const std::byte> bytes) noexcept {
        return {owner_, bytes, true, knit::detail::Transfer::kOwnPosition, knit::detail::no_signal_flag()};
    }
    knit::detail::WriteTransfer write(std::string_view text) noexcept { return write(std::as_bytes(std::span(text))); }
    template <knit::detail::ByteRange R>
    knit::detail::WriteTransfer write(const R& bytes) noexcept {
        return write(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    knit::detail::WriteTransfer write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    /// At least one byte, and as many as there is room for. Gives how many. Cancelled: as read_some().
    knit::detail::WriteTransfer write_some(std::span<const std::byte> bytes) noexcept {
        return {owner_, bytes, false, knit::detail::Transfer::kOwnPosition, knit::detail::no_signal_flag()};
    }
    knit::detail::WriteTransfer write_some(std::string_view text) noexcept {
        return write_some(std::as_bytes(std::span(text)));
    }
    template <knit::detail::ByteRange R>
    knit::detail::WriteTransfer write_some(const R& bytes) noexcept {
        return write_some(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    knit::detail::WriteTransfer write_some(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    /// Closes: a pipe has no other way to say that nothing more will come.
    void shutdown() noexcept { close(); }
};

struct Pipe {
    PipeReader reader;
    PipeWriter writer;
};

/// A new pipe; other programs do not inherit it. Any thread. Throws std::system_error, as with EMFILE.
Pipe pipe();

/// This program's standard input, output and error output: each an own descriptor of the same open file, so that
/// closing it leaves 0, 1 and 2 as they are. They are never made non-blocking, because a terminal is shared with the
/// shell and with other programs. A regular file, a device or a socket is as good as a pipe. Throws std::system_error
/// with EBADF when the program was started without it.
PipeReader standard_input();
PipeWriter standard_output();
PipeWriter standard_error();

}  // namespace knit::io

namespace knit {
using io::PipeReader;
using io::PipeWriter;
}  // namespace knit
