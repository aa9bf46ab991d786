// tls::serve(): handshakes off the accept path, strangers, the end.

#include "knit/log.hpp"
#include "tls_pair.hpp"

namespace knit::test {
namespace {

using io::Server;

Coro<> echo_tls(TcpTls stream) {
    char buffer[4096];
    while (const std::size_t count = co_await stream.read_some(buffer)) {
        co_await stream.write(std::string_view(buffer, count));
    }
    co_await stream.shutdown();
}

Coro<std::string> ask(Endpoint where, std::string text) {
    TcpTls stream = co_await tls::connect(std::move(where), client_context());
    co_await stream.write(text);
    co_await stream.shutdown();
    co_return co_await read_all(stream);
}

TEST(TlsServe, ServesOnSeveralLoopsAndAStrangerHoldsUpNobody) {
    auto body = []() -> Coro<> {
        Coro<Server> serving = tls::serve("127.0.0.1:0", server_context(), echo_tls);
        Server server = co_await std::move(serving);
        const Endpoint where = server.local_endpoint();
        TcpStream silent = co_await TcpStream::connect(where);   // never says a word
        TcpStream stranger = co_await TcpStream::connect(where);  // says the wrong ones
        co_await stranger.write("GET / HTTP/1.1\r\n\r\n");
        std::vector<Task<std::string>> asking;
        for (int i = 0; i < 8; ++i) {
            const std::string text = "client " + std::to_string(i);
            asking.push_back(spawn(ask(where, text)));
        }
        for (int i = 0; i < 8; ++i) {
            const std::string answer = co_await asking[static_cast<std::size_t>(i)];
            EXPECT_EQ("client " + std::to_string(i), answer);
        }
        char byte[1];
        EXPECT_EQ(0U, co_await stranger.read_some(byte));  // OpenSSL has no alert for HTTP
        silent.close();
        stranger.close();  // which the server waits for
        server.close();
        co_await server.wait_closed();
    };
    run_io(body, 2);
}

TEST(TlsServe, AHandshakeThatFailsIsLoggedAsADetailAndNoHandlerRuns) {
    std::vector<std::string> heard;
    set_log_sink([&heard](const LogRecord& record) {
        if (record.level == LogLevel::debug) {
            heard.push_back(record.message);
        }
    });
    run_io([]() -> Coro<> {
        auto never = [](TcpTls) -> Coro<> {
            ADD_FAILURE() << "the handler runs";
            co_return;
        };
        Coro<Server> serving = tls::serve("127.0.0.1:0", server_context(), never);
        Server server = co_await std::move(serving);
        const Endpoint where = server.local_endpoint();
        const std::string error =
            co_await error_of(tls::connect(where, tls::Context::client(tls::Roots::none), to("server.test")));
        EXPECT_NE(std::string::npos, error.find("unable to get local issuer certificate")) << error;
        server.close();
        co_await server.wait_closed();
    });
    set_log_sink(nullptr);
    bool is_told = false;
    for (const std::string& line : heard) {
        is_told = is_told || line.find("the peer says \"tlsv1 alert unknown ca\"") != std::string::npos;
    }
    EXPECT_TRUE(is_told);
}

TEST(TlsServe, CloseClientsCancelsHandlersAndHandshakesAlike) {
    run_io([]() -> Coro<> {
        Coro<Server> serving = tls::serve("127.0.0.1:0", server_context(), echo_tls);
        Server server = co_await std::move(serving);
        TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
        TcpTls idle = co_await tls::connect(server.local_endpoint(), client_context());
        while (server.connection_count() < 2) {
            co_await yield();
        }
        server.close();
        server.close_clients();
        co_await server.wait_closed();
        char byte[1];
        EXPECT_EQ(0U, co_await silent.read_some(byte));
        EXPECT_EQ(tls::Errc::unexpected_eof, co_await code_of(idle.read_some(byte)));
    });
}

}  // namespace
}  // namespace knit::test
