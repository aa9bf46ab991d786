#include "knit/tls/detail/engine.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "bio.hpp"
#include "certificate.hpp"
#include "context_state.hpp"
#include "knit/detail/base.hpp"
#include "knit/error.hpp"

namespace knit::detail {
namespace {

// What an idle connection keeps for its peer's next word, and what a busy one reads at a time.
constexpr std::size_t kIdleInput = std::size_t{4} << 10;
constexpr std::size_t kBusyInput = std::size_t{64} << 10;
constexpr std::size_t kRecordHead = 5;

/// Of an empty buffer, what is more than an idle connection keeps.
void give_back(std::string& buffer) noexcept {
    buffer.clear();
    if (buffer.capacity() > kIdleInput) {
        std::string().swap(buffer);
    }
}

}  // namespace

TlsEngine::TlsEngine(std::shared_ptr<TlsContextState> context, std::string host, std::string session_key)
    : context_(std::move(context)), host_(std::move(host)), session_key_(std::move(session_key)) {
    if (host_.size() > 1 && host_.back() == '.') {
        host_.pop_back();  // a name's root, which neither SNI nor certificates have
    }
    if (context_->is_server()) {
        context_->check_certificate();
    }
    context_->begin_use();
    ERR_clear_error();
    ssl_ = SSL_new(context_->handle());
    if (ssl_ == nullptr) {
        throw std::bad_alloc();
    }
    try {
        SSL_set_app_data(ssl_, this);
        BIO* const bio = make_engine_bio(*this);
        SSL_set_bio(ssl_, bio, bio);
        if (context_->is_server()) {
            context_->mark_sessions(ssl_);
            SSL_set_accept_state(ssl_);
        } else {
            prepare_client();
        }
    } catch (...) {
        SSL_free(ssl_);
        throw;
    }
}

TlsEngine::~TlsEngine() {
    if (failure_ == nullptr && is_established_) {
        SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else the session would be spoilt
    }
    SSL_free(ssl_);
}

void TlsEngine::prepare_client() {
    SSL_set_connect_state(ssl_);
    X509_VERIFY_PARAM* const parameters = SSL_get0_param(ssl_);
    // An address is no name for SNI (RFC 6066), and is compared with the certificate's addresses.
    bool is_good = true;
    const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> address(a2i_IPADDRESS(host_.c_str()),
                                                                                        &ASN1_OCTET_STRING_free);
    if (address == nullptr && !host_.empty()) {
        is_good = SSL_set_tlsext_host_name(ssl_, host_.c_str()) == 1;
    }
    if (context_->checks_hostname && !host_.empty()) {
        X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_good = is_good && (address != nullptr ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host_.c_str()) == 1
                                                 : SSL_set1_host(ssl_, host_.c_str()) == 1);
    }
    ERR_clear_error();
    if (!is_good) {
        throw ValueError("\"" + host_ + "\" is no host name that TLS can ask for");
    }
    if (context_->resumes && !session_key_.empty()) {
        const SessionRef session = context_->sessions().take(session_key_);
        if (session != nullptr) {
            SSL_set_session(ssl_, session.get());  // fails: a whole handshake it is
        }
    }
}

void TlsEngine::offer_alpn(std::string_view protocols, bool overrides) {
    if (protocols.empty() || context_->is_server() || (context_->has_alpn() && !overrides)) {
        return;
    }
    const std::string list = alpn_list(protocols);
    const auto* const bytes = reinterpret_cast<const unsigned char*>(list.data());
    if (SSL_set_alpn_protos(ssl_, bytes, static_cast<unsigned>(list.size())) != 0) {  // 0 is success
        throw std::bad_alloc();
    }
}

TlsEngine& TlsEngine::of(const ssl_st* ssl) noexcept { return *static_cast<TlsEngine*>(SSL_get_app_data(ssl)); }

// The network's side.

std::span<std::byte> TlsEngine::input_space() {
    KNIT_ASSERT(input_begin_ == input_end_);
    const std::size_t wanted = wants_much_ ? kBusyInput : kIdleInput;
    if (input_size_ != wanted) {
        input_size_ = 0;
        input_.reset();
        input_.reset(new std::byte[wanted]);  // make_unique would fill it with zeros
        input_size_ = wanted;
    }
    input_begin_ = input_end_ = 0;
    return {input_.get(), input_size_};
}

void TlsEngine::take_input(std::size_t count) noexcept {
    KNIT_ASSERT(count <= input_size_);
    input_begin_ = 0;
    input_end_ = count;
    // Grows by a read that fills all, shrinks by one that would have found room in the small one.
    wants_much_ = count == input_size_ || (wants_much_ && count > kIdleInput / 2);
    has_input_ended_ = has_input_ended_ || count == 0;
}

std::size_t TlsEngine::pull(char* into, std::size_t count) noexcept {
    const std::size_t taken = std::min(count, input_end_ - input_begin_);
    if (taken != 0) {
        std::memcpy(into, input_.get() + input_begin_, taken);
        input_begin_ += taken;
    }
    return taken;
}

bool TlsEngine::push(const char* bytes, std::size_t count) noexcept {
    try {
        output_.append(bytes, count);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

std::span<const std::byte> TlsEngine::next_output() noexcept {
    if (sent_ == sending_.size()) {
        sent_ = 0;
        sending_.clear();
        sending_.swap(output_);
        answer_size_ = 0;
    }
    return std::as_bytes(std::span(sending_).subspan(sent_));
}

void TlsEngine::trim_output() noexcept {
    if (!has_output()) {
        sent_ = 0;
        give_back(sending_);
        give_back(output_);
    }
}

void TlsEngine::sent(std::size_t count) noexcept {
    sent_ += count;
    KNIT_ASSERT(sent_ <= sending_.size());
}

// The program's side.

bool TlsEngine::handshake() {
    if (failure_ != nullptr) {
        std::rethrow_exception(failure_);
    }
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) {
        is_established_ = true;
        return true;
    }
    if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
        throw_failure("TLS handshake", result);
    }
    return false;
}

std::optional<std::size_t> TlsEngine::read(std::span<std::byte> buffer) {
    if (failure_ != nullptr) {
        std::rethrow_exception(failure_);
    }
    std::size_t done = 0;
    do {
        ERR_clear_error();
        std::size_t count = 0;
        const std::size_t before = output_.size();
        const int result = SSL_read_ex(ssl_, buffer.data() + done, buffer.size() - done, &count);
        answer_size_ += output_.size() - before;
        if (result == 1) {
            done += count;
            continue;
        }
        const int error = SSL_get_error(ssl_, result);
        if (error == SSL_ERROR_WANT_READ) {
            return done != 0 ? std::optional(done) : std::nullopt;
        }
        if (error != SSL_ERROR_ZERO_RETURN) {
            failure_ = make_failure("TLS", error);
            if (done == 0) {
                std::rethrow_exception(failure_);
            }
        }
        return done;  // the next read hears of the failure
    } while (done != buffer.size() && input_begin_ != input_end_);
    return done;
}

std::optional<std::size_t> TlsEngine::write(std::span<const std::byte> bytes) {
    if (failure_ != nullptr) {
        std::rethrow_exception(failure_);
    }
    if (is_shut_down_) {
        throw std::system_error(EPIPE, std::generic_category(), "write after shutdown() of a TlsStream");
    }
    bytes = bytes.first(std::min(bytes.size(), kBatch));
    std::size_t done = 0;
    while (done != bytes.size()) {
        ERR_clear_error();
        std::size_t count = 0;
        const int result = SSL_write_ex(ssl_, bytes.data() + done, bytes.size() - done, &count);
        if (result == 1) {
            done += count;
            continue;
        }
        if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
            throw_failure("TLS", result);
        }
        return done != 0 ? std::optional(done) : std::nullopt;
    }
    return done;
}

void TlsEngine::shutdown() noexcept {
    if (failure_ == nullptr && is_established_ && !std::exchange(is_shut_down_, true)) {
        ERR_clear_error();
        SSL_shutdown(ssl_);  // 0: the peer's is still to come, which a read will see
    }
}

std::size_t TlsEngine::available() const noexcept {
    const auto pending = static_cast<std::size_t>(std::max(SSL_pending(ssl_), 0));
    if (pending != 0 || failure_ != nullptr || input_end_ - input_begin_ < kRecordHead) {
        return pending;
    }
    // OpenSSL leaves input alone only between two records.
    const auto* const head = reinterpret_cast<const unsigned char*>(input_.get() + input_begin_);
    const std::size_t size = std::size_t{head[3]} << 8 | head[4];
    return input_end_ - input_begin_ >= kRecordHead + size ? std::max<std::size_t>(size, 1) : 0;
}

// What the handshake has agreed on.

std::string TlsEngine::alpn_protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}
std::string TlsEngine::version() const { return SSL_get_version(ssl_); }
std::string TlsEngine::cipher() const { return SSL_get_cipher_name(ssl_); }
std::string TlsEngine::server_name() const {
    const char* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name != nullptr ? name : "";
}
bool TlsEngine::is_resumed() const noexcept { return SSL_session_reused(ssl_) == 1; }
std::optional<tls::Certificate> TlsEngine::peer_certificate() const {
    X509* const certificate = SSL_get0_peer_certificate(ssl_);
    return certificate != nullptr ? std::optional(describe_certificate(certificate)) : std::nullopt;
}

void TlsEngine::keep_session(SSL_SESSION* session) noexcept {
    SessionRef kept(session);
    if (!context_->resumes || session_key_.empty()) {
        return;
    }
    try {
        context_->sessions().keep(session_key_, std::move(kept));
    } catch (const std::bad_alloc&) {
        return;  // the next handshake is a whole one
    }
}

}  // namespace knit::detail
