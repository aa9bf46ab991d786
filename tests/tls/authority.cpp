#include "authority.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace knit::test {
namespace {

void check(bool is_good, const char* what) {
    if (!is_good) {
        throw std::runtime_error(std::string("the test's certificates: ") + what);
    }
}

template <class Write>
std::string to_pem(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), &BIO_free_all);
    check(write(bio.get()) == 1, "PEM");
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
    return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "extension");
    X509_EXTENSION_free(extension);
}

void name(X509_NAME* subject, const std::string& text) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
    check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, bytes, static_cast<int>(text.size()), -1, 0) == 1,
          "name");
}

}  // namespace

Authority::Authority(const std::string& name) : Authority(name, nullptr) {}

Authority::Authority(const std::string& name, const Authority* parent)
    : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free) {
    Wanted wanted;
    wanted.name = name;
    certificate_ = sign(wanted, key_.get(), true, parent);
    pem_ = pem_of(certificate_.get());
    if (parent != nullptr) {
        chain_ = pem_ + parent->chain_;
    }
}

Authority Authority::intermediate(const std::string& name) const { return Authority(name, this); }

Authority::Certificate Authority::sign(const Wanted& wanted, EVP_PKEY* key, bool is_authority,
                                       const Authority* by) const {
    Certificate made(X509_new(), &X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    std::uint64_t serial = 0;
    check(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "random");
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), serial >> 1 | 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), wanted.from_seconds);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), wanted.to_seconds);
    name(X509_get_subject_name(made.get()), wanted.name);
    X509* const issuer = by != nullptr ? by->certificate_.get() : made.get();
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
    X509_set_pubkey(made.get(), key);
    extend(made.get(), issuer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(made.get(), issuer, NID_subject_key_identifier, "hash");
    if (is_authority) {
        extend(made.get(), issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else if (!wanted.hosts.empty()) {
        std::string hosts;
        for (const std::string& host : wanted.hosts) {
            hosts += (hosts.empty() ? "" : ",") + host;
        }
        extend(made.get(), issuer, NID_subject_alt_name, hosts);
    }
    check(X509_sign(made.get(), by != nullptr ? by->key_.get() : key, EVP_sha256()) > 0, "signature");
    return made;
}

Identity Authority::issue(const Wanted& wanted) const {
    const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const Certificate made = sign(wanted, key.get(), false, this);
    Identity identity;
    identity.chain = pem_of(made.get()) + chain_;
    identity.key = to_pem([&](BIO* bio) {
        return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return identity;
}

IdentityFiles::IdentityFiles(const Identity& identity, const std::string& authority) {
    std::string pattern = std::filesystem::temp_directory_path() / "knit-tls-XXXXXX";
    check(mkdtemp(pattern.data()) != nullptr, "directory");
    directory_ = pattern;
    std::ofstream(chain()) << identity.chain;
    std::ofstream(key()) << identity.key;
    std::ofstream(this->authority()) << authority;
}

IdentityFiles::~IdentityFiles() { std::filesystem::remove_all(directory_); }

}  // namespace knit::test
