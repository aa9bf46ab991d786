// HTTP over TLS: what the client's pool keeps, and what becomes of handshakes.

#include "../tls_pair.hpp"
#include "knit/http.hpp"

namespace knit::test {
namespace {

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Coro<> read_request(TcpTls& stream) {
    std::string request;
    char buffer[4096];
    while (!request.ends_with("\r\n\r\n")) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            co_return;
        }
        request.append(buffer, count);
    }
}

/// Fetches twice from a server that answers each connection's requests so; gives how many connections that took.
int connections_for(std::function<Coro<>(TcpTls&)> serve) {
    int connections = 0;
    run_io([&]() -> Coro<> {
        const auto handler = [&](TcpTls stream) -> Coro<> {
            ++connections;
            Coro<> serving = serve(stream);
            co_await std::move(serving);
            stream.close();
        };
        Coro<io::Server> starting = tls::serve("127.0.0.1:0", server_context(), handler);
        io::Server server = co_await std::move(starting);
        const tls::Context context = client_context();
        http::SessionOptions options;
        options.tls = &context;
        http::ClientSession session(options);
        for (int i = 0; i < 2; ++i) {
            auto response = co_await session.get("https://" + server.local_endpoint().to_string() + "/");
            const std::string text = co_await response.text();
            EXPECT_EQ("ok", text);
            co_await sleep(5ms);  // what the server says behind its answer is there
        }
        session.close();
        server.close();
        co_await server.wait_closed();
    });
    return connections;
}

TEST(Https, AConnectionIsUsedAgain) {
    EXPECT_EQ(1, connections_for([](TcpTls& stream) -> Coro<> {
        for (int i = 0; i < 2; ++i) {
            co_await read_request(stream);
            co_await stream.write(std::string_view(kOk));
        }
    }));
}

TEST(Https, OneWithBytesBehindTheAnswerIsNot) {
    EXPECT_EQ(2, connections_for([](TcpTls& stream) -> Coro<> {
        co_await read_request(stream);
        const std::string both = std::string(kOk) + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
        co_await stream.write(both);
        char byte[1];
        co_await stream.read_some(byte);
    }));
}

TEST(Https, OneWithBytesThatCameLaterIsNot) {
    EXPECT_EQ(2, connections_for([](TcpTls& stream) -> Coro<> {
        co_await read_request(stream);
        co_await stream.write(std::string_view(kOk));
        co_await stream.write(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"));
        char byte[1];
        co_await stream.read_some(byte);
    }));
}

TEST(Https, OneThatTheServerHasEndedIsNot) {
    EXPECT_EQ(2, connections_for([](TcpTls& stream) -> Coro<> {
        co_await read_request(stream);
        co_await stream.write(std::string_view(kOk));
    }));
}

TEST(Https, APeerThatTakesNothingIsEndedThoughTlsTakesTheAnswer) {
    run_io([]() -> Coro<> {
        bool is_stuck = false;
        const tls::Context context = server_context();
        const auto wrap = [&, context](TcpStream stream) {
            return tls::accept(Stuck(std::move(stream), is_stuck), context);
        };
        http::Router router;
        router.get("/", [&is_stuck](http::Request&) -> Coro<http::Response> {
            is_stuck = true;
            co_return http::Response::text("hello");
        });
        router.get("/upgrade", [&is_stuck](http::Request&) -> Coro<http::Response> {
            co_return http::Response::upgrade([&is_stuck](http::UpgradedStream stream) -> Coro<> {
                is_stuck = true;
                EXPECT_EQ(std::errc::timed_out, co_await code_of(stream.write(std::as_bytes(std::span("hello")))));
            });
        });
        http::ServerOptions options;
        options.write_timeout = 30ms;
        http::Server server = co_await http::serve("127.0.0.1:0", router, options, wrap);
        for (const std::string path : {"/", "/upgrade"}) {
            is_stuck = false;
            TcpTls client = co_await tls::connect(server.local_endpoint(), client_context());
            const std::string request = "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                                        "Upgrade: line\r\n\r\n";
            co_await client.write(request);
            EXPECT_EQ(tls::Errc::unexpected_eof, co_await code_of(with_timeout(5s, read_all(client)))) << path;
            EXPECT_EQ(0U, server.connection_count()) << path;
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Https, AConnectionCountsUntilItsSocketIsClosed) {
    run_io([]() -> Coro<> {
        const tls::Context context = server_context();
        const auto wrap = [context](TcpStream stream) { return tls::accept(std::move(stream), context); };
        http::Router router;
        http::Server server = co_await http::serve("127.0.0.1:0", router, http::ServerOptions(), wrap);
        TcpStream stranger = co_await TcpStream::connect(server.local_endpoint());
        co_await stranger.write("GET / HTTP/1.0\r\n\r\n");
        char byte[1];
        EXPECT_EQ(0U, co_await stranger.read_some(byte));
        co_await turns(50);
        EXPECT_EQ(1U, server.connection_count());  // it has not gone yet
        stranger.close();
        while (server.connection_count() != 0) {
            co_await sleep(1ms);
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Https, AWebSocketIsSpokenWithAServerThatWouldRatherSpeakHttp2) {
    run_io([]() -> Coro<> {
        tls::Context serving = server_context();
        serving.alpn({"h2", "http/1.1"});
        const auto wrap = [serving](TcpStream stream) { return tls::accept(std::move(stream), serving); };
        http::Router router;
        router.get("/", [](http::Request& request) -> Coro<http::Response> {
            co_return http::websocket(request, [](http::WebSocket& socket) -> Coro<> {
                co_await socket.send_text("hello");
            });
        });
        http::Server server = co_await http::serve("127.0.0.1:0", router, http::ServerOptions(), wrap);
        const std::string url = "wss://" + server.local_endpoint().to_string() + "/";
        for (const bool offers : {true, false}) {
            tls::Context asking = client_context();
            if (offers) {
                asking.alpn({"h2", "http/1.1"});  // as one that is shared with a ClientSession
            }
            http::WebSocket socket = co_await http::connect_websocket(url, http::WebSocketOptions(), &asking);
            const http::WebSocketMessage message = co_await socket.receive();
            EXPECT_EQ("hello", message.data);
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Https, HandshakesThatFailAreNoErrorsAndEndWithTheServer) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        tls::Context context = server_context();
        context.server_name_callback([](std::string_view name) -> std::optional<tls::Context> {
            throw std::out_of_range("no " + std::string(name));
        });
        const auto wrap = [context](TcpStream stream) { return tls::accept(std::move(stream), context); };
        http::Router router;
        http::Server server = co_await http::serve("127.0.0.1:0", router, http::ServerOptions(), wrap);
        EXPECT_EQ(tls::Errc::refused, co_await code_of(tls::connect(server.local_endpoint(), client_context())));
        TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
        while (server.connection_count() == 0) {
            co_await sleep(1ms);
        }
        server.close();
        co_await with_timeout(std::optional<Duration>(5s), server.wait_closed());
        EXPECT_EQ(0, errors);
    });
}

}  // namespace
}  // namespace knit::test
