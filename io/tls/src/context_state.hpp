/// TlsContextState: what a Context is a handle to: an SSL_CTX, and what it lacks.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <openssl/ssl.h>

#include "knit/detail/base.hpp"
#include "knit/tls/context.hpp"
#include "session_cache.hpp"

namespace knit::detail {

class TlsContextState {
public:
    explicit TlsContextState(bool is_server);
    TlsContextState(const TlsContextState&) = delete;
    TlsContextState& operator=(const TlsContextState&) = delete;

    SSL_CTX* handle() const noexcept { return handle_.get(); }
    bool is_server() const noexcept { return is_server_; }
    /// From now on nobody changes it. Any thread.
    void begin_use() noexcept { is_used_.store(true, std::memory_order_relaxed); }  // relaxed: finds a mistake, no more
    bool is_used() const noexcept { return is_used_.load(std::memory_order_relaxed); }  // relaxed: as above
    TlsSessionCache& sessions() noexcept { return sessions_; }

    /// RuntimeError for a server's that has no certificate, and nobody to ask for one.
    void check_certificate() const;
    void set_verify(tls::VerifyMode mode) noexcept;
    void set_alpn(std::string protocols);
    bool has_alpn() const noexcept { return !alpn_.empty(); }
    /// Whose certificate a client gets that asks for `name`; null: this one's. Throws what the callback throws.
    std::shared_ptr<TlsContextState> choose(std::string_view name) const;
    /// Says whom a session belongs to: what one Context has verified does not count with another.
    void mark_sessions(SSL* ssl) const noexcept;

    // Changed before the first use alone.
    bool checks_hostname = true;
    bool resumes = true;
    bool has_certificate = false;
    std::unordered_map<std::string, std::shared_ptr<TlsContextState>> names;
    tls::Context::NameCallback name_callback;

private:
    struct FreeContext {
        void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    };

    static int select_alpn(SSL* ssl, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                           unsigned offered_size, void* state) noexcept;

    std::unique_ptr<SSL_CTX, FreeContext> handle_;
    const bool is_server_;
    const std::uint64_t id_;
    Atomic<bool> is_used_{false};  ///< set by the first connection, on any loop; read by the setters
    std::string alpn_;             ///< as in the extension: each with its length in front
    TlsSessionCache sessions_;     ///< of a client
};

/// Adds a protocol to a list as the extension has it. ValueError for a name that is none.
void append_alpn(std::string& list, std::string_view protocol);
/// Such a list of names that have commas between them.
std::string alpn_list(std::string_view protocols);
/// OpenSSL's words for the first error in this thread's queue, which is emptied; "" for none.
std::string take_openssl_error();
/// Asked at every handshake for the peer's name; calls TlsEngine.
int choose_by_name(SSL* ssl, int* alert, void*) noexcept;
int note_verification(int is_good, X509_STORE_CTX* store) noexcept;
int keep_new_session(SSL* ssl, SSL_SESSION* session) noexcept;

}  // namespace knit::detail
