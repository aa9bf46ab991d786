/// TlsEngine: one connection's TLS, without the connection. Bytes of the network go in and out by hand.
///
/// The whole is one thread's at a time. Nothing here waits, so OpenSSL's error queue, which is a thread's own, is read
/// before anybody else can fill it.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "knit/tls/certificate.hpp"
#include "knit/tls/error.hpp"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct x509_store_ctx_st;

namespace knit::detail {

class TlsContextState;

class TlsEngine {
public:
    /// `host` is whom a client wants to talk to, empty for a server; `session_key` names what it may resume.
    /// A dot at its end is left out. RuntimeError for a server's Context without a certificate.
    TlsEngine(std::shared_ptr<TlsContextState> context, std::string host, std::string session_key);
    TlsEngine(const TlsEngine&) = delete;
    TlsEngine& operator=(const TlsEngine&) = delete;
    ~TlsEngine();
    /// Names with commas between them, which a client offers if its Context says nothing else. Before the handshake.
    void offer_alpn(std::string_view protocols, bool overrides);

    // The network's side.

    /// Where the next bytes from the network go, and that they have come; none: the stream has ended.
    std::span<std::byte> input_space();
    void take_input(std::size_t count) noexcept;
    /// What is to be sent, which stays where it is until sent() has been told of all of it; empty: nothing.
    std::span<const std::byte> next_output() noexcept;
    void sent(std::size_t count) noexcept;
    /// Writing has come to a pause: gives the memory back that an idle connection does not need.
    void trim_output() noexcept;
    bool has_output() const noexcept { return !output_.empty() || sent_ != sending_.size(); }
    /// What reading has added to the output since that was last sent.
    std::size_t answer_size() const noexcept { return answer_size_; }

    // The program's side. TlsError from each, the same one again after the first.

    /// True: done. False: wants input.
    bool handshake();
    /// How many bytes, 0: the peer has sent close-notify; nothing: wants input.
    std::optional<std::size_t> read(std::span<std::byte> buffer);
    /// How many bytes were taken, at most kBatch; nothing: wants input first. EPIPE after shutdown().
    std::optional<std::size_t> write(std::span<const std::byte> bytes);
    /// Close-notify, once; nothing where TLS has failed or has not begun.
    void shutdown() noexcept;
    /// What is left of the connection is of no use.
    void fail(std::exception_ptr error) noexcept { failure_ = std::move(error); }
    bool has_failed() const noexcept { return failure_ != nullptr; }
    bool is_established() const noexcept { return is_established_; }
    /// About how many bytes can be read without input; 0: none.
    std::size_t available() const noexcept;

    // What the handshake has agreed on.

    std::string alpn_protocol() const;
    std::string version() const;
    std::string cipher() const;
    std::string server_name() const;
    bool is_resumed() const noexcept;
    std::optional<tls::Certificate> peer_certificate() const;

    // OpenSSL's side.

    std::size_t pull(char* into, std::size_t count) noexcept;
    bool push(const char* bytes, std::size_t count) noexcept;
    bool has_input_ended() const noexcept { return has_input_ended_ && input_begin_ == input_end_; }
    void note_refusal(x509_store_ctx_st& store) noexcept;
    void keep_session(ssl_session_st* session) noexcept;
    /// Another Context's certificate was chosen; it has to live as long.
    void keep_context(std::shared_ptr<TlsContextState> context) noexcept { chosen_ = std::move(context); }
    TlsContextState& context() const noexcept { return *context_; }
    static TlsEngine& of(const ssl_st* ssl) noexcept;

    static constexpr std::size_t kBatch = std::size_t{64} << 10;

private:
    void prepare_client();
    [[noreturn]] void throw_failure(const char* doing, int result);
    std::exception_ptr make_failure(const char* doing, int error);
    std::string peer_name() const;

    std::shared_ptr<TlsContextState> context_;
    std::shared_ptr<TlsContextState> chosen_;
    ssl_st* ssl_ = nullptr;
    std::string host_;
    std::string session_key_;
    std::unique_ptr<std::byte[]> input_;  ///< from the network, not decrypted yet
    std::size_t input_size_ = 0;
    std::size_t input_begin_ = 0;
    std::size_t input_end_ = 0;
    std::string output_;   ///< to the network
    std::string sending_;  ///< being sent, from sent_ on
    std::size_t sent_ = 0;
    std::size_t answer_size_ = 0;
    std::exception_ptr failure_;
    std::optional<tls::RefusedCertificate> refused_;
    bool wants_much_ = false;
    bool has_input_ended_ = false;
    bool is_established_ = false;
    bool is_shut_down_ = false;
};

}  // namespace knit::detail
