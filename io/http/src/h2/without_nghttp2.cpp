#include "../shared_connection.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/log.hpp"

namespace knit::http::detail {

bool has_http2() noexcept { return false; }

Coro<> ConnectionBase::speak_http2(std::string_view) {
    is_last_ = true;
    knit::detail::log(LogLevel::warning,
                      "knit: http: TLS's ALPN has chosen h2, which this knit was built without: install libnghttp2-dev "
                      "and build knit again, or leave \"h2\" out of the Context's alpn()");
    co_return;
}

std::shared_ptr<SharedConnection> share(std::unique_ptr<Transport>, Duration,
                                        std::function<void(const SharedConnection&)>) {
    throw RuntimeError("the server has chosen h2, which this knit was built without: leave it out of the alpn() of "
                       "SessionOptions::tls");
}

}  // namespace knit::http::detail
