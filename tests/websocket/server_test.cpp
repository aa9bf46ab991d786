// WebSockets through the HTTP server, and with Python's websockets.

#include "websocket_test.hpp"

namespace knit::test {
namespace {

using http::Request;
using http::Response;
using http::Router;

Coro<> echo(WebSocket& socket) {
    while (auto message = co_await socket.next()) {
        if (message->is_text()) {
            co_await socket.send_text(message->data);
        } else {
            co_await socket.send_binary(message->data);
        }
    }
}

Router make_router(int* closed_with = nullptr) {
    Router router;
    router.get("/echo", [](Request& request) -> Coro<Response> {
        co_return http::websocket(request, echo, {.protocols = "echo.v2, echo"});
    });
    router.get("/leave", [](Request& request) -> Coro<Response> {
        co_return http::websocket(request, [](WebSocket&) -> Coro<> { co_return; });
    });
    router.get("/wait", [closed_with](Request& request) -> Coro<Response> {
        co_return http::websocket(request, [closed_with](WebSocket& socket) -> Coro<> {
            static_cast<void>(co_await socket.receive());
            *closed_with = socket.close_code();
        });
    });
    return router;
}

std::string url_of(const http::Server& server, const char* path) {
    return "ws://" + server.local_endpoint().to_string() + path;
}

TEST(WebSocketServer, EchoesToOurClientCompressedAndNot) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        for (const bool compress : {true, false}) {
            WebSocket socket = co_await http::connect_websocket(url_of(server, "/echo"), {.compress = compress});
            EXPECT_EQ(compress, socket.is_compressed());
            EXPECT_EQ("", socket.protocol());
            for (const std::size_t size : {0U, 5U, 70'000U, 1'000'000U}) {
                const std::string text(size, 'x');
                co_await socket.send_text(text);
                EXPECT_TRUE(text == (co_await socket.receive()).data);
            }
            co_await socket.close();
            EXPECT_EQ(1000, socket.close_code());
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketServer, SaysGoodByeForAHandlerThatEndsAndNegotiatesTheProtocol) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        WebSocket socket = co_await http::connect_websocket(url_of(server, "/leave"));
        EXPECT_EQ(1000, (co_await socket.receive()).code);
        socket = co_await http::connect_websocket(url_of(server, "/echo"), {.protocols = "echo, echo.v2"});
        EXPECT_EQ("echo.v2", socket.protocol());
        co_await socket.close();
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketServer, AnswersThePeersCloseThoughItsHandlerReturnsAtOnce) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        for (const int code : {1000, 4321}) {
            WebSocket socket = co_await http::connect_websocket(url_of(server, "/echo"));
            co_await socket.close(code);
            EXPECT_EQ(code, socket.close_code());
        }
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketServer, RefusesWhatIsNoHandshake) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        const std::pair<std::string, const char*> cases[] = {
            {"", "HTTP/1.1 426 "},
            {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n", "HTTP/1.1 426 "},
            {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", "HTTP/1.1 400 "},
            {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
             "HTTP/1.1 400 "},
            {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nContent-Length: 1\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "HTTP/1.1 400 "},
            {"Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", "HTTP/1.1 426 "}};
        for (const auto& [fields, expected] : cases) {
            TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
            const std::string request = "GET /echo HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
            co_await stream.write(request);
            char buffer[1000];
            const std::size_t count = co_await stream.read_some(buffer);
            EXPECT_EQ(expected, std::string(buffer, std::min<std::size_t>(count, 13))) << fields;
        }
        const std::string error = co_await error_of(http::connect_websocket(url_of(server, "/nowhere")));
        EXPECT_EQ("no WebSocket at http://" + server.local_endpoint().to_string() +
                      "/nowhere: the server answers 404 Not Found", error);
        EXPECT_EQ("ValueError: a WebSocket's URL begins with ws:// or wss://, not as http://x/",
                  co_await error_of(http::connect_websocket("http://x/")));
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketServer, FramesThatComeWithTheRequestAreRead) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
        const std::string request =
            "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + frame(0x81, "early");
        co_await stream.write(request);
        std::string got;
        while (!got.ends_with("early")) {
            char buffer[1000];
            const std::size_t count = co_await stream.read_some(buffer);
            EXPECT_NE(0U, count);
            if (count == 0) {
                break;
            }
            got.append(buffer, count);
        }
        EXPECT_TRUE(got.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << got;
        EXPECT_NE(std::string::npos, got.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) << got;
        EXPECT_TRUE(got.ends_with("\r\n\r\n" + frame(0x81, "early", false)));
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketServer, ItsEndIsToldTheClients) {
    run_io([]() -> Coro<> {
        int closed_with = 0;
        http::ServerOptions options;
        options.shutdown_timeout = 10ms;
        http::Server server = co_await http::serve("127.0.0.1:0", make_router(&closed_with), options);
        WebSocket socket = co_await http::connect_websocket(url_of(server, "/wait"));
        server.close();
        auto waiting = create_task(server.wait_closed());
        EXPECT_EQ(1001, (co_await socket.receive()).code);
        co_await waiting;
    });
}

TEST(WebSocketServer, AHandlersErrorIsToldAlsoWhenItHasMovedTheSocketAway) {
    std::vector<std::string> told;
    run_io([&told]() -> Coro<> {
        get_running_loop().set_exception_handler([&told](const ExceptionContext& context) {
            try {
                std::rethrow_exception(context.exception);
            } catch (const std::exception& error) {
                told.emplace_back(error.what());
            }
        });
        http::Router router;
        router.get("/", [](http::Request& request) -> Coro<http::Response> {
            co_return http::websocket(request, [](WebSocket& socket) -> Coro<> {
                const WebSocket own = std::move(socket);
                co_await turns(1);
                throw std::out_of_range("mine");
            });
        });
        http::Server server = co_await http::serve("127.0.0.1:0", router);
        WebSocket socket = co_await http::connect_websocket(url_of(server, "/"));
        EXPECT_EQ(1006, (co_await socket.receive()).code);
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(told, std::vector<std::string>{"mine"});
}

TEST(WebSocketServer, ARequestsTextsAreEmptyForTheFunction) {
    std::string seen = "unseen";
    run_io([&seen]() -> Coro<> {
        http::Router router;
        router.get("/{room}", [&seen](http::Request& request) -> Coro<http::Response> {
            co_return http::websocket(request, [&seen, &request](WebSocket&) -> Coro<> {
                seen = std::string(request.param("room")).append(request.target()).append(request.header("Host"));
                seen.append(request.path()).append(request.method());
                co_return;
            });
        });
        http::Server server = co_await http::serve("127.0.0.1:0", router);
        WebSocket socket = co_await http::connect_websocket(url_of(server, "/room"));
        EXPECT_EQ(1000, (co_await socket.receive()).code);
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(seen, "");
}

TEST(WebSocketServer, PythonIsServedAndServes) {
    run_io([]() -> Coro<> {
        http::Server server = co_await http::serve("127.0.0.1:0", make_router());
        const std::string peer = KNIT_SOURCE_DIR "/tests/websocket/websocket_peer.py";
        ProcessOptions pipes;
        pipes.out = PIPE;
        std::vector<std::string> command = {"/usr/bin/python3", peer, "connect", url_of(server, "/echo")};
        Coro<Process> starting = create_subprocess_exec(std::move(command), pipes);
        Process client = co_await std::move(starting);
        EXPECT_EQ(0, co_await client.wait());
        server.close();
        co_await server.wait_closed();

        command = {"/usr/bin/python3", peer, "serve"};
        starting = create_subprocess_exec(std::move(command), pipes);
        Process python = co_await std::move(starting);
        std::string port = co_await python.out().readline();
        port.pop_back();
        WebSocket socket = co_await http::connect_websocket("ws://127.0.0.1:" + port + "/");
        EXPECT_TRUE(socket.is_compressed());
        for (const std::size_t size : {0U, 10U, 300U, 500'000U}) {
            const std::string text(size, 'y');
            co_await socket.send_text(text);
            EXPECT_TRUE(text == (co_await socket.receive()).data);
        }
        co_await socket.close(4321, "done");
        EXPECT_EQ(4321, socket.close_code());
        EXPECT_EQ(0, co_await python.wait());
    });
}

}  // namespace
}  // namespace knit::test
