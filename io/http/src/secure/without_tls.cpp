#include "knit/error.hpp"
#include "../transport.hpp"

namespace knit::http::detail {

Coro<std::unique_ptr<Transport>> secure(io::TcpStream, Url url, const tls::Context*, Duration, std::string_view,
                                        bool) {
    throw RuntimeError(url.to_string() + " needs TLS, which this knit was built without: install libssl-dev "
                                         "(OpenSSL 3) and build knit again with -DKNIT_BUILD_TLS=ON");
    co_return nullptr;
}

}  // namespace knit::http::detail
