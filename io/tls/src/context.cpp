#include "knit/tls/context.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "context_state.hpp"
#include "knit/error.hpp"
#include "knit/tls/error.hpp"

namespace knit::tls {

using knit::detail::TlsContextState;

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using X509Ref = std::unique_ptr<X509, decltype(&X509_free)>;

[[noreturn]] void throw_setup(const std::string& what) {
    std::string reason = knit::detail::take_openssl_error();
    throw TlsError(Errc::setup, what + (reason.empty() ? "" : ": " + reason), reason);
}

std::string read_text(const std::filesystem::path& path) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
    std::string text;
    char buffer[4096];
    std::size_t count = 1;
    while (file != nullptr && (count = std::fread(buffer, 1, sizeof buffer, file.get())) != 0) {
        text.append(buffer, count);
    }
    if (file == nullptr || std::ferror(file.get()) != 0) {
        throw std::system_error(errno, std::generic_category(), "cannot read " + path.string());
    }
    return text;
}

Bio bio_over(std::string_view text) {
    return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free_all};
}

/// OpenSSL would ask the terminal.
int give_password(char* buffer, int size, int, void* password) {
    const auto& text = *static_cast<const std::string*>(password);
    const std::size_t count = std::min(text.size(), static_cast<std::size_t>(size));
    text.copy(buffer, count);
    return static_cast<int>(count);
}

/// Where reading PEM has ended: well, if that was for want of another block.
bool is_end_of_pem() noexcept {
    const unsigned long error = ERR_peek_last_error();
    const bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    if (is_end) {
        ERR_clear_error();
    }
    return is_end;
}

void use_chain(SSL_CTX* context, std::string_view pem, const std::string& from) {
    const Bio bio = bio_over(pem);
    const X509Ref own(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr), &X509_free);
    if (own == nullptr) {
        throw_setup("there is no certificate in PEM in " + from);
    }
    if (SSL_CTX_use_certificate(context, own.get()) != 1 || SSL_CTX_clear_chain_certs(context) != 1) {
        throw_setup("cannot use the certificate of " + from);
    }
    for (;;) {
        X509Ref next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free);
        if (next == nullptr) {
            break;
        }
        if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) {
            throw_setup("cannot use the chain of " + from);
        }
        static_cast<void>(next.release());
    }
    if (!is_end_of_pem()) {
        throw_setup("the chain of certificates in " + from + " is broken");
    }
}

void use_key(SSL_CTX* context, std::string_view pem, const std::string& password, const std::string& from) {
    const Bio bio = bio_over(pem);
    const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_password, const_cast<std::string*>(&password)),
                  &EVP_PKEY_free);
    if (key == nullptr) {
        throw_setup("cannot read a private key in PEM from " + from +
                    (password.empty() ? "" : " with the password given"));
    }
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
        throw_setup("the private key in " + from + " is not that of the certificate");
    }
}

std::string lower(std::string_view text) {
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return low;
}

}  // namespace

Context Context::client(Roots roots) {
    Context context(std::make_shared<TlsContextState>(false));
    if (roots == Roots::system) {
        SSL_CTX_set_default_verify_paths(context.state_->handle());  // fails: there are none, and nobody is trusted
        ERR_clear_error();
    }
    return context;
}
Context Context::server() { return Context(std::make_shared<TlsContextState>(true)); }
Context Context::server(const std::filesystem::path& chain, const std::filesystem::path& key) {
    Context context = server();
    context.load_cert_chain(chain, key);
    return context;
}

bool Context::is_server() const noexcept { return state_->is_server(); }

TlsContextState& Context::changeable() const {
    if (state_->is_used()) {
        throw RuntimeError("a tls::Context is set up before its first connection: make a new one to change anything");
    }
    ERR_clear_error();
    return *state_;
}

Context& Context::load_cert_chain(const std::filesystem::path& chain, const std::filesystem::path& key,
                                  const std::string& password) {
    TlsContextState& state = changeable();
    const std::string chain_text = read_text(chain);
    const std::filesystem::path& key_file = key.empty() ? chain : key;
    const std::string key_text = key.empty() ? chain_text : read_text(key);
    use_chain(state.handle(), chain_text, chain.string());
    use_key(state.handle(), key_text, password, key_file.string());
    state.has_certificate = true;
    return *this;
}

Context& Context::use_cert_chain(std::string_view chain, std::string_view key, const std::string& password) {
    TlsContextState& state = changeable();
    use_chain(state.handle(), chain, "the chain given");
    use_key(state.handle(), key, password, "the key given");
    state.has_certificate = true;
    return *this;
}

Context& Context::load_verify_locations(const std::filesystem::path& where) {
    TlsContextState& state = changeable();
    if (!std::filesystem::is_directory(where)) {
        return use_verify_certificates(read_text(where));
    }
    if (SSL_CTX_load_verify_dir(state.handle(), where.c_str()) != 1) {
        throw_setup("cannot use the certificates in " + where.string());
    }
    return *this;
}

Context& Context::use_verify_certificates(std::string_view pem) {
    X509_STORE* const store = SSL_CTX_get_cert_store(changeable().handle());
    const Bio bio = bio_over(pem);
    bool is_first = true;
    for (;;) {
        const X509Ref root(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr), &X509_free);
        if (root == nullptr) {
            break;
        }
        if (X509_STORE_add_cert(store, root.get()) != 1) {
            throw_setup("cannot trust a certificate");
        }
        is_first = false;
    }
    if (is_first || !is_end_of_pem()) {
        throw_setup(is_first ? "there is no certificate in PEM to trust" : "the certificates to trust are broken");
    }
    return *this;
}

Context& Context::verify_mode(VerifyMode mode) {
    TlsContextState& state = changeable();
    if (!state.is_server() && mode == VerifyMode::optional) {
        throw ValueError(
            "a server always shows a certificate: VerifyMode::optional is for a server's Context, which "
            "verifies clients; say VerifyMode::required or VerifyMode::none");
    }
    state.set_verify(mode);
    return *this;
}

Context& Context::check_hostname(bool on) {
    changeable().checks_hostname = on;
    return *this;
}

Context& Context::alpn(std::initializer_list<std::string_view> protocols) {
    std::string list;
    for (const std::string_view protocol : protocols) {
        knit::detail::append_alpn(list, protocol);
    }
    changeable().set_alpn(std::move(list));
    return *this;
}

Context& Context::minimum_version(Version version) {
    SSL_CTX_set_min_proto_version(changeable().handle(), version == Version::tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    return *this;
}
Context& Context::maximum_version(Version version) {
    SSL_CTX_set_max_proto_version(changeable().handle(), version == Version::tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    return *this;
}

Context& Context::ciphers(const std::string& list) {
    if (SSL_CTX_set_cipher_list(changeable().handle(), list.c_str()) != 1) {
        throw_setup("no cipher is known by the list \"" + list + "\"");
    }
    return *this;
}

Context& Context::resumption(bool on) {
    TlsContextState& state = changeable();
    state.resumes = on;
    if (on) {
        SSL_CTX_clear_options(state.handle(), SSL_OP_NO_TICKET);
    } else {
        SSL_CTX_set_options(state.handle(), SSL_OP_NO_TICKET);
    }
    if (state.is_server()) {
        SSL_CTX_set_num_tickets(state.handle(), on ? 2 : 0);
    }
    return *this;
}

Context& Context::add_server_name(std::string name, const Context& other) {
    TlsContextState& state = changeable();
    if (!state.is_server() || !other.is_server()) {
        throw ValueError(
            "add_server_name() chooses between servers' certificates; a client says whom it wants in "
            "tls::Options::server_name");
    }
    if (!other.state_->has_certificate || other.state_ == state_) {
        throw ValueError("add_server_name(\"" + name + "\") needs another Context, with a certificate of its own");
    }
    state.names[lower(name)] = other.state_;
    return *this;
}

Context& Context::server_name_callback(NameCallback callback) {
    TlsContextState& state = changeable();
    if (!state.is_server()) {
        throw ValueError("server_name_callback() is for a server's Context");
    }
    state.name_callback = std::move(callback);
    return *this;
}

}  // namespace knit::tls
