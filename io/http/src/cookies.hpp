/// CookieJar: the cookies of a session (RFC 6265).
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knit/http/url.hpp"

namespace knit::http::detail {

/// Any thread.
class CookieJar {
public:
    /// Takes a Set-Cookie field of an answer from `url`; one that it may not set is dropped.
    void store(const Url& url, std::string_view set_cookie, std::int64_t now);
    /// The Cookie field of a request; empty: none.
    std::string field_for(const Url& url, std::int64_t now) const;

private:
    struct Cookie {
        std::string name;
        std::string value;
        std::string domain;
        std::string path;
        std::optional<std::int64_t> expires;
        bool is_host_only = true;
        bool is_secure = false;
    };
    static bool read_attributes(std::string_view text, const Url& url, std::int64_t now, Cookie& cookie);

    void make_room(const std::string& domain);

    static constexpr std::size_t kMost = 3000;
    static constexpr std::ptrdiff_t kMostOfDomain = 50;
    static constexpr std::size_t kSizeMost = 4096;  ///< of name and value (RFC 6265bis, 5.6)

    mutable std::mutex mutex_;
    std::vector<Cookie> cookies_;
};

}  // namespace knit::http::detail
