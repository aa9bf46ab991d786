/// ConnectionInfo: what a handshake has agreed on.
#pragma once

#include <any>
#include <string>
#include <string_view>

#include "knit/tls/detail/engine.hpp"

namespace knit::tls {

/// What a StreamWriter's get_extra_info("ssl_object") gives; each as TlsStream's function of that name says.
struct ConnectionInfo {
    std::string version;
    std::string cipher;
    std::string alpn_protocol;
    std::string server_name;
    bool is_resumed = false;
};

}  // namespace knit::tls

namespace knit::detail {

/// TlsStream::extra_info().
std::any extra_info_of(const TlsEngine& engine, std::string_view name);

}  // namespace knit::detail
