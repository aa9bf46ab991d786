/// Two ends of one TLS connection, and what the tests of TLS share.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "authority.hpp"
#include "knit/tls.hpp"
#include "stream_pair.hpp"

namespace knit::test {

using TcpTls = TlsStream<TcpStream>;

/// The authority that the tests trust.
inline const Authority& authority() {
    static const Authority instance("Knit Test CA");
    return instance;
}

inline tls::Context server_context(const Wanted& wanted) {
    const Identity identity = authority().issue(wanted);
    tls::Context context = tls::Context::server();
    context.use_cert_chain(identity.chain, identity.key);
    return context;
}

// No default argument: GCC 12 cannot make one that has strings inside a co_await expression.
inline tls::Context server_context() { return server_context(Wanted()); }

inline tls::Context client_context() {
    tls::Context context = tls::Context::client(tls::Roots::none);
    context.use_verify_certificates(authority().pem());
    return context;
}

inline tls::Options to(std::string_view name) {
    tls::Options options;
    options.server_name = name;
    return options;
}

struct TlsPair {
    TcpTls near;  ///< the client's
    TcpTls far;
};

/// Both shake hands; throws what the client's side throws, else the server's.
inline Coro<TlsPair> tls_pair(tls::Context client, tls::Context server, std::string_view name = "server.test") {
    Coro<Pair> connecting = connected_pair();
    Pair pair = co_await std::move(connecting);
    const tls::Options options = to(name);
    auto accepting = create_task(tls::accept(std::move(pair.far), server));
    std::exception_ptr error;
    TlsPair made;
    try {
        Coro<TcpTls> shaking = tls::connect(std::move(pair.near), client, options);
        made.near = co_await std::move(shaking);
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr) {
        static_cast<void>(co_await code_of(accepting));
        std::rethrow_exception(error);
    }
    made.far = co_await std::move(accepting);
    co_return made;
}

inline Coro<TlsPair> tls_pair() { return tls_pair(client_context(), server_context()); }

/// Reads to the end.
template <class S>
Coro<std::string> read_all(S& stream) {
    std::string text;
    char buffer[8192];
    for (;;) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            co_return text;
        }
        text.append(buffer, count);
    }
}

template <class S>
Coro<std::string> read_exactly(S& stream, std::size_t size) {
    std::string text(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const std::size_t count = co_await stream.read_some(std::span<char>(text).subspan(done));
        if (count == 0) {
            break;
        }
        done += count;
    }
    text.resize(done);
    co_return text;
}

/// Bytes that are not alike.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string text(size, '\0');
    std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (char& letter : text) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        letter = static_cast<char>(state >> 56);
    }
    return text;
}

/// A TCP stream that takes nothing any more, once it is stuck.
class Stuck {
public:
    Stuck(TcpStream stream, bool& is_stuck) : stream_(std::move(stream)), is_stuck_(&is_stuck) {}
    auto read_some(std::span<std::byte> buffer) { return stream_.read_some(buffer); }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        if (*is_stuck_) {
            co_await sleep(std::chrono::hours(1));
        }
        co_return co_await stream_.write_some(bytes);
    }
    Coro<std::size_t> write(std::span<const std::byte> bytes) { return write_some(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    TcpStream stream_;
    bool* is_stuck_;
};

}  // namespace knit::test
