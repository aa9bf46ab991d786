/// Certificate: what a peer's certificate says.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace knit::tls {

struct Certificate {
    std::string subject;  ///< "CN=example.org,O=Example"
    std::string issuer;
    std::string serial;              ///< in hexadecimal digits
    std::vector<std::string> names;  ///< host names and addresses that it is for
    std::chrono::sys_seconds not_before;
    std::chrono::sys_seconds not_after;
    std::string der;  ///< all of it
};

}  // namespace knit::tls
