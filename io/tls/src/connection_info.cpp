#include "knit/tls/connection_info.hpp"

#include <optional>
#include <utility>

#include "knit/tls/certificate.hpp"

namespace knit::detail {

std::any extra_info_of(const TlsEngine& engine, std::string_view name) {
    if (name == "peercert") {
        std::optional<tls::Certificate> certificate = engine.peer_certificate();
        return certificate ? std::any(std::move(*certificate)) : std::any();
    }
    if (name == "cipher") {
        return engine.cipher();
    }
    if (name == "ssl_object") {
        return tls::ConnectionInfo{engine.version(), engine.cipher(), engine.alpn_protocol(), engine.server_name(),
                                   engine.is_resumed()};
    }
    return {};
}

}  // namespace knit::detail
