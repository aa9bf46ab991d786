/// ByteStream: what a stream has to offer to be read by a StreamReader and written by a StreamWriter. A concept, not a
/// class: TcpStream and the ends of a pipe fit as they are, and so does whatever wraps another stream.
///
/// Each of these is called on one loop, with at most one read and one write in flight at a time. Buffers stay until the
/// call is over. A cancelled call either gives its result or throws CancelledError and has done nothing. close() ends
/// what is in flight, which then throws, and returns at once; no call follows it.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include "knit/detail/awaitable.hpp"

namespace knit::io {

/// read_some() gives how many bytes have come, 0 at the end of the stream. Optional: `available()`, how many bytes can
/// be read without waiting; without it, native_handle() is asked.
template <class S>
concept ReadableStream = std::movable<S> && requires(S& stream, std::span<std::byte> buffer) {
    { stream.read_some(buffer) } -> Awaitable;
    requires std::convertible_to<await_result_t<decltype(stream.read_some(buffer))>, std::size_t>;
    stream.close();
};

/// write() sends all the bytes. shutdown() says that no more will come; it may be awaitable. Optional: write_some(),
/// which gives how many bytes have been taken, so that a writer sees progress; `static constexpr bool kCanShutdown =
/// false` for a stream without a half-close.
template <class S>
concept WritableStream = std::movable<S> && requires(S& stream, std::span<const std::byte> bytes) {
    { stream.write(bytes) } -> Awaitable;
    stream.shutdown();
    stream.close();
};

/// Optional: abort(), which is close() for a connection that has failed or is given up, where that differs: TLS says no
/// close-notify then. Optional beside it: wait_closed(), awaited after close(), for what that leaves to be done;
/// abort() may then follow close(), and breaks it off.
/// Optional: local_endpoint() and peer_endpoint(), which the writer then has too.
template <class S>
concept ByteStream = ReadableStream<S> && WritableStream<S>;

}  // namespace knit::io
