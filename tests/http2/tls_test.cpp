// HTTP/2 by TLS's ALPN.
#include "http2_test.hpp"

#include "../tls/authority.hpp"
#include "knit/tls.hpp"

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::HttpVersion;

/// "h2" or "http/1.1", as a request to a server that offers `protocols` was answered.
std::string spoken(std::initializer_list<std::string_view> protocols, HttpVersion version, int requests = 5) {
    const Authority authority("Knit Test CA");
    const Identity identity = authority.issue();
    tls::Context serving = tls::Context::server();
    serving.use_cert_chain(identity.chain, identity.key).alpn(protocols);
    tls::Context asking = tls::Context::client(tls::Roots::none);
    asking.use_verify_certificates(authority.pem());
    std::string result;
    run_io([&]() -> Coro<> {
        const auto wrap = [&serving](io::TcpStream stream) { return tls::accept(std::move(stream), serving); };
        http::ServerOptions options;
        options.shutdown_timeout = 1s;
        auto starting = http::serve(io::endpoint("127.0.0.1", 0), small_router(), options, wrap);
        http::Server server = co_await std::move(starting);
        {
            http::SessionOptions session_options;
            session_options.http_version = version;
            session_options.tls = &asking;
            ClientSession session(session_options);
            const std::string url = "https://" + server.local_endpoint().to_string() + "/large";
            const auto fetch = [&]() -> Coro<bool> {
                ClientResponse response = co_await session.get(url);
                const std::string text = co_await response.text();
                EXPECT_EQ(text.size(), std::size_t{1} << 20);
                co_return response.is_http2();
            };
            std::vector<Coro<bool>> fetches;
            for (int i = 0; i < requests; ++i) {
                fetches.push_back(fetch());
            }
            auto gathering = gather(std::move(fetches));
            const std::vector<bool> results = co_await std::move(gathering);
            result = results[0] ? "h2" : "http/1.1";
            EXPECT_EQ(server.connection_count() == 1, results[0]);
        }
        server.close();
        co_await server.wait_closed();
    });
    return result;
}

TEST(Http2Tls, IsSpokenWithServersThatChooseIt) {
    EXPECT_EQ(spoken({"h2", "http/1.1"}, HttpVersion::automatic), "h2");
    EXPECT_EQ(spoken({"h2", "http/1.1"}, HttpVersion::http2), "h2");
    EXPECT_EQ(spoken({"h2", "http/1.1"}, HttpVersion::http1), "http/1.1");
    EXPECT_EQ(spoken({"http/1.1"}, HttpVersion::automatic), "http/1.1");
    EXPECT_EQ(spoken({}, HttpVersion::automatic), "http/1.1");
}

TEST(Http2Tls, IsAnErrorWhereItIsAskedForAndNotThere) {
    EXPECT_THROW(spoken({}, HttpVersion::http2, 1), http::ClientError);
}

}  // namespace
}  // namespace knit::test::h2
