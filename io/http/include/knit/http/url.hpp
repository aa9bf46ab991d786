/// Url: an http or https URL, taken apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace knit::http {

/// A plain value. Blanks and bytes above 127 in path and query are percent-encoded; the fragment is dropped. Names of
/// hosts beyond ASCII have to be in their "xn--" form.
class Url {
public:
    Url() = default;
    /// "https://user:password@example.org:8443/path?query". InvalidUrl that says what is wrong.
    Url(std::string_view text);                               // NOLINT(google-explicit-constructor): a URL is text
    Url(const char* text) : Url(std::string_view(text)) {}         // NOLINT(google-explicit-constructor)
    Url(const std::string& text) : Url(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)

    const std::string& scheme() const& noexcept { return scheme_; }
    std::string scheme() && noexcept { return std::move(scheme_); }
    bool is_secure() const noexcept { return scheme_ == "https"; }
    /// In lower case; an IPv6 address without its brackets.
    const std::string& host() const& noexcept { return host_; }
    std::string host() && noexcept { return std::move(host_); }
    /// Said, or the scheme's.
    std::uint16_t port() const noexcept { return port_; }
    /// "user:password", decoded.
    const std::string& user() const& noexcept { return user_; }
    std::string user() && noexcept { return std::move(user_); }
    /// Path and query: what a request's first line has.
    const std::string& target() const& noexcept { return target_; }
    std::string target() && noexcept { return std::move(target_); }
    std::string_view path() const& noexcept { return std::string_view(target_).substr(0, target_.find('?')); }
    std::string path() && { return target_.substr(0, target_.find('?')); }
    /// Host and port as the Host field has them: the port only where it is not the scheme's.
    std::string authority() const;
    /// "https://example.org:8443": what decides who may see credentials.
    std::string origin() const;
    std::string to_string() const;
    /// What a link `reference` in a page at this URL means (RFC 3986, 5.2). InvalidUrl.
    Url join(std::string_view reference) const;
    /// With `name=value` added to its query.
    Url with_query(std::string_view name, std::string_view value) const;

    friend bool operator==(const Url&, const Url&) = default;

private:
    void read_authority(std::string_view text);

    std::string scheme_;
    std::string host_;
    std::uint16_t port_ = 0;
    std::string user_;
    std::string target_ = "/";
};

}  // namespace knit::http
