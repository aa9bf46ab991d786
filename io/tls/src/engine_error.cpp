// What OpenSSL's callbacks ask the engine, and what has gone wrong, in words.

#include <algorithm>
#include <cctype>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "certificate.hpp"
#include "context_state.hpp"
#include "knit/error.hpp"
#include "knit/tls/detail/engine.hpp"

namespace knit::detail {
namespace {

/// The name in a ClientHello, in lower case; "" for none. OpenSSL has checked nothing of it yet.
std::string asked_for(SSL* ssl) {
    const unsigned char* bytes = nullptr;
    std::size_t size = 0;
    // A list's length, a type, a name's length, each two bytes but the type; the list has one entry.
    constexpr std::size_t kHead = 5;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1 || size <= kHead ||
        bytes[2] != TLSEXT_NAMETYPE_host_name || (std::size_t{bytes[3]} << 8 | bytes[4]) != size - kHead) {
        return {};
    }
    std::string name(reinterpret_cast<const char*>(bytes) + kHead, size - kHead);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return name;
}

/// What a peer has made up, fit for a message: of one line, and not without end.
std::string printable(std::string_view text) {
    constexpr std::size_t kShown = 200;
    std::string shown(text.substr(0, kShown));
    for (char& letter : shown) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte < 0x20 || byte == 0x7f || letter == '"') {
            letter = '?';
        }
    }
    return shown + (text.size() > kShown ? "..." : "");
}

std::string in_quotes(const std::string& name) {
    return name.empty() ? "without a name" : std::string("\"").append(printable(name)).append("\"");
}

/// What the program's callback throws refuses a client, which may ask for any name: to a server that is a handshake
/// like any other that has failed, with the exception nested in its error.
std::shared_ptr<TlsContextState> choose(const TlsEngine& engine, const std::string& name) {
    try {
        return engine.context().choose(name);
    } catch (const std::exception& error) {
        std::throw_with_nested(tls::TlsError(tls::Errc::setup,
                                             "server_name_callback, asked for " + in_quotes(name) + ": " + error.what(),
                                             ""));
    }
}

void choose_context(SSL* ssl) {
    TlsEngine& engine = TlsEngine::of(ssl);
    std::shared_ptr<TlsContextState> chosen = choose(engine, asked_for(ssl));
    if (chosen == nullptr || chosen.get() == &engine.context()) {
        return;
    }
    if (!chosen->is_server() || !chosen->has_certificate) {
        throw ValueError("what a server_name_callback() gives has to be a server's Context, with a certificate");
    }
    chosen->begin_use();
    SSL_CTX* const context = chosen->handle();
    if (SSL_set_SSL_CTX(ssl, context) == nullptr) {
        throw std::bad_alloc();
    }
    // That takes over the certificate, the ciphers and ALPN; the rest was copied when the connection was made.
    SSL_set_min_proto_version(ssl, static_cast<int>(SSL_CTX_get_min_proto_version(context)));
    SSL_set_max_proto_version(ssl, static_cast<int>(SSL_CTX_get_max_proto_version(context)));
    SSL_clear_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_options(ssl, SSL_CTX_get_options(context) & SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(context));
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), &note_verification);
    chosen->mark_sessions(ssl);
    engine.keep_context(std::move(chosen));
}

std::string join(const std::vector<std::string>& names) {
    constexpr std::size_t kShown = 5;
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
        text += (i == 0 ? "" : ", ") + printable(names[i]);
    }
    if (names.size() > kShown) {
        text += " and " + std::to_string(names.size() - kShown) + " more";
    }
    return text.empty() ? "no host" : text;
}

const char* hint_for(int reason) noexcept {
    switch (reason) {
        case SSL_R_WRONG_VERSION_NUMBER: return " (does the peer speak TLS here?)";
        case SSL_R_HTTP_REQUEST: return " (the peer speaks HTTP without TLS)";
        case SSL_R_NO_SHARED_CIPHER: return " (or there is no certificate for the name asked for)";
        default: return "";
    }
}

}  // namespace

// Exceptions do not pass through OpenSSL: the handshake fails.
int choose_by_name(SSL* ssl, int* alert, void*) noexcept {
    try {
        choose_context(ssl);
        return SSL_CLIENT_HELLO_SUCCESS;
    } catch (...) {
        TlsEngine::of(ssl).fail(std::current_exception());
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
}

int note_verification(int is_good, X509_STORE_CTX* store) noexcept {
    if (is_good != 1) {
        const auto* const ssl =
            static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
        TlsEngine::of(ssl).note_refusal(*store);
    }
    return is_good;
}

int keep_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
    TlsEngine::of(ssl).keep_session(session);
    return 1;  // the reference is ours
}

void TlsEngine::note_refusal(X509_STORE_CTX& store) noexcept {
    try {
        tls::RefusedCertificate refused;
        refused.code = X509_STORE_CTX_get_error(&store);
        refused.depth = X509_STORE_CTX_get_error_depth(&store);
        refused.reason = X509_verify_cert_error_string(refused.code);
        if (X509* const certificate = X509_STORE_CTX_get_current_cert(&store)) {
            refused.subject = name_text(X509_get_subject_name(certificate));
            refused.issuer = name_text(X509_get_issuer_name(certificate));
            if (refused.code == X509_V_ERR_HOSTNAME_MISMATCH || refused.code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
                refused.reason += ": it is for " + join(names_of(certificate));
            }
        }
        refused_ = std::move(refused);
    } catch (const std::bad_alloc&) {
        refused_.reset();  // told without details
    }
}

std::string TlsEngine::peer_name() const {
    return host_.empty() ? context_->is_server() ? " with a client" : "" : " with " + host_;
}

void TlsEngine::throw_failure(const char* doing, int result) {
    if (failure_ == nullptr) {  // else a callback has failed
        failure_ = make_failure(doing, SSL_get_error(ssl_, result));
    }
    ERR_clear_error();
    std::rethrow_exception(failure_);
}

std::exception_ptr TlsEngine::make_failure(const char* doing, int error) {
    const int reason = ERR_GET_REASON(ERR_peek_error());
    const bool is_ssl = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL;
    std::string text = take_openssl_error();
    const std::string start = doing + peer_name();
    if (refused_ && is_ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        const std::string what = start + ": the certificate " + in_quotes(refused_->subject) + ", issued by " +
                                 in_quotes(refused_->issuer) + ", is refused: " + refused_->reason;
        return std::make_exception_ptr(tls::CertificateError(what, *refused_));
    }
    if (is_ssl && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        tls::RefusedCertificate none;
        none.reason = std::move(text);
        return std::make_exception_ptr(
            tls::CertificateError(start + ": the peer has shown no certificate", std::move(none)));
    }
    if ((is_ssl && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) || (text.empty() && has_input_ended_)) {
        return std::make_exception_ptr(tls::TlsError(
            tls::Errc::unexpected_eof, start + ": the peer has ended the connection without close-notify", text));
    }
    // Alerts of the peer have numbers from there on.
    if (is_ssl && reason >= SSL_AD_REASON_OFFSET) {
        return std::make_exception_ptr(
            tls::TlsError(tls::Errc::refused, start + ": the peer says \"" + text + "\"", text));
    }
    if (text.empty()) {
        text = "OpenSSL error " + std::to_string(error);
    }
    const char* const hint = is_ssl ? hint_for(reason) : "";
    return std::make_exception_ptr(tls::TlsError(tls::Errc::protocol, start + ": " + text + hint, text));
}

}  // namespace knit::detail
