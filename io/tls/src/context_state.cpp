#include "context_state.hpp"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

#include <openssl/err.h>

#include "knit/error.hpp"
#include "knit/tls/error.hpp"

namespace knit::detail {
namespace {

std::uint64_t next_id() noexcept {
    static Atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: a number that nobody else has, no more
}

}  // namespace

std::string take_openssl_error() {
    const unsigned long error = ERR_peek_error();
    std::string text;
    if (error != 0) {
        const char* const reason = ERR_reason_error_string(error);
        text = reason != nullptr ? reason : "error " + std::to_string(ERR_GET_REASON(error));
    }
    ERR_clear_error();
    return text;
}

TlsContextState::TlsContextState(bool is_server)
    : handle_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())),
      is_server_(is_server),
      id_(next_id()) {
    if (handle_ == nullptr) {
        throw tls::TlsError(tls::Errc::setup, "OpenSSL gives no context", take_openssl_error());
    }
    SSL_CTX* const context = handle_.get();
    if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION) {  // else openssl.cnf asks for more
        SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    }
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (is_server) {
        set_verify(tls::VerifyMode::none);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets hold all
        SSL_CTX_set_client_hello_cb(context, &choose_by_name, nullptr);
    } else {
        set_verify(tls::VerifyMode::required);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, &keep_new_session);
    }
    ERR_clear_error();
}

void TlsContextState::check_certificate() const {
    if (!has_certificate && names.empty() && !name_callback) {
        throw RuntimeError("a server's tls::Context needs a certificate: load_cert_chain(chain, key) first");
    }
}

void TlsContextState::set_verify(tls::VerifyMode mode) noexcept {
    int flags = SSL_VERIFY_NONE;
    if (mode != tls::VerifyMode::none) {
        flags = SSL_VERIFY_PEER | (mode == tls::VerifyMode::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    }
    SSL_CTX_set_verify(handle(), flags, &note_verification);
}

void TlsContextState::mark_sessions(SSL* ssl) const noexcept {
    SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(&id_), sizeof id_);
}

void append_alpn(std::string& list, std::string_view protocol) {
    if (protocol.empty() || protocol.size() > 255) {
        throw ValueError("a protocol's name for ALPN has 1 to 255 bytes, as \"h2\" or \"http/1.1\"");
    }
    list += static_cast<char>(protocol.size());
    list += protocol;
}

std::string alpn_list(std::string_view protocols) {
    std::string list;
    for (std::size_t comma = 0; comma != std::string_view::npos;) {
        comma = protocols.find(',');
        append_alpn(list, protocols.substr(0, comma));
        protocols.remove_prefix(comma == std::string_view::npos ? protocols.size() : comma + 1);
    }
    return list;
}

void TlsContextState::set_alpn(std::string protocols) {
    alpn_ = std::move(protocols);
    if (is_server_) {
        SSL_CTX_set_alpn_select_cb(handle(), alpn_.empty() ? nullptr : &TlsContextState::select_alpn, this);
        return;
    }
    const auto* const bytes = reinterpret_cast<const unsigned char*>(alpn_.data());
    if (SSL_CTX_set_alpn_protos(handle(), bytes, static_cast<unsigned>(alpn_.size())) != 0) {  // 0 is success
        throw std::bad_alloc();
    }
}

int TlsContextState::select_alpn(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                                 unsigned offered_size, void* state) noexcept {
    const std::string& ours = static_cast<TlsContextState*>(state)->alpn_;
    unsigned char* found = nullptr;
    const int result = SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                             static_cast<unsigned>(ours.size()), offered, offered_size);
    if (result != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301: no_application_protocol
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

std::shared_ptr<TlsContextState> TlsContextState::choose(std::string_view name) const {
    if (name_callback) {
        const std::optional<tls::Context> given = name_callback(name);
        if (given) {
            return given->state();
        }
    }
    if (names.empty()) {
        return nullptr;
    }
    auto found = names.find(std::string(name));
    if (found == names.end()) {
        const std::size_t dot = name.find('.');
        if (dot != std::string_view::npos && dot != 0) {
            found = names.find(std::string("*").append(name.substr(dot)));
        }
    }
    return found == names.end() ? nullptr : found->second;
}

}  // namespace knit::detail
