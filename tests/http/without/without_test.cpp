// knit::http linked without TLS and HTTP/2: what is left works, and what is missing says so and what to install.
#include "http_test.hpp"
#include "knit/log.hpp"

namespace knit::test {
namespace {

/// "!" and what it throws.
Coro<std::string> page(http::Url url, http::SessionOptions options = {}) {
    http::ClientSession session(options);
    try {
        http::ClientResponse response = co_await session.get(url);
        co_return co_await response.text();
    } catch (const std::exception& error) {
        co_return std::string("!") + error.what();
    }
}

TEST(HttpWithout, AServerAndAClientOfHttp11AreThere) {
    run_io([]() -> Coro<> {
        co_await with_server([](http::Server& server) -> Coro<> {
            EXPECT_EQ(co_await page(http::Url("http://" + server.local_endpoint().to_string() + "/")),
                      "Hello, world!\n");
        });
    });
}

TEST(HttpWithout, ASecurePageIsAnErrorThatSaysWhatToInstall) {
    run_io([]() -> Coro<> {
        co_await with_server([](http::Server& server) -> Coro<> {
            const std::string found = co_await page(http::Url("https://" + server.local_endpoint().to_string() + "/"));
            EXPECT_NE(found.find("needs TLS, which this knit was built without: install libssl-dev"), std::string::npos)
                << found;
        });
    });
}

TEST(HttpWithout, AClientThatWantsHttp2IsToldWhatToInstall) {
    run_io([]() -> Coro<> {
        http::SessionOptions options;
        options.http_version = http::HttpVersion::http2;
        const std::string found = co_await page(http::Url("http://127.0.0.1:1/"), options);
        EXPECT_EQ(found, "!SessionOptions::http_version is http2, which this knit was built without: install "
                         "libnghttp2-dev and build knit again with -DKNIT_BUILD_HTTP2=ON");
    });
}

TEST(HttpWithout, TheServerRefusesThePrefaceOfHttp2) {
    run_io([]() -> Coro<> {
        co_await with_server([](http::Server& server) -> Coro<> {
            const std::string answer = co_await say(server.local_endpoint(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            EXPECT_TRUE(answer.starts_with("HTTP/1.1 505 ")) << answer;
        });
    });
}

}  // namespace
}  // namespace knit::test
