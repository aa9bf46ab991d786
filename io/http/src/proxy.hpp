/// Which proxy a URL is fetched through.
#pragma once

#include <optional>

#include "knit/http/url.hpp"

namespace knit::http::detail {

/// By the environment: http_proxy or https_proxy (or in capitals; HTTP_PROXY apart, which a CGI's client can set), and
/// all_proxy; none for hosts that no_proxy names. InvalidUrl for a proxy that is none.
std::optional<Url> proxy_for(const Url& url);
/// Whether the list, "localhost, .example.org, 10.0.0.1:8080" or "*", has the host.
bool is_exempt(const Url& url, std::string_view no_proxy);
/// "Basic dXNlcjpwYXNz".
std::string basic_credentials(std::string_view user_and_password);

}  // namespace knit::http::detail
