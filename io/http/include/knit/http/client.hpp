/// ClientSession: an HTTP client with a pool of connections, cookies, redirects and timeouts.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/http/client_response.hpp"
#include "knit/http/url.hpp"
#include "knit/time.hpp"

namespace knit::tls {
class Context;
}

namespace knit::http {

/// Zero: for ever.
struct ClientTimeout {
    Duration total = std::chrono::minutes(5);     ///< of a request, its redirects and its whole answer
    Duration connect = std::chrono::seconds(30);  ///< for a connection to stand, TLS included
    Duration read = Duration::zero();             ///< between two pieces of an answer
};

/// What a request has besides method and URL. (With GCC 12 to be named before it is passed.)
struct RequestOptions {
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::vector<std::pair<std::string, std::string>> params = {};  ///< added to the query, encoded
    std::string body = {};
    std::string content_type = {};  ///< of the body; empty: application/octet-stream
    /// Instead of `body` (both: ValueError): writes it, in chunks. Called again for a redirect that repeats it. A
    /// server may answer before all is written: then this goes on while the answer is read, and is cancelled at the
    /// answer's end, which waits for it; also when the answer is destroyed, which does not.
    std::function<Coro<>(RequestWriter&)> stream = {};
    bool allow_redirects = true;
    int max_redirects = 10;  ///< more: TooManyRedirects
    std::optional<ClientTimeout> timeout = {};  ///< instead of the session's
};

/// Which HTTP a session speaks.
enum class HttpVersion {
    automatic,  ///< over TLS, HTTP/2 with servers that choose it by ALPN; HTTP/1.1 with all others
    http1,
    http2  ///< over TLS, ClientError for a server that does not choose it; in clear text, unasked ("prior knowledge")
};

struct SessionOptions {
    HttpVersion http_version = HttpVersion::automatic;  ///< proxies in clear text are spoken to in HTTP/1.1
    ClientTimeout timeout = {};
    /// Requests under way at one time, until their answers have been read; the others wait. 0: no limit of the
    /// session's, but a server of HTTP/2 has its own, most often 100.
    std::size_t limit = 100;
    std::size_t limit_per_host = 0;   ///< the same for each host and port
    Duration keepalive = std::chrono::seconds(15);  ///< how long an unused connection is kept; zero: none is
    bool trust_env = false;           ///< http_proxy, https_proxy, no_proxy: proxies by the environment
    bool cookies = true;              ///< kept, and sent where they belong
    std::vector<std::pair<std::string, std::string>> headers = {};  ///< of every request that does not say otherwise
    std::string user_agent = "knit";
    /// Null: the system's roots decide. It has to outlive the session. Its alpn(), if it has one, is what is offered.
    const tls::Context* tls = nullptr;
};

/// aiohttp's ClientSession. May be used from any loop and by many tasks at a time; a connection is used again on its
/// own loop, and requests of one loop to one server share a connection of HTTP/2. It has to live until its requests
/// have ended; answers may outlive it. What it has open is closed with it.
/// JSON is left to a library of the user's: `json::parse(co_await response.text())`.
///
///     knit::http::ClientSession session;
///     auto response = co_await session.get("http://example.org/");
///     std::string text = co_await response.text();
///
/// Throws ValueError for a request that cannot be sent, InvalidUrl, ClientError and what derives from it, TimeoutError,
/// std::system_error (not connected, for example), tls::TlsError. Cancelled: CancelledError, and the request's
/// connection is closed.
class ClientSession {
public:
    ClientSession();
    explicit ClientSession(SessionOptions options);
    ClientSession(const ClientSession&) = delete;
    ClientSession& operator=(const ClientSession&) = delete;
    ~ClientSession();

    Coro<ClientResponse> get(Url url) { return request("GET", std::move(url)); }
    Coro<ClientResponse> get(Url url, RequestOptions options) {
        return request("GET", std::move(url), std::move(options));
    }
    Coro<ClientResponse> head(Url url) { return request("HEAD", std::move(url)); }
    Coro<ClientResponse> post(Url url, std::string body);
    Coro<ClientResponse> post(Url url, RequestOptions options) {
        return request("POST", std::move(url), std::move(options));
    }
    Coro<ClientResponse> put(Url url, std::string body);
    Coro<ClientResponse> del(Url url) { return request("DELETE", std::move(url)); }
    Coro<ClientResponse> request(std::string method, Url url);
    Coro<ClientResponse> request(std::string method, Url url, RequestOptions options);

    /// Connections of HTTP/1.1 that wait to be used again.
    std::size_t idle_count() const;
    /// Closes them. Any thread.
    void close();

private:
    std::shared_ptr<detail::SessionCore> core_;
};

}  // namespace knit::http
