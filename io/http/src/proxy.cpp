#include "proxy.hpp"

#include <cstdlib>
#include <string>

#include "knit/http/fields.hpp"
#include "text.hpp"

namespace knit::http::detail {
namespace {

std::string_view variable(const char* name) noexcept {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string_view first_of(const char* name, const char* other) noexcept {
    const std::string_view value = variable(name);
    return value.empty() ? variable(other) : value;
}

}  // namespace

std::optional<Url> proxy_for(const Url& url) {
    std::string_view proxy = url.is_secure() ? first_of("https_proxy", "HTTPS_PROXY") : variable("http_proxy");
    if (proxy.empty()) {
        proxy = first_of("all_proxy", "ALL_PROXY");
    }
    if (proxy.empty() || is_exempt(url, first_of("no_proxy", "NO_PROXY"))) {
        return std::nullopt;
    }
    return proxy.find("://") == std::string_view::npos ? Url("http://" + std::string(proxy)) : Url(proxy);
}

bool is_exempt(const Url& url, std::string_view no_proxy) {
    const std::string port = std::string(":").append(std::to_string(url.port()));
    while (!no_proxy.empty()) {
        std::string_view name = trim(cut(no_proxy, ','));
        if (name == "*") {
            return true;
        }
        if (name.ends_with(port) && name.find(':') == name.size() - port.size()) {
            name.remove_suffix(port.size());
        }
        name.remove_prefix(name.starts_with("*.") ? 2 : name.starts_with('.') ? 1 : 0);
        if (name.empty() || name.size() > url.host().size()) {
            continue;
        }
        const std::string_view host = url.host();
        const std::size_t start = host.size() - name.size();
        if (equals_ignoring_case(host.substr(start), name) && (start == 0 || host[start - 1] == '.')) {
            return true;
        }
    }
    return false;
}

std::string basic_credentials(std::string_view text) {
    static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result = "Basic ";
    for (std::size_t i = 0; i < text.size(); i += 3) {
        const std::string_view three = text.substr(i, 3);
        unsigned bits = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            bits = bits << 8 | (k < three.size() ? static_cast<unsigned char>(three[k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            result.push_back(k <= three.size() ? kLetters[bits >> (18 - 6 * k) & 63] : '=');
        }
    }
    return result;
}

}  // namespace knit::http::detail
