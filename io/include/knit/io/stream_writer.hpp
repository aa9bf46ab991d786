/// StreamWriter: asyncio's writer, over whatever stream there is.
#pragma once

#include <any>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/detail/stream_core.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::io {

struct WriteBufferLimits {
    std::size_t low;
    std::size_t high;
};

/// Writes to a connection without waiting; drain() is where a writer waits for a slow peer. What is written in one turn
/// of the loop is sent in one go. The writer owns the connection: when it is destroyed, what was written is sent and
/// the connection closed, with a warning "unclosed <StreamWriter ...>" unless close() was called. Move-only. Used on
/// the loop that the connection was made on, RuntimeError elsewhere; it may be destroyed anywhere.
class StreamWriter {
public:
    /// Knit's own use.
    explicit StreamWriter(knit::detail::StreamCoreRef core) noexcept : core_(std::move(core)) {}
    StreamWriter(StreamWriter&&) noexcept = default;
    StreamWriter& operator=(StreamWriter&& other) noexcept;
    ~StreamWriter();

    /// Takes the bytes. After close(), or once the connection is lost, they are dropped: drain() says so. RuntimeError
    /// after write_eof().
    void write(std::string_view data);
    /// The same without a copy where nothing waits to be sent.
    template <std::same_as<std::string> S>
    void write(S&& data) requires(!std::is_lvalue_reference_v<S>) {
        writable("write").write(std::move(data));
    }
    template <std::size_t N>
    void write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)
    /// write() for each of them.
    template <std::ranges::input_range R>
    void writelines(R&& lines) {
        knit::detail::StreamCore& core = writable("writelines");
        for (const auto& line : lines) {
            core.write(std::string_view(line));
        }
    }
    void writelines(std::initializer_list<std::string_view> lines) {
        writelines(std::span<const std::string_view>(lines.begin(), lines.size()));
    }
    /// Waits, once more than the high-water mark is unsent, until no more than the low one is; else returns at once.
    /// Any number of tasks. Throws the connection's error; std::system_error ECONNRESET "Connection lost" after its
    /// end. Cancelled: only the waiting ends.
    Coro<> drain();

    /// Whether the stream has a half-close.
    bool can_write_eof() const;
    /// Sends what was written and then the end of the stream; reading goes on.
    void write_eof();
    /// Sends what was written, then closes; the reader ends. Does not wait. May be called again. A peer that takes
    /// nothing keeps the connection open, without limit: `wait_for(writer.wait_closed(), ...)`, then abort().
    void close();
    bool is_closing() const;
    /// Waits until the connection is closed, by close(), abort() or an error, which is thrown. Cancelled: only the
    /// waiting ends.
    Coro<> wait_closed();
    /// Closes without sending what was written.
    void abort();

    /// nullopt: `high` four times `low`, or 64 KiB; `low` a quarter of `high`. ValueError unless high >= low.
    void set_write_buffer_limits(std::optional<std::size_t> high = {}, std::optional<std::size_t> low = {});
    WriteBufferLimits get_write_buffer_limits() const;
    /// Bytes that the kernel has not taken yet.
    std::size_t get_write_buffer_size() const;

    /// "peername" and "sockname": the stream's endpoint, of a TCP stream an Endpoint, also after the end; "socket": the
    /// descriptor, an int. Over a stream that has an extra_info(name), as TlsStream has, what that gives. Empty where
    /// the stream has none, and for any other name.
    std::any get_extra_info(std::string_view name) const;
    /// The same as a T; `fallback` when it is none.
    template <class T>
    T get_extra_info(std::string_view name, T fallback) const {
        const std::any found = get_extra_info(name);
        const T* const value = std::any_cast<T>(&found);
        return value != nullptr ? *value : fallback;
    }
    /// RuntimeError for a stream that has no Endpoint.
    Endpoint local_endpoint() const;
    Endpoint peer_endpoint() const;

private:
    knit::detail::StreamCore& core() const;
    knit::detail::StreamCore& writable(const char* function) const;
    Endpoint endpoint_of(const char* name) const;

    knit::detail::StreamCoreRef core_;
};

}  // namespace knit::io

namespace knit {
using io::StreamWriter;
using io::WriteBufferLimits;
}  // namespace knit
