#include "cookies.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "knit/http/fields.hpp"
#include "text.hpp"

namespace knit::http::detail {
namespace {

bool is_address(const std::string& host) noexcept {
    in_addr address{};
    return host.find(':') != std::string::npos || inet_pton(AF_INET, host.c_str(), &address) == 1;
}

/// Whether `host` is `domain`, or a name below it.
bool matches_domain(const std::string& host, std::string_view domain) noexcept {
    return host == domain || (host.size() > domain.size() && std::string_view(host).ends_with(domain) &&
                              host[host.size() - domain.size() - 1] == '.' && !is_address(host));
}

bool matches_path(std::string_view path, std::string_view prefix) noexcept {
    return path.starts_with(prefix) &&
           (path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/');
}

/// RFC 6265bis, 4.1.3: such a name is a promise about the attributes.
bool has_prefix(std::string_view name, std::string_view prefix) noexcept {
    return equals_ignoring_case(name.substr(0, prefix.size()), prefix);
}

}  // namespace

void CookieJar::store(const Url& url, std::string_view set_cookie, std::int64_t now) {
    std::string_view rest = set_cookie;
    std::string_view value = cut(rest, ';');
    if (value.find('=') == std::string_view::npos) {
        return;
    }
    Cookie cookie;
    cookie.name = trim(cut(value, '='));
    cookie.value = trim(value);
    cookie.domain = url.host();
    const std::string_view path = url.path();
    const std::size_t slash = path.rfind('/');
    cookie.path = slash == 0 ? "/" : std::string(path.substr(0, slash));
    const bool is_small = cookie.name.size() + cookie.value.size() <= kSizeMost;
    if (cookie.name.empty() || !is_small || !read_attributes(rest, url, now, cookie)) {
        return;
    }
    const std::lock_guard lock(mutex_);
    // RFC 6265bis, 5.7: what came by https is not for http to replace.
    const bool is_kept = !url.is_secure() && std::ranges::any_of(cookies_, [&](const Cookie& other) {
        return other.is_secure && other.name == cookie.name && matches_path(cookie.path, other.path) &&
               (matches_domain(other.domain, cookie.domain) || matches_domain(cookie.domain, other.domain));
    });
    if (is_kept) {
        return;
    }
    std::erase_if(cookies_, [&](const Cookie& other) {
        return (other.name == cookie.name && other.domain == cookie.domain && other.path == cookie.path) ||
               (other.expires && *other.expires <= now);
    });
    if (!cookie.expires || *cookie.expires > now) {
        make_room(cookie.domain);
        cookies_.push_back(std::move(cookie));
    }
}

/// Who sets many puts out their own, not those of others (RFC 6265, 5.3). The oldest stand first.
void CookieJar::make_room(const std::string& domain) {
    const auto is_of_it = [&](const Cookie& other) { return other.domain == domain; };
    if (std::ranges::count_if(cookies_, is_of_it) >= kMostOfDomain) {
        cookies_.erase(std::ranges::find_if(cookies_, is_of_it));
    } else if (cookies_.size() >= kMost) {
        cookies_.erase(cookies_.begin());
    }
}

/// False when the cookie is not this host's to set.
bool CookieJar::read_attributes(std::string_view text, const Url& url, std::int64_t now, Cookie& cookie) {
    bool has_max_age = false;
    bool has_root_path = false;
    while (!text.empty()) {
        std::string_view value = trim(cut(text, ';'));
        const std::string_view name = trim(cut(value, '='));
        value = trim(value);
        if (equals_ignoring_case(name, "max-age")) {
            const bool is_negative = value.starts_with('-');
            const bool is_all_digits = !value.empty() && std::ranges::all_of(value, is_digit);
            const auto seconds = is_all_digits ? std::optional(to_number(value).value_or(UINT64_MAX)) : std::nullopt;
            if (is_negative || seconds) {
                constexpr std::uint64_t kDays = std::uint64_t{400} * 86400;  // 400 days, RFC 6265bis 5.5
                has_max_age = true;
                cookie.expires = is_negative ? 0 : now + static_cast<std::int64_t>(std::min(*seconds, kDays));
            }
        } else if (equals_ignoring_case(name, "expires") && !has_max_age) {
            if (const auto date = parse_http_date(value)) {
                cookie.expires = *date;
            }
        } else if (equals_ignoring_case(name, "path") && value.starts_with('/')) {
            cookie.path = value;
            has_root_path = value == "/";
        } else if (equals_ignoring_case(name, "secure")) {
            cookie.is_secure = true;
        } else if (equals_ignoring_case(name, "domain") && !value.empty()) {
            std::string domain(value.substr(value.starts_with('.') ? 1 : 0));
            std::ranges::transform(domain, domain.begin(), to_lower);
            // A name without a dot is a whole top-level domain. (Longer public suffixes are not known here.)
            const bool is_wide = domain.find('.') == std::string::npos && domain != url.host();
            if (is_wide || !matches_domain(url.host(), domain)) {
                return false;
            }
            cookie.is_host_only = false;
            cookie.domain = std::move(domain);
        }
    }
    const bool is_prefixed = has_prefix(cookie.name, "__Secure-") || has_prefix(cookie.name, "__Host-");
    if (is_prefixed && !cookie.is_secure) {
        return false;
    }
    if (has_prefix(cookie.name, "__Host-") && (!cookie.is_host_only || !has_root_path)) {
        return false;
    }
    return !cookie.is_secure || url.is_secure();
}

std::string CookieJar::field_for(const Url& url, std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    std::vector<const Cookie*> found;
    for (const Cookie& cookie : cookies_) {
        const bool is_host = cookie.is_host_only ? url.host() == cookie.domain
                                                 : matches_domain(url.host(), cookie.domain);
        if (is_host && matches_path(url.path(), cookie.path) && (!cookie.is_secure || url.is_secure()) &&
            (!cookie.expires || *cookie.expires > now)) {
            found.push_back(&cookie);
        }
    }
    // Longer paths first (5.4).
    std::ranges::sort(found, [](const Cookie* left, const Cookie* right) {
        return left->path.size() != right->path.size() ? left->path.size() > right->path.size() : left < right;
    });
    std::string field;
    for (const Cookie* cookie : found) {
        field.append(field.empty() ? "" : "; ").append(cookie->name).append("=").append(cookie->value);
    }
    return field;
}

}  // namespace knit::http::detail
