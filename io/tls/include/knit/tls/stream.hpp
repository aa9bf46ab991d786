/// TlsStream: TLS over a stream of any kind; itself a ByteStream.
#pragma once

#include <any>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/error.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/detail/byte_range.hpp"
#include "knit/tls/certificate.hpp"
#include "knit/tls/connection_info.hpp"
#include "knit/tls/detail/tls_core.hpp"

namespace knit::tls {

/// What connect(), accept() and kin give, after the handshake. Used on one loop; a read and a write may be under way
/// at the same time, more of them wait for each other. Each call that is awaited throws TlsError, what the stream below
/// throws, or CancelledError. Buffers stay until the await is over. A stream that is destroyed before it was closed is
/// abort()ed.
template <io::ByteStream S>
class TlsStream {
public:
    /// As asyncio's: a StreamWriter over TLS has no write_eof(). shutdown() is there for those who speak TLS knowingly.
    static constexpr bool kCanShutdown = false;

    TlsStream() noexcept = default;
    /// Knit's own use.
    explicit TlsStream(std::shared_ptr<knit::detail::TlsCoreOf<S>> core) noexcept : core_(std::move(core)) {}
    TlsStream(TlsStream&&) noexcept = default;
    TlsStream& operator=(TlsStream&& other) noexcept {
        if (this != &other) {
            leave();
            core_ = std::move(other.core_);
        }
        return *this;
    }
    ~TlsStream() { leave(); }

    /// As many bytes as there are, at least one; 0: the peer has said close-notify. An end without it is a TlsError
    /// with Errc::unexpected_eof, as in Python's ssl, since somebody else may have cut the stream. Cancelled: either
    /// CancelledError and nothing was read, or the bytes.
    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        return knit::detail::TlsCore::read_some(core(), buffer);
    }
    Coro<std::size_t> read_some(std::span<char> buffer) { return read_some(std::as_writable_bytes(buffer)); }
    Coro<std::size_t> read_some(std::span<unsigned char> buffer) { return read_some(std::as_writable_bytes(buffer)); }

    /// All the bytes; gives how many. Cancelled: CancelledError, and an unknown part has been sent; where the stream
    /// below has a write_some() the next write goes on in good order, else TLS is at its end.
    Coro<std::size_t> write(std::span<const std::byte> bytes) {
        return knit::detail::TlsCore::write(core(), bytes, true);
    }
    Coro<std::size_t> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
    template <knit::detail::ByteRange R>
    Coro<std::size_t> write(const R& bytes) {
        return write(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    Coro<std::size_t> write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

    /// At least one byte, at most 64 KiB; gives how many. Cancelled: either CancelledError and nothing was taken, or
    /// how many were; what is not sent of them yet is sent in the background.
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        return knit::detail::TlsCore::write(core(), bytes, false);
    }
    Coro<std::size_t> write_some(std::string_view text) { return write_some(std::as_bytes(std::span(text))); }
    template <knit::detail::ByteRange R>
    Coro<std::size_t> write_some(const R& bytes) {
        return write_some(knit::detail::bytes_of(bytes));
    }
    template <std::size_t N>
    Coro<std::size_t> write_some(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

    /// Sends close-notify, after a write that is under way: the peer reads the end of the stream, and most then end
    /// their side. Reading goes on, writing is over (EPIPE). Cancelled: behind that write nothing has happened, later
    /// close-notify is sent in the background.
    Coro<> shutdown() { return knit::detail::TlsCore::shutdown(core()); }

    /// Returns at once; what is under way throws. Unless that is a write, close-notify is sent in the background,
    /// within `shutdown_timeout`; then, where nobody was reading, the peer's is waited for, 5 seconds at most, so that
    /// its last bytes do not turn into a reset.
    void close() noexcept {
        if (core_ != nullptr) {
            core_->close();
        }
    }
    /// Waits until the stream below is closed, by close() or abort(). Cancelled: only the waiting ends.
    Coro<> wait_closed() { return knit::detail::TlsCore::wait_closed(core()); }
    /// Closes the stream below, without a word, also when close() is still at work: the peer gets an unexpected end.
    /// What is under way throws.
    void abort() noexcept {
        if (core_ != nullptr) {
            core_->abort();
        }
    }

    /// About how many bytes can be read without waiting for the peer; 0: none.
    std::size_t available() const noexcept { return core_ == nullptr ? 0 : core_->engine().available(); }

    /// What was agreed on by ALPN; "" for nothing.
    std::string alpn_protocol() const { return engine().alpn_protocol(); }
    /// "TLSv1.3".
    std::string version() const { return engine().version(); }
    /// "TLS_AES_256_GCM_SHA384".
    std::string cipher() const { return engine().cipher(); }
    /// The host name that the client asked for; "" for none.
    std::string server_name() const { return engine().server_name(); }
    bool is_resumed() const { return engine().is_resumed(); }
    std::optional<Certificate> peer_certificate() const { return engine().peer_certificate(); }
    /// asyncio's names, for a StreamWriter's get_extra_info(): "peercert" is a Certificate, if the peer has shown one;
    /// "cipher" a string; "ssl_object" a ConnectionInfo. Empty for any other name.
    std::any extra_info(std::string_view name) const { return knit::detail::extra_info_of(engine(), name); }

    /// The stream below, for its options. Not to be read or written.
    const S& lower() const { return core()->lower(); }
    S& lower() { return core()->lower(); }
    int native_handle() const requires requires(const S& stream) {
        { stream.native_handle() } -> std::convertible_to<int>;
    }
    { return lower().native_handle(); }
    auto peer_endpoint() const requires requires(const S& stream) { stream.peer_endpoint(); }
    { return lower().peer_endpoint(); }
    auto local_endpoint() const requires requires(const S& stream) { stream.local_endpoint(); }
    { return lower().local_endpoint(); }

private:
    void leave() noexcept {
        if (core_ != nullptr) {
            core_->leave();
        }
    }
    const std::shared_ptr<knit::detail::TlsCoreOf<S>>& core() const {
        if (core_ == nullptr) {
            throw RuntimeError("there is no TlsStream: it was moved from, or never connected");
        }
        return core_;
    }
    const knit::detail::TlsEngine& engine() const { return core()->engine(); }

    std::shared_ptr<knit::detail::TlsCoreOf<S>> core_;
};

}  // namespace knit::tls

namespace knit {
using tls::TlsStream;
}  // namespace knit
