// ClientSession, against the server of the same library and against bare bytes.
#include <deque>
#include <functional>

#include "cookies.hpp"
#include "http_test.hpp"
#include "proxy.hpp"

namespace knit::test {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::Request;
using http::RequestOptions;
using http::Response;
using http::Url;

Url url_of(const http::Server& server, std::string_view path) {
    return Url("http://" + server.local_endpoint().to_string() + std::string(path));
}

void with_session(std::function<Coro<>(http::Server&, ClientSession&)> body, http::SessionOptions options = {}) {
    run_io([&]() -> Coro<> {
        co_await with_server({.shutdown_timeout = 0s}, [&](http::Server& server) -> Coro<> {
            ClientSession session(options);
            Coro<> running = body(server, session);
            co_await std::move(running);
        });
    });
}

TEST(ClientSession, FetchesAPageAndUsesTheConnectionAgain) {
    with_session([](http::Server& server, ClientSession& session) -> Coro<> {
        for (int i = 0; i < 3; ++i) {
            ClientResponse response = co_await session.get(url_of(server, "/"));
            EXPECT_EQ(response.status(), 200);
            EXPECT_EQ(response.header("content-type"), "text/plain; charset=utf-8");
            const std::string text = co_await response.text();
            EXPECT_EQ(text, "Hello, world!\n");
            EXPECT_EQ(session.idle_count(), 1U);
            EXPECT_EQ(server.connection_count(), 1U);
        }
    });
}

TEST(ClientSession, FetchesManyAtOnce) {
    http::SessionOptions options;
    options.limit = 5;
    with_session([](http::Server& server, ClientSession& session) -> Coro<> {
        const auto fetch = [&](int number) -> Coro<std::string> {
            ClientResponse response = co_await session.get(url_of(server, "/users/" + std::to_string(number)));
            EXPECT_LE(server.connection_count(), 5U);
            co_return co_await response.text();
        };
        std::vector<Coro<std::string>> fetches;
        for (int i = 0; i < 30; ++i) {
            fetches.push_back(fetch(i));
        }
        const std::vector<std::string> texts = co_await gather(std::move(fetches));
        for (int i = 0; i < 30; ++i) {
            EXPECT_EQ(texts[static_cast<std::size_t>(i)], "user " + std::to_string(i) + " none");
        }
    }, options);
}

TEST(ClientSession, PostsAndStreamsBothWays) {
    with_session([](http::Server& server, ClientSession& session) -> Coro<> {
        ClientResponse posted = co_await session.post(url_of(server, "/echo"), std::string(200'000, 'p'));
        std::string text = co_await posted.text();
        EXPECT_EQ(text, std::string(200'000, 'p'));
        RequestOptions options;
        options.stream = [](http::RequestWriter& writer) -> Coro<> {
            for (int i = 0; i < 3; ++i) {
                co_await writer.write("chunk ");
            }
        };
        ClientResponse streamed = co_await session.post(url_of(server, "/echo"), options);
        text = co_await streamed.text();
        EXPECT_EQ(text, "chunk chunk chunk ");
        ClientResponse pieces = co_await session.get(url_of(server, "/stream"));
        text.clear();
        for (;;) {
            const std::string_view piece = co_await pieces.read_some();
            if (piece.empty()) {
                break;
            }
            text += piece;
        }
        EXPECT_EQ(text, "piece\npiece\npiece\n");
        EXPECT_EQ(server.connection_count(), 1U);
        ClientResponse head = co_await session.head(url_of(server, "/large"));
        EXPECT_EQ(head.header("Content-Length"), "1048576");
        text = co_await head.text();
        EXPECT_EQ(text, "");
    });
}

TEST(ClientSession, ErrorsAreErrors) {
    with_session([](http::Server& server, ClientSession& session) -> Coro<> {
        ClientResponse missing = co_await session.get(url_of(server, "/nobody"));
        EXPECT_FALSE(missing.ok());
        EXPECT_THROW(missing.raise_for_status(), http::ResponseError);
        ClientResponse cut = co_await session.get(url_of(server, "/cut"));
        EXPECT_THROW(co_await cut.text(), http::ServerProtocolError);
        ClientResponse large = co_await session.get(url_of(server, "/large"));
        EXPECT_THROW(co_await large.text(1000), http::BodyTooLarge);
        EXPECT_THROW(co_await session.get("http://127.0.0.1:1/"), std::system_error);
        RequestOptions options;
        options.headers = {{"X", "a\r\nY: b"}};
        EXPECT_THROW(co_await session.request("GET", url_of(server, "/"), options), ValueError);
        options.headers = {{"Content-Length", "3"}};
        EXPECT_THROW(co_await session.request("GET", url_of(server, "/"), options), ValueError);
        EXPECT_THROW(co_await session.request("CONNECT", url_of(server, "/")), ValueError);
        options = RequestOptions();
        options.stream = [](http::RequestWriter&) -> Coro<> {
            throw std::system_error(std::make_error_code(std::errc::no_such_file_or_directory));
            co_return;
        };
        EXPECT_THROW(co_await session.request("POST", url_of(server, "/echo"), options), std::system_error);
        options.body = "too";
        EXPECT_THROW(co_await session.request("POST", url_of(server, "/echo"), options), ValueError);
        http::ClientTimeout timeout;
        timeout.total = 50ms;
        options = RequestOptions();
        options.timeout = timeout;
        EXPECT_THROW(co_await session.request("GET", url_of(server, "/wait"), options), TimeoutError);
    });
}

/// A server that says what it is told, an answer for each connection, and keeps what it was asked.
class Scripted {
public:
    explicit Scripted(std::deque<std::string> answers) : answers_(std::move(answers)) {}
    Coro<> serve(io::TcpStream stream) {
        std::string answer = std::move(answers_.front());
        answers_.pop_front();
        std::string request;
        char buffer[4096];
        while (request.find("\r\n\r\n") == std::string::npos) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                break;
            }
            request.append(buffer, count);
        }
        requests.push_back(request);
        co_await stream.write(answer);
    }
    void add(std::string answer) { answers_.push_back(std::move(answer)); }
    std::vector<std::string> requests;

private:
    std::deque<std::string> answers_;
};

void with_script(std::deque<std::string> answers, std::function<Coro<>(Scripted&, ClientSession&, std::string)> body) {
    run_io([&]() -> Coro<> {
        Scripted script(std::move(answers));
        auto handler = [&](io::TcpStream stream) { return script.serve(std::move(stream)); };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), handler);
        ClientSession session;
        Coro<> running = body(script, session, "http://" + server.local_endpoint().to_string());
        co_await std::move(running);
        server.close();
        co_await server.wait_closed();
    });
}

std::string redirect(int status, std::string_view target) {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\nLocation: " + std::string(target) +
           "\r\nContent-Length: 0\r\n\r\n";
}
constexpr const char* kDone = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

TEST(ClientSession, FollowsRedirectsAndTurnsPostIntoGet) {
    with_script({redirect(302, "/a/../b?c"), redirect(307, "d"), kDone},
                [](Scripted& script, ClientSession& session, std::string base) -> Coro<> {
        ClientResponse response = co_await session.post(base + "/x/y", std::string("body"));
        const std::string text = co_await response.text();
        EXPECT_EQ(text, "done");
        EXPECT_EQ(response.redirect_count(), 2);
        EXPECT_EQ(response.url().target(), "/d");
        EXPECT_TRUE(script.requests[0].starts_with("POST /x/y HTTP/1.1\r\n"));
        EXPECT_TRUE(script.requests[1].starts_with("GET /b?c HTTP/1.1\r\n"));
        EXPECT_EQ(count_of(script.requests[1], "Content-"), 0);
        EXPECT_TRUE(script.requests[2].starts_with("GET /d HTTP/1.1\r\n"));
    });
}

TEST(ClientSession, RepeatsTheBodyFor307AndStopsWhenThereAreTooMany) {
    with_script({redirect(307, "/again"), kDone, redirect(301, "/"), redirect(301, "/"), redirect(301, "/")},
                [](Scripted& script, ClientSession& session, std::string base) -> Coro<> {
        ClientResponse response = co_await session.put(base + "/", "body");
        EXPECT_EQ(response.status(), 200);
        EXPECT_TRUE(script.requests[1].starts_with("PUT /again HTTP/1.1\r\n"));
        EXPECT_TRUE(script.requests[1].ends_with("\r\n\r\nbody"));
        RequestOptions options;
        options.max_redirects = 2;
        EXPECT_THROW(co_await session.request("GET", base + "/", options), http::TooManyRedirects);
    });
}

TEST(ClientSession, CredentialsDoNotGoToAnotherOrigin) {
    run_io([]() -> Coro<> {
        Scripted other({kDone});
        auto take = [&](io::TcpStream stream) { return other.serve(std::move(stream)); };
        io::Server target = co_await io::serve(io::endpoint("127.0.0.1", 0), take);
        Scripted script({redirect(302, "http://" + target.local_endpoint().to_string() + "/")});
        auto send = [&](io::TcpStream stream) { return script.serve(std::move(stream)); };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), send);
        ClientSession session;
        RequestOptions options;
        options.headers = {{"Authorization", "Bearer secret"}, {"Cookie", "a=b"}, {"X-Other", "kept"}};
        ClientResponse response =
            co_await session.get("http://" + server.local_endpoint().to_string() + "/", options);
        EXPECT_EQ(response.status(), 200);
        EXPECT_EQ(count_of(script.requests[0], "secret"), 1);
        EXPECT_EQ(count_of(other.requests[0], "secret"), 0);
        EXPECT_EQ(count_of(other.requests[0], "Cookie"), 0);
        EXPECT_EQ(count_of(other.requests[0], "X-Other: kept"), 1);
        target.close();
        server.close();
        co_await target.wait_closed();
        co_await server.wait_closed();
    });
}

TEST(ClientSession, TheUserOfTheUrlStaysWithItsOrigin) {
    run_io([]() -> Coro<> {
        Scripted other({"HTTP/1.1 302 x\r\nSet-Cookie: login=1\r\nLocation: /in\r\nContent-Length: 0\r\n\r\n", kDone});
        auto take = [&](io::TcpStream stream) { return other.serve(std::move(stream)); };
        io::Server target = co_await io::serve(io::endpoint("127.0.0.1", 0), take);
        Scripted script({});
        auto send = [&](io::TcpStream stream) { return script.serve(std::move(stream)); };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), send);
        const std::string where = server.local_endpoint().to_string();
        script.add(redirect(302, "/relative"));
        script.add(redirect(302, "http://" + where + "/absolute"));
        script.add(redirect(302, "http://" + target.local_endpoint().to_string() + "/"));
        ClientSession session;
        RequestOptions options;
        options.headers = {{"Cookie", "own=1"}};
        ClientResponse response = co_await session.get("http://me:pw@" + where + "/", options);
        EXPECT_EQ(response.status(), 200);
        for (const std::string& request : script.requests) {
            EXPECT_EQ(count_of(request, "Authorization: Basic bWU6cHc=\r\n"), 1) << request;
            EXPECT_EQ(count_of(request, "Cookie: own=1\r\n"), 1) << request;
        }
        EXPECT_EQ(script.requests.size(), 3U);
        EXPECT_EQ(count_of(other.requests[0], "Authorization"), 0);
        EXPECT_EQ(count_of(other.requests[1], "Authorization"), 0);
        EXPECT_EQ(count_of(other.requests[1], "Cookie: login=1\r\n"), 1);  // which the dropped field does not keep out
        target.close();
        server.close();
        co_await target.wait_closed();
        co_await server.wait_closed();
    });
}

TEST(ClientSession, ReadsEveryFramingAndRefusesWhatIsNone) {
    const auto fetched = [](std::string answer) {
        std::string text;
        with_script({std::move(answer)}, [&](Scripted&, ClientSession& session, std::string base) -> Coro<> {
            try {
                ClientResponse response = co_await session.get(base);
                text = co_await response.text();
            } catch (const http::ServerProtocolError&) {
                text = "(error)";
            }
        });
        return text;
    };
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\n\r\nuntil the end"), "until the end");
    EXPECT_EQ(fetched("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nokmore"), "ok");
    EXPECT_EQ(fetched("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n"
                      "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), "ok");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "ok");
    EXPECT_EQ(fetched("HTTP/1.1 204 No Content\r\n\r\n"), "");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"), "(error)");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), "(error)");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "(error)");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), "(error)");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), "(error)");
    EXPECT_EQ(fetched("SSH-2.0-OpenSSH\r\n"), "(error)");
    EXPECT_EQ(fetched(""), "(error)");
    EXPECT_EQ(fetched("HTTP/1.1 200 OK\r\nX: y\r\n"), "(error)");
}

TEST(ClientSession, CookiesGoBackToWhereTheyCameFrom) {
    with_script({"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/deep\r\n"
                 "Set-Cookie: c=3; Max-Age=0\r\nSet-Cookie: d=4; Domain=example.org\r\nContent-Length: 0\r\n\r\n",
                 kDone, kDone},
                [](Scripted& script, ClientSession& session, std::string base) -> Coro<> {
        ClientResponse first = co_await session.get(base + "/");
        ClientResponse second = co_await session.get(base + "/");
        ClientResponse third = co_await session.get(base + "/deep/er");
        EXPECT_EQ(third.status(), 200);
        EXPECT_EQ(count_of(script.requests[1], "\r\nCookie: a=1\r\n"), 1);
        EXPECT_EQ(count_of(script.requests[2], "\r\nCookie: b=2; a=1\r\n"), 1);
    });
}

TEST(CookieJar, KeepsToDomainsPathsAndTime) {
    http::detail::CookieJar jar;
    jar.store("http://www.example.org/", "a=1; Domain=.Example.ORG", 100);
    jar.store("http://www.example.org/", "b=2; Domain=org", 100);
    jar.store("http://www.example.org/", "c=3; Domain=other.org", 100);
    jar.store("http://www.example.org/", "d=4; Secure", 100);
    jar.store("http://www.example.org/", "e=5; Max-Age=10", 100);
    jar.store("http://www.example.org/", "f=6; Expires=Thu, 01 Jan 1970 00:01:00 GMT", 100);
    EXPECT_EQ(jar.field_for("http://www.example.org/", 105), "a=1; e=5");
    EXPECT_EQ(jar.field_for("http://www.example.org/", 111), "a=1");
    EXPECT_EQ(jar.field_for("http://api.example.org/", 105), "a=1");
    EXPECT_EQ(jar.field_for("http://badexample.org/", 105), "");
}

TEST(CookieJar, HttpDoesNotReplaceWhatHttpsHasSet) {
    http::detail::CookieJar jar;
    jar.store("https://a.org/", "s=1; Secure", 100);
    jar.store("http://a.org/", "s=2", 100);
    jar.store("https://a.org/", "__Host-x=1; Secure; Path=/; Domain=a.org", 100);
    jar.store("https://a.org/", "__Secure-y=1", 100);
    jar.store("https://a.org/", "__Host-z=1; Secure; Path=/", 100);
    jar.store("https://a.org/", "m=1; Max-Age=99999999999999999999999", 100);
    EXPECT_EQ(jar.field_for("https://a.org/", 105), "s=1; __Host-z=1; m=1");
}

TEST(Proxies, AreLeftOutForTheHostsThatAreNamed) {
    using http::detail::is_exempt;
    EXPECT_TRUE(is_exempt("http://localhost/", "example.org, localhost"));
    EXPECT_TRUE(is_exempt("http://www.example.org/", ".example.org"));
    EXPECT_TRUE(is_exempt("http://www.example.org/", "*.example.org"));
    EXPECT_TRUE(is_exempt("http://a/", "*"));
    EXPECT_TRUE(is_exempt("http://a:81/", "a:81"));
    EXPECT_FALSE(is_exempt("http://a:82/", "a:81"));
    EXPECT_FALSE(is_exempt("http://badexample.org/", "example.org"));
    EXPECT_FALSE(is_exempt("http://a/", ""));
    EXPECT_EQ(http::detail::basic_credentials("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

TEST(ClientSession, GoesThroughTheProxyOfTheEnvironment) {
    run_io([]() -> Coro<> {
        Scripted proxy({kDone});
        auto take = [&](io::TcpStream stream) { return proxy.serve(std::move(stream)); };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), take);
        const std::string where = "http://me:pw@" + server.local_endpoint().to_string();
        setenv("http_proxy", where.c_str(), 1);
        http::SessionOptions options;
        options.trust_env = true;
        ClientSession session(options);
        ClientResponse response = co_await session.get("http://example.invalid/x?y");
        unsetenv("http_proxy");
        EXPECT_EQ(response.status(), 200);
        EXPECT_TRUE(proxy.requests[0].starts_with("GET http://example.invalid/x?y HTTP/1.1\r\n"
                                                  "Host: example.invalid\r\n"));
        EXPECT_EQ(count_of(proxy.requests[0], "Proxy-Authorization: Basic bWU6cHc=\r\n"), 1);
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Url, IsTakenApartAndPutTogether) {
    const Url url("HTTPS://me:p%40w@Example.ORG:8443/a b/\xc3\xa4?q=1#part");
    EXPECT_EQ(url.scheme(), "https");
    EXPECT_EQ(url.host(), "example.org");
    EXPECT_EQ(url.port(), 8443);
    EXPECT_EQ(url.user(), "me:p@w");
    EXPECT_EQ(url.to_string(), "https://example.org:8443/a%20b/%C3%A4?q=1");
    EXPECT_EQ(Url("http://[::1]:80").authority(), "[::1]");
    EXPECT_EQ(Url("http://a?b").target(), "/?b");
    for (const char* wrong : {"", "a", "/a", "ftp://a/", "http:/a", "http://", "http:///a", "http://a:0/",
                              "http://a:x/", "http://a:65536/", "http://[::1/", "http://[x]/", "http://a b/",
                              "http://a/\r\n", "http://[::1]x/", "http://b\\@a/", "http://b\r@a/"}) {
        EXPECT_THROW(Url{wrong}, http::InvalidUrl) << wrong;
    }
    const Url base("http://a/b/c/d?q");
    const std::pair<const char*, const char*> joins[] = {
        {"g", "http://a/b/c/g"}, {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"}, {"/g", "http://a/g"},
        {"//g", "http://g/"}, {"?y", "http://a/b/c/d?y"}, {"g?y", "http://a/b/c/g?y"}, {"#s", "http://a/b/c/d?q"},
        {"..", "http://a/b/"}, {"../g", "http://a/b/g"}, {"../..", "http://a/"}, {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"}, {"g/../h", "http://a/b/c/h"}, {"https://x/y", "https://x/y"}, {"", "http://a/b/c/d?q"},
    };
    for (const auto& [reference, wanted] : joins) {
        EXPECT_EQ(base.join(reference).to_string(), wanted) << reference;
    }
}

}  // namespace
}  // namespace knit::test
