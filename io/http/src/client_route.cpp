#include "client_route.hpp"

#include <utility>

#include "client_connection.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/takeover.hpp"
#include "knit/http/error.hpp"
#include "knit/timeout.hpp"
#include "proxy.hpp"

namespace knit::http::detail {
namespace {

using ExchangePtr = std::unique_ptr<ClientExchange>;

/// This request opens a connection, which those that come meanwhile wait for: it may be one for all of them.
class Opening {
public:
    explicit Opening(Origin& origin) noexcept : origin_(origin) {
        origin_.is_opening = true;
        origin_.opened.clear();
    }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;
    ~Opening() {
        origin_.is_opening = false;
        origin_.opened.set();
    }

private:
    Origin& origin_;
};

ExchangePtr make_exchange(const Route& route, std::unique_ptr<Transport> transport, bool is_reused) {
    auto exchange = std::make_unique<ClientConnection>(route.session, route.key, *route.loop, route.timeout);
    exchange->set_transport(std::move(transport), is_reused);
    return exchange;
}

Coro<std::unique_ptr<Transport>> open_for(const Route& route) {
    return open_transport(route.url, route.proxy, route.session->options.tls, route.timeout.connect, route.alpn);
}

/// What speaks HTTP/2 is shared from here on.
ExchangePtr take_over(const Route& route, const std::shared_ptr<Origin>& origin, std::unique_ptr<Transport> transport) {
    const bool has_chosen = transport->alpn_protocol() == "h2";
    if (!has_chosen && !route.is_http2) {
        if (route.session->options.http_version == HttpVersion::http2 && route.url.is_secure()) {
            throw ClientError("the server " + route.url.origin() + " does not choose h2 by ALPN, and "
                              "SessionOptions::http_version is http2: say automatic, to speak HTTP/1.1 with it");
        }
        origin->is_http1 = true;
        return make_exchange(route, std::move(transport), false);
    }
    if (route.session->options.http_version == HttpVersion::http1) {
        throw ClientError("the server " + route.url.origin() + " has chosen h2, which SessionOptions::http_version "
                          "forbids: leave it out of the alpn() of SessionOptions::tls");
    }
    auto ended = [session = std::weak_ptr(route.session), origin](const SharedConnection& connection) {
        if (const auto kept = session.lock()) {
            kept->drop_shared(*origin, connection);
        }
    };
    auto connection = share(std::move(transport), route.session->options.keepalive, std::move(ended));
    ExchangePtr exchange = connection->open(route.timeout);
    route.session->set_shared(*origin, std::move(connection));
    return exchange;
}

Coro<ExchangePtr> open_now(const Route& route) {
    const std::shared_ptr<Origin> origin = route.session->origin(route.key, *route.loop);
    const bool may_share = route.is_http2 || !route.alpn.empty();
    while (may_share) {
        if (const auto connection = route.session->shared(*origin)) {
            co_return connection->open(route.timeout);
        }
        if (origin->is_http1 || !origin->is_opening) {
            break;
        }
        co_await origin->opened.wait();
    }
    std::optional<Opening> opening;
    if (may_share && !origin->is_http1) {
        opening.emplace(*origin);
    } else if (auto transport = route.is_fresh ? nullptr : route.session->take_idle(route.key, *route.loop)) {
        co_return make_exchange(route, std::move(transport), true);
    }
    Coro<std::unique_ptr<Transport>> connecting = open_for(route);
    std::unique_ptr<Transport> transport = co_await std::move(connecting);
    co_return take_over(route, origin, std::move(transport));
}

}  // namespace

Route make_route(std::shared_ptr<SessionCore> session, const Url& url, Loop& loop, const ClientTimeout& timeout) {
    const HttpVersion version = session->options.http_version;
    if (version == HttpVersion::http2 && !has_http2()) {
        throw RuntimeError("SessionOptions::http_version is http2, which this knit was built without: install "
                           "libnghttp2-dev and build knit again with -DKNIT_BUILD_HTTP2=ON");
    }
    std::optional<Url> proxy = session->options.trust_env ? proxy_for(url) : std::nullopt;
    std::string key = url.origin();
    if (proxy) {
        key.append(" ").append(proxy->to_string());
    }
    Route route{std::move(session), url, std::move(proxy), std::move(key), &loop, timeout, {}};
    if (version != HttpVersion::http1 && has_http2()) {
        route.alpn = !url.is_secure() ? "" : version == HttpVersion::http2 ? "h2" : "h2,http/1.1";
        route.is_http2 = version == HttpVersion::http2 && !url.is_secure() && !route.proxy;
    }
    return route;
}

Coro<ExchangePtr> open_exchange(const Route& route) {
    const Duration limit = route.timeout.connect;
    Coro<ExchangePtr> opening = open_now(route);
    if (limit <= Duration::zero()) {
        co_return co_await std::move(opening);
    }
    Coro<ExchangePtr> limited = with_timeout(std::optional(limit), std::move(opening));
    co_return co_await std::move(limited);
}

}  // namespace knit::http::detail
