#include "knit/http/client.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <tuple>
#include <utility>

#include "client_route.hpp"
#include "knit/error.hpp"
#include "knit/http/error.hpp"
#include "knit/loop.hpp"
#include "knit/timeout.hpp"
#include "proxy.hpp"
#include "text.hpp"

namespace knit::http {
namespace detail {
namespace {

using ExchangePtr = std::unique_ptr<ClientExchange>;

constexpr int kTriesMost = 5;

bool has_field(const std::vector<std::pair<std::string, std::string>>& fields, std::string_view name) {
    return std::ranges::any_of(fields, [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

/// One request on its way through redirects.
struct Job {
    std::shared_ptr<SessionCore> session;
    std::string method;
    Url url;
    std::shared_ptr<const RequestOptions> options;  ///< a body that is being sent keeps it
    ClientTimeout timeout;
    std::optional<TimePoint> deadline;
    Loop* loop = nullptr;
    std::string user;           ///< what the URL says; good for its origin
    bool may_authorize = true;  ///< the origin is still the first one
};

void add_field(std::string& head, std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_field_value(value)) {
        throw ValueError("a header field's name is letters, digits and dashes, and its value has no control "
                         "characters: \"" + std::string(name) + "\" is refused");
    }
    head.append(name).append(": ").append(value).append("\r\n");
}

bool is_credential(std::string_view name) {
    return equals_ignoring_case(name, "authorization") || equals_ignoring_case(name, "cookie");
}

/// Fields of the request's own, then those of the session that it does not say otherwise.
void add_fields(std::string& head, const Job& job, bool goes_to_proxy) {
    for (const auto* fields : {&job.options->headers, &job.session->options.headers}) {
        const bool is_session = fields == &job.session->options.headers;
        for (const auto& [name, value] : *fields) {
            const bool is_own = equals_ignoring_case(name, "host") || equals_ignoring_case(name, "content-length") ||
                                equals_ignoring_case(name, "transfer-encoding");
            if (is_own) {
                throw ValueError(name + " is said by the client itself: it follows from the URL and the body");
            }
            const bool is_said = is_session && has_field(job.options->headers, name);
            const bool is_for_proxy = equals_ignoring_case(name, "proxy-authorization");
            const bool is_allowed = is_for_proxy ? goes_to_proxy : job.may_authorize || !is_credential(name);
            if (!is_said && is_allowed) {
                add_field(head, name, value);
            }
        }
    }
}

std::string make_head(const Job& job, const std::optional<Url>& proxy) {
    const RequestOptions& options = *job.options;
    const SessionOptions& session = job.session->options;
    const bool is_plain_proxy = proxy && !job.url.is_secure();
    std::string head = job.method + " " + (is_plain_proxy ? job.url.to_string() : job.url.target()) + " HTTP/1.1\r\n";
    add_field(head, "Host", job.url.authority());
    add_fields(head, job, is_plain_proxy);
    const auto is_said = [&](std::string_view name) {
        const bool is_kept = job.may_authorize || !is_credential(name);
        return is_kept && (has_field(options.headers, name) || has_field(session.headers, name));
    };
    if (!is_said("user-agent") && !session.user_agent.empty()) {
        add_field(head, "User-Agent", session.user_agent);
    }
    if (!is_said("accept")) {
        add_field(head, "Accept", "*/*");
    }
    if (!job.user.empty() && !is_said("authorization")) {
        add_field(head, "Authorization", basic_credentials(job.user));
    }
    if (is_plain_proxy && !proxy->user().empty() && !is_said("proxy-authorization")) {
        add_field(head, "Proxy-Authorization", basic_credentials(proxy->user()));
    }
    const bool has_own_cookies = job.may_authorize && has_field(options.headers, "cookie");
    const std::string cookies = session.cookies && !has_own_cookies
                                    ? job.session->jar.field_for(job.url, std::time(nullptr)) : std::string();
    if (!cookies.empty()) {
        add_field(head, "Cookie", cookies);
    }
    const bool has_body = options.stream || !options.body.empty();
    if (has_body && !is_said("content-type")) {
        add_field(head, "Content-Type", options.content_type.empty() ? "application/octet-stream"
                                                                     : std::string_view(options.content_type));
    }
    if (options.stream) {
        add_field(head, "Transfer-Encoding", "chunked");
    } else if (has_body || job.method == "POST" || job.method == "PUT" || job.method == "PATCH") {
        add_field(head, "Content-Length", std::to_string(options.body.size()));
    }
    return head += "\r\n";
}

/// Sends the request to where it is to go now; gives the exchange, whose answer's head has come.
Coro<ExchangePtr> send_request(Job& job) {
    Route route = make_route(job.session, job.url, *job.loop, job.timeout);
    Coro<Permit> admitting_to = job.session->admit_to(route.key);
    Permit host_permit = co_await std::move(admitting_to);
    Coro<Permit> admitting = job.session->admit();
    Permit permit = co_await std::move(admitting);
    for (int tries = 0; tries < kTriesMost; ++tries) {
        Coro<ExchangePtr> opening = open_exchange(route);
        ExchangePtr exchange = co_await std::move(opening);
        exchange->set_permits(std::move(permit), std::move(host_permit));
        Coro<bool> exchanging = exchange->exchange(make_head(job, route.proxy), job.method, job.options);
        if (co_await std::move(exchanging)) {
            co_return exchange;
        }
        std::tie(permit, host_permit) = exchange->take_permits();
        route.is_fresh = true;
    }
    throw ServerProtocolError("the server " + job.url.origin() + " refuses the request again and again");
}

bool is_redirect(int status) noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// RFC 9110, 15.4; browsers and aiohttp do the same.
void turn_to(Job& job, Url target, int status) {
    const bool becomes_get = (status == 303 && job.method != "HEAD") || (status < 303 && job.method == "POST");
    if (becomes_get) {
        job.method = "GET";
        auto options = std::make_shared<RequestOptions>(*job.options);
        options->body.clear();
        options->stream = nullptr;
        std::erase_if(options->headers, [](const auto& field) {
            return equals_ignoring_case(field.first, "content-type");
        });
        job.options = std::move(options);
    }
    const bool is_same = target.origin() == job.url.origin();
    job.may_authorize = job.may_authorize && is_same;
    if (!is_same || !target.user().empty()) {
        job.user = target.user();
    }
    job.url = std::move(target);
}

Coro<ClientResponse> follow(Job job) {
    for (int redirects = 0;; ++redirects) {
        Coro<ExchangePtr> sending = send_request(job);
        ExchangePtr exchange = co_await std::move(sending);
        const Head& head = exchange->head();
        if (job.session->options.cookies) {
            for (const std::string_view cookie : head.fields.get_all("set-cookie")) {
                job.session->jar.store(job.url, cookie, std::time(nullptr));
            }
        }
        const std::string location(head.fields.get("location"));
        if (!job.options->allow_redirects || !is_redirect(head.status) || location.empty()) {
            exchange->set_deadline(job.deadline);
            co_return ClientResponse(std::move(exchange), std::move(job.url), redirects);
        }
        if (redirects >= job.options->max_redirects) {
            throw TooManyRedirects("more than " + std::to_string(redirects) + " redirects, the last one to " +
                                   location);
        }
        const int status = head.status;
        Coro<> draining = exchange->drain();
        co_await std::move(draining);
        turn_to(job, job.url.join(location), status);
    }
}

Coro<ClientResponse> request_within(Job job) {
    job.loop = &get_running_loop();
    if (job.session->is_closed()) {
        throw RuntimeError("the ClientSession is closed");
    }
    if (job.timeout.total > Duration::zero()) {
        job.deadline = knit::detail::after(std::chrono::steady_clock::now(), job.timeout.total);
    }
    const std::optional<TimePoint> deadline = job.deadline;
    Coro<ClientResponse> following = follow(std::move(job));
    Coro<ClientResponse> limited = with_timeout_at(deadline, std::move(following));
    co_return co_await std::move(limited);
}

}  // namespace
}  // namespace detail

ClientSession::ClientSession() : ClientSession(SessionOptions()) {}

ClientSession::ClientSession(SessionOptions options)
    : core_(std::make_shared<detail::SessionCore>(std::move(options))) {}

ClientSession::~ClientSession() { core_->close(); }

Coro<ClientResponse> ClientSession::post(Url url, std::string body) {
    RequestOptions options;
    options.body = std::move(body);
    return request("POST", std::move(url), std::move(options));
}

Coro<ClientResponse> ClientSession::put(Url url, std::string body) {
    RequestOptions options;
    options.body = std::move(body);
    return request("PUT", std::move(url), std::move(options));
}

Coro<ClientResponse> ClientSession::request(std::string method, Url url) {
    return request(std::move(method), std::move(url), RequestOptions());
}

Coro<ClientResponse> ClientSession::request(std::string method, Url url, RequestOptions options) {
    if (!detail::is_token(method)) {
        throw ValueError("\"" + method + "\" is no method of HTTP");
    }
    if (method == "CONNECT") {
        throw ValueError("CONNECT makes a tunnel of the connection, for which a ClientSession has no use: it goes "
                         "through the environment's proxies by itself (SessionOptions::trust_env), and for a tunnel "
                         "of one's own the request is written to a TcpStream");
    }
    if (options.stream && !options.body.empty()) {
        throw ValueError("RequestOptions: a request has a body or a stream that makes it, not both");
    }
    for (const auto& [name, value] : options.params) {
        url = url.with_query(name, value);
    }
    detail::Job job;
    job.session = core_;
    job.method = std::move(method);
    job.url = std::move(url);
    job.user = job.url.user();
    job.timeout = options.timeout.value_or(core_->options.timeout);
    job.options = std::make_shared<const RequestOptions>(std::move(options));
    return detail::request_within(std::move(job));
}

std::size_t ClientSession::idle_count() const { return core_->idle_count(); }

void ClientSession::close() { core_->close(); }

// Answers.

ClientResponse::ClientResponse(std::unique_ptr<detail::ClientExchange> exchange, Url url, int redirects) noexcept
    : exchange_(std::move(exchange)), url_(std::move(url)), redirects_(redirects) {}
ClientResponse::ClientResponse() noexcept = default;
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;
ClientResponse& ClientResponse::operator=(ClientResponse&&) noexcept = default;
ClientResponse::~ClientResponse() = default;

detail::ClientExchange& ClientResponse::exchange() const {
    if (exchange_ == nullptr) {
        throw RuntimeError("there is no ClientResponse: it was moved from, or never given one by a request");
    }
    return *exchange_;
}

int ClientResponse::status() const { return exchange().head().status; }

bool ClientResponse::is_http2() const { return exchange().head().is_http2; }

const Fields& ClientResponse::headers() const& { return exchange().head().fields; }

const ClientResponse& ClientResponse::raise_for_status() const& {
    if (!ok()) {
        throw ResponseError(status(), std::to_string(status()) + " " + std::string(reason_of(status())) + ", url=" +
                                          url_.to_string());
    }
    return *this;
}

ClientResponse ClientResponse::raise_for_status() && {
    static_cast<const ClientResponse&>(*this).raise_for_status();
    return std::move(*this);
}

Coro<std::string_view> ClientResponse::read_some() & { return exchange().read_body(); }

Coro<std::string> ClientResponse::text(std::size_t most) && { return text_of(std::move(*this), most); }

Coro<std::string> ClientResponse::text_of(ClientResponse response, std::size_t most) {
    Coro<std::string> reading = response.text(most);
    co_return co_await std::move(reading);
}

Coro<std::string> ClientResponse::text(std::size_t most) & {
    std::string text;
    for (;;) {
        Coro<std::string_view> reading = read_some();
        const std::string_view piece = co_await std::move(reading);
        if (piece.empty()) {
            co_return text;
        }
        if (piece.size() > most - text.size()) {
            throw BodyTooLarge("the answer has more than " + std::to_string(most) + " bytes");
        }
        text.append(piece);
    }
}

}  // namespace knit::http
