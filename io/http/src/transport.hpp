/// Transport: a client's connection, whatever stream it is on.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/url.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/io/tcp.hpp"
#include "knit/time.hpp"

namespace knit::tls {
class Context;
}

namespace knit::http::detail {

class Transport {
public:
    virtual ~Transport() = default;
    virtual Coro<std::size_t> read_some(std::span<std::byte> buffer) = 0;
    virtual Coro<> write(std::string_view bytes) = 0;
    virtual void close() noexcept = 0;
    virtual int native_handle() const = 0;
    /// Bytes that have come and that the handle does not show, as TLS has them.
    virtual std::size_t available() const noexcept = 0;
    /// What TLS's ALPN has chosen; "" for nothing.
    virtual std::string alpn_protocol() const = 0;
};

template <io::ByteStream S>
class TransportOf final : public Transport {
public:
    explicit TransportOf(S stream) noexcept : stream_(std::move(stream)) {}
    ~TransportOf() override { stream_.close(); }
    Coro<std::size_t> read_some(std::span<std::byte> buffer) override {
        co_return static_cast<std::size_t>(co_await stream_.read_some(buffer));
    }
    Coro<> write(std::string_view bytes) override { co_await stream_.write(std::as_bytes(std::span(bytes))); }
    void close() noexcept override { stream_.close(); }
    int native_handle() const override { return stream_.native_handle(); }
    std::size_t available() const noexcept override {
        if constexpr (requires { stream_.available(); }) {
            return stream_.available();
        } else {
            return 0;
        }
    }
    std::string alpn_protocol() const override {
        if constexpr (requires { stream_.alpn_protocol(); }) {
            return stream_.alpn_protocol();
        } else {
            return {};
        }
    }

private:
    S stream_;
};

/// TLS over a connection to `url`'s host, or through a proxy to it. RuntimeError where this knit has no TLS. `alpn`, of
/// static storage, `alpn_overrides`: as in tls::Options.
Coro<std::unique_ptr<Transport>> secure(io::TcpStream stream, Url url, const tls::Context* context, Duration limit,
                                        std::string_view alpn, bool alpn_overrides = false);

}  // namespace knit::http::detail
