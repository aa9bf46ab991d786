#include "certificate.hpp"

#include <arpa/inet.h>

#include <ctime>
#include <memory>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>

namespace knit::detail {
namespace {

std::chrono::sys_seconds time_of(const ASN1_TIME* time) noexcept {
    std::tm parts{};
    return std::chrono::sys_seconds(
        std::chrono::seconds(time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0));
}

std::string text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string address_text(const ASN1_STRING* address) {
    char text[INET6_ADDRSTRLEN] = "";
    const int size = ASN1_STRING_length(address);
    if (size == 4 || size == 16) {
        inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof text);
    }
    return text;
}

}  // namespace

std::string name_text(const X509_NAME* name) {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), &BIO_free_all);
    char* bytes = nullptr;
    if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
        return {};
    }
    const long size = BIO_get_mem_data(bio.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
}

std::vector<std::string> names_of(const X509* certificate) {
    std::vector<std::string> names;
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> all(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        &GENERAL_NAMES_free);
    for (int i = 0; all != nullptr && i < sk_GENERAL_NAME_num(all.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
        if (name->type == GEN_DNS) {
            names.push_back(text_of(name->d.dNSName));
        } else if (name->type == GEN_IPADD) {
            names.push_back(address_text(name->d.iPAddress));
        }
    }
    return names;
}

tls::Certificate describe_certificate(X509* certificate) {
    tls::Certificate told;
    told.subject = name_text(X509_get_subject_name(certificate));
    told.issuer = name_text(X509_get_issuer_name(certificate));
    told.names = names_of(certificate);
    told.not_before = time_of(X509_get0_notBefore(certificate));
    told.not_after = time_of(X509_get0_notAfter(certificate));
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr), &BN_free);
    if (number != nullptr) {
        const std::unique_ptr<char, void (*)(char*)> digits(BN_bn2hex(number.get()),
                                                            [](char* text) { OPENSSL_free(text); });
        told.serial = digits != nullptr ? digits.get() : "";
    }
    const int size = i2d_X509(certificate, nullptr);
    if (size > 0) {
        told.der.resize(static_cast<std::size_t>(size));
        auto* place = reinterpret_cast<unsigned char*>(told.der.data());
        i2d_X509(certificate, &place);
    }
    return told;
}

}  // namespace knit::detail
