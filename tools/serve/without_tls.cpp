#include "secure.hpp"

knit::Coro<knit::http::Server> serve_securely(knit::io::Endpoint, knit::http::Router, knit::http::ServerOptions,
                                              std::string, std::string) {
    throw knit::RuntimeError("--cert needs TLS, which this knit was built without: install libssl-dev (OpenSSL 3) and "
                             "build knit again with -DKNIT_BUILD_TLS=ON");
}
