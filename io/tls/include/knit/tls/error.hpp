/// TlsError, CertificateError: what goes wrong in TLS. Python's ssl.SSLError is an OSError; these are system_errors.
#pragma once

#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace knit::tls {

/// What a TlsError's code() says, in category().
enum class Errc {
    certificate = 1,  ///< the peer's certificate was refused: the error is a CertificateError
    refused,          ///< the peer refused, by an alert
    unexpected_eof,   ///< the stream ended without close-notify: what was read may be cut short
    protocol,         ///< what came is no TLS, was changed on its way, or has nothing in common with what we offer
    setup             ///< a Context was given what cannot be used
};

/// Its name is "tls".
const std::error_category& category() noexcept;
inline std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), category()}; }

/// A failure of TLS itself; what the stream below throws passes as it is.
class TlsError : public std::system_error {
public:
    TlsError(Errc code, const std::string& what, std::string reason)
        : std::system_error(make_error_code(code), what), reason_(std::move(reason)) {}

    /// OpenSSL's words, such as "tlsv1 alert unknown ca"; no more than that.
    const std::string& reason() const noexcept { return reason_; }

private:
    std::string reason_;
};

/// Which certificate was refused, and what for.
struct RefusedCertificate {
    std::string subject;  ///< "CN=example.org,O=Example"; empty: there was none
    std::string issuer;
    std::string reason;  ///< "certificate has expired"
    int depth = 0;       ///< 0: the peer's own; 1: the one that signed it ...
    int code = 0;        ///< X509_V_ERR_...
};

/// The peer's certificate was refused, by this side.
class CertificateError : public TlsError {
public:
    CertificateError(const std::string& what, RefusedCertificate certificate)
        : TlsError(Errc::certificate, what, certificate.reason), certificate_(std::move(certificate)) {}

    const std::string& subject() const noexcept { return certificate_.subject; }
    const std::string& issuer() const noexcept { return certificate_.issuer; }
    int depth() const noexcept { return certificate_.depth; }
    /// OpenSSL's X509_V_ERR_...
    int verify_code() const noexcept { return certificate_.code; }

private:
    RefusedCertificate certificate_;
};

}  // namespace knit::tls

template <>
struct std::is_error_code_enum<knit::tls::Errc> : std::true_type {};

namespace knit {
using tls::CertificateError;
using tls::TlsError;
}  // namespace knit
