/// Route: where a request goes, and the connection that takes it there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client_exchange.hpp"
#include "knit/coro.hpp"
#include "knit/http/client.hpp"
#include "session_core.hpp"

namespace knit::http::detail {

struct Route {
    std::shared_ptr<SessionCore> session;
    Url url;
    std::optional<Url> proxy;
    std::string key;  ///< of the session's pool
    Loop* loop;
    ClientTimeout timeout;
    std::string_view alpn;  ///< what is offered
    bool is_http2 = false;  ///< unasked, in clear text
    bool is_fresh = false;  ///< an unused connection was dead: a new one, please
};

/// RuntimeError when HTTP/2 is wanted and this knit has none.
Route make_route(std::shared_ptr<SessionCore> session, const Url& url, Loop& loop, const ClientTimeout& timeout);

/// Takes a connection that is there, or opens one, within timeout.connect.
Coro<std::unique_ptr<ClientExchange>> open_exchange(const Route& route);

}  // namespace knit::http::detail
