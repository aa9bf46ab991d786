/// StreamReader: asyncio's buffered reader, of a connection or standing alone.
#pragma once

#include <cstddef>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/detail/reader_state.hpp"

namespace knit::io {

/// What the asyncio streams give.
using Bytes = std::string;

/// Who feeds a StreamReader that stands alone, and can stop for a while.
class ReadTransport {
public:
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;

protected:
    ~ReadTransport() = default;
};

/// Reads bytes that somebody feeds: a connection, or whoever calls feed_data(). One read at a time waits; a second that
/// would have to throws RuntimeError. Move-only; it may be moved or destroyed while a read waits. One loop at a time; a
/// connection's: the loop that it was made on, RuntimeError elsewhere.
///
/// Every read throws the connection's error once there is one, even if bytes are left. Cancelled: CancelledError, and
/// the next read finds all the bytes.
class StreamReader {
public:
    /// One that stands alone. No line and no readuntil() may be longer than `limit`; whoever feeds is paused above
    /// twice of it and resumed at it. ValueError when it is 0.
    explicit StreamReader(std::size_t limit = std::size_t{64} << 10);
    /// Knit's own use.
    explicit StreamReader(knit::detail::ReaderRef state) noexcept : state_(std::move(state)) {}
    StreamReader(StreamReader&&) noexcept = default;
    StreamReader& operator=(StreamReader&& other) noexcept;
    ~StreamReader();

    /// Up to `count` bytes, at least one unless the stream has ended: empty then. Below 0: all up to the end.
    Coro<Bytes> read(std::ptrdiff_t count = -1);
    /// Up to and with the next "\n"; what is left when the stream ends before, perhaps nothing. ValueError for a line
    /// longer than the limit, which is dropped.
    Coro<Bytes> readline();
    /// Up to and with the separator. IncompleteReadError when the stream ends before; LimitOverrunError when it is not
    /// within the limit, all bytes stay then. ValueError for an empty one.
    Coro<Bytes> readuntil(std::string_view separator = "\n");
    /// The same for the separator, of several, that ends first. GCC 12 takes braces only outside of coroutines.
    Coro<Bytes> readuntil(std::vector<std::string> separators);
    Coro<Bytes> readuntil(std::initializer_list<std::string_view> separators);
    /// Exactly `count` bytes, whatever the limit. IncompleteReadError, with what came, when the stream ends before;
    /// ValueError when `count` is below 0.
    Coro<Bytes> readexactly(std::ptrdiff_t count);
    /// As readline(); nothing at the end: `while (auto line = co_await reader.next_line())`.
    Coro<std::optional<Bytes>> next_line();

    /// Whether the stream has ended and everything is read.
    bool at_eof() const;
    /// The connection's error, or null.
    std::exception_ptr exception() const;

    // For whoever feeds one that stands alone; on the loop of the task that reads.

    void feed_data(std::string_view data);
    void feed_eof();
    /// Ends the waiting read, and every later one, with this error.
    void set_exception(std::exception_ptr error);
    /// Will be paused and resumed; has to outlive the reader. RuntimeError for a connection's reader.
    void set_transport(ReadTransport& transport);

private:
    knit::detail::ReaderState& state() const;
    knit::detail::ReaderRef share() const;

    knit::detail::ReaderRef state_;
};

}  // namespace knit::io

namespace knit {
using io::Bytes;
using io::ReadTransport;
using io::StreamReader;
}  // namespace knit
