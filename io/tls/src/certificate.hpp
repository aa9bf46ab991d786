/// What is read out of OpenSSL's certificates.
#pragma once

#include <string>
#include <vector>

#include <openssl/x509.h>

#include "knit/tls/certificate.hpp"

namespace knit::detail {

/// "CN=example.org,O=Example".
std::string name_text(const X509_NAME* name);
/// Host names and addresses.
std::vector<std::string> names_of(const X509* certificate);
tls::Certificate describe_certificate(X509* certificate);

}  // namespace knit::detail
