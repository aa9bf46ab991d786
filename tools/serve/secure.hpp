/// HTTPS, where this knit has TLS.
#pragma once

#include <string>

#include "knit/http.hpp"

/// As http::serve(), over TLS. RuntimeError where there is none.
knit::Coro<knit::http::Server> serve_securely(knit::io::Endpoint endpoint, knit::http::Router router,
                                              knit::http::ServerOptions options, std::string certificate,
                                              std::string key);
