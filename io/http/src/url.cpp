#include "knit/http/url.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "knit/http/error.hpp"
#include "text.hpp"

namespace knit::http {
namespace {

constexpr std::string_view kTargetKept = "-._~!$&'()*+,;=:@/?%[]";

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw InvalidUrl("\"" + std::string(text) + "\" is no URL: " + why);
}

std::uint16_t default_port(std::string_view scheme) noexcept { return scheme == "https" ? 443 : 80; }

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), detail::to_lower);
    return result;
}

bool has_scheme(std::string_view text) noexcept {
    const std::size_t colon = text.find(':');
    return colon != std::string_view::npos && colon != 0 && colon < text.find_first_of("/?#") &&
           std::ranges::all_of(text.substr(0, colon), [](char letter) {
               return detail::is_digit(letter) || letter == '+' || letter == '-' || letter == '.' ||
                      (detail::to_lower(letter) >= 'a' && detail::to_lower(letter) <= 'z');
           });
}

/// RFC 3986, 5.2.4.
std::string without_dots(std::string_view path) {
    std::string result;
    while (!path.empty()) {
        path.remove_prefix(1);  // the '/'
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, end);
        const bool is_last = end == path.size();
        if (part == "..") {
            result.erase(std::min(result.rfind('/'), result.size()));
        } else if (part != ".") {
            result.append("/").append(part);
        }
        if (is_last && (part == "." || part == "..")) {
            result.push_back('/');
        }
        path.remove_prefix(end);
    }
    return result.empty() ? "/" : result;
}

/// Percent-encodes what may not stand there. Control characters, which nobody means, are refused.
std::string clean_target(std::string_view target, std::string_view whole) {
    if (!detail::is_field_value(target) || target.find('\t') != std::string_view::npos) {
        refuse(whole, "it has a control character");
    }
    std::string result = detail::percent_encode(target, kTargetKept);
    return result.starts_with('/') ? result : "/" + result;
}

}  // namespace

Url::Url(std::string_view text) {
    if (!has_scheme(text)) {
        refuse(text, "it does not begin with http:// or https://");
    }
    std::string_view rest = text;
    scheme_ = lower(detail::cut(rest, ':'));
    if ((scheme_ != "http" && scheme_ != "https") || !rest.starts_with("//")) {
        refuse(text, "only http:// and https:// are spoken here");
    }
    rest.remove_prefix(2);
    rest = detail::cut(rest, '#');
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    const std::string_view authority = rest.substr(0, end);
    if (!detail::is_field_value(authority) || authority.find_first_of("\\\t") != std::string_view::npos) {
        refuse(text, "there is a backslash or a control character before its path");
    }
    read_authority(authority);
    target_ = clean_target(rest.substr(end), text);
}

void Url::read_authority(std::string_view text) {
    const std::string_view whole = text;
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
        user_ = detail::percent_decode(text.substr(0, at)).value_or(std::string(text.substr(0, at)));
        text.remove_prefix(at + 1);
    }
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) {
            refuse(whole, "the bracket of its address is not closed");
        }
        host_ = lower(text.substr(1, bracket - 1));
        in6_addr address{};
        if (inet_pton(AF_INET6, host_.c_str(), &address) != 1) {
            refuse(whole, "[" + host_ + "] is no IPv6 address");
        }
        port = text.substr(bracket + 1);
        if (!port.empty() && port.front() != ':') {
            refuse(whole, "there is something between the address and the port");
        }
        port.remove_prefix(port.empty() ? 0 : 1);
    } else {
        port = text;
        host_ = lower(detail::cut(port, ':'));
        static constexpr detail::CharSet kName("-._");
        if (host_.empty() || !kName.has_all(host_)) {
            refuse(whole, host_.empty() ? "it has no host" : "\"" + host_ + "\" is no host's name");
        }
    }
    const auto number = detail::to_number(port);
    if (!port.empty() && (!number || *number == 0 || *number > 65535)) {
        refuse(whole, "its port is no number from 1 to 65535");
    }
    port_ = port.empty() ? default_port(scheme_) : static_cast<std::uint16_t>(*number);
}

std::string Url::authority() const {
    const bool is_ipv6 = host_.find(':') != std::string::npos;
    std::string text = is_ipv6 ? std::string("[").append(host_).append("]") : host_;
    if (port_ != default_port(scheme_)) {
        text.append(":").append(std::to_string(port_));
    }
    return text;
}

std::string Url::origin() const { return scheme_ + "://" + authority(); }

std::string Url::to_string() const { return origin() + target_; }

Url Url::join(std::string_view reference) const {
    if (has_scheme(reference)) {
        return Url(reference);
    }
    if (reference.starts_with("//")) {
        return Url(scheme_ + ":" + std::string(reference));
    }
    Url result = *this;
    const std::string_view whole = reference;
    reference = detail::cut(reference, '#');
    if (reference.empty()) {
        return result;
    }
    const std::string base(path());
    if (reference.front() == '?') {
        result.target_ = clean_target(base + std::string(reference), whole);
        return result;
    }
    std::string_view query = reference;
    const std::string_view relative = detail::cut(query, '?');
    const bool has_query = relative.size() != reference.size();
    std::string joined(relative);
    if (relative.front() != '/') {
        joined = base.substr(0, base.rfind('/') + 1) + joined;
    }
    result.target_ = clean_target(without_dots(joined), whole);
    if (has_query) {
        result.target_ = clean_target(result.target_ + "?" + std::string(query), whole);
    }
    return result;
}

Url Url::with_query(std::string_view name, std::string_view value) const {
    Url result = *this;
    result.target_ += target_.find('?') == std::string::npos ? '?' : '&';
    result.target_ += detail::percent_encode(name, "-._~") + "=" + detail::percent_encode(value, "-._~");
    return result;
}

}  // namespace knit::http
