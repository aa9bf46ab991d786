// Two sides that talk: over TCP, through the HTTP server, with Python's websockets.

#include "websocket_test.hpp"

namespace knit::test {
namespace {

using http::Request;
using http::Response;
using http::Router;

TEST(WebSocket, CarriesMessagesBothWays) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        co_await pair.near.send_text("hello");
        co_await pair.near.send_binary(std::string_view("\0\xff", 2));
        co_await pair.near.ping("are you there");
        WebSocketMessage message = co_await pair.far.receive();
        EXPECT_TRUE(message.is_text());
        EXPECT_EQ("hello", message.data);
        message = co_await pair.far.receive();
        EXPECT_TRUE(message.is_binary());
        EXPECT_EQ(std::string("\0\xff", 2), message.data);
        co_await pair.far.send_text("back");
        EXPECT_EQ("back", (co_await pair.near.receive()).data);
        EXPECT_THROW(static_cast<void>(pair.near.send_text("\xff")), ValueError);
        EXPECT_THROW(static_cast<void>(pair.near.ping(std::string(126, 'x'))), ValueError);
        EXPECT_THROW(static_cast<void>(pair.near.close(1005)), ValueError);
        EXPECT_THROW(static_cast<void>(pair.near.close(1000, std::string(124, 'x'))), ValueError);
    });
}

TEST(WebSocket, CloseIsAnsweredAndBothSidesKnowWhy) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        co_await pair.far.send_text("thrown away");
        auto closing = create_task(pair.near.close(4000, "enough"));
        EXPECT_FALSE((co_await pair.far.next()).has_value());
        EXPECT_EQ(4000, pair.far.close_code());
        const WebSocketMessage last = co_await pair.far.receive();  // for good
        EXPECT_EQ("enough", last.data);
        EXPECT_EQ(std::errc::broken_pipe, co_await code_of(pair.far.send_text("more")));
        co_await closing;
        EXPECT_EQ(4000, pair.near.close_code());
        EXPECT_TRUE(pair.near.is_closed());
        co_await pair.near.close();
        co_await pair.far.close();
    });
}

TEST(WebSocket, BothSidesMayCloseAtOnce) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        auto closing = create_task(pair.near.close(4001));
        co_await pair.far.close(4002);
        co_await closing;
        EXPECT_EQ(4002, pair.near.close_code());
        EXPECT_EQ(4001, pair.far.close_code());
    });
}

TEST(WebSocket, APeerThatLeavesWithoutAWordIs1006) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server);
        co_await pair.near.write(frame(0x81, "last") + frame(0x01, "half"));
        pair.near.shutdown();
        EXPECT_EQ("last", (co_await far.receive()).data);
        EXPECT_FALSE((co_await far.next()).has_value());
        EXPECT_EQ(1006, far.close_code());
    });
}

TEST(WebSocket, APeerThatBreaksTheRulesIsToldAndTheReceiverThrows) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.message_max = 10});
        co_await pair.near.write(frame(0x81, "12345678901"));
        EXPECT_EQ("WebSocket: a message of more than 10 bytes", co_await error_of(far.receive()));
        char buffer[100];
        const std::size_t count = co_await pair.near.read_some(buffer);
        EXPECT_EQ(std::string("\x88\x2c\x03\xf1", 4) + "WebSocket: a message of more than 10 bytes",
                  std::string(buffer, count));
        EXPECT_TRUE((co_await far.receive()).is_close());
        EXPECT_EQ(0U, co_await pair.near.read_some(buffer));
    });
}

TEST(WebSocket, PingsAreAnsweredAndWhatWasReadWithTheHandshakeCounts) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::string early = frame(0x89, "p") + frame(0x81, "x");
        WebSocket far(std::move(pair.far), WebSocketRole::server, {}, early);
        EXPECT_EQ("x", (co_await far.receive()).data);
        char buffer[10];
        const std::size_t count = co_await pair.near.read_some(buffer);
        EXPECT_EQ(frame(0x8a, "p", false), std::string(buffer, count));
    });
}

TEST(WebSocket, ASenderWaitsForAPeerThatDoesNotReadAndACancelledOneCutsNoFrame) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair({.message_max = 20'000'000});
        const std::string much(8'000'000, 'x');
        auto sending = create_task(pair.near.send_text(much));
        co_await turns(50);
        EXPECT_FALSE(sending.done());
        sending.cancel();
        EXPECT_EQ("CancelledError", co_await error_of(sending));
        auto next = create_task(pair.near.send_text("next"));
        EXPECT_EQ(much.size(), (co_await pair.far.receive()).data.size());
        EXPECT_EQ("next", (co_await pair.far.receive()).data);
        co_await next;
    });
}

TEST(WebSocket, BothSidesMaySendMuchAtOnceHoweverLittleTheKernelKeeps) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        for (TcpStream* const stream : {&pair.near, &pair.far}) {
            stream->set_option(SOL_SOCKET, SO_SNDBUF, 65536);
            stream->set_option(SOL_SOCKET, SO_RCVBUF, 65536);
        }
        const WebSocketOptions options{.message_max = 10'000'000};
        WebSocket near(std::move(pair.near), WebSocketRole::client, options);
        WebSocket far(std::move(pair.far), WebSocketRole::server, options);
        const std::string much(8'000'000, 'x');
        auto there = create_task(near.send_text(much));
        auto back = create_task(far.send_text(much));
        auto got = create_task(far.receive());
        const WebSocketMessage message = co_await near.receive();
        EXPECT_TRUE(much == message.data);
        const WebSocketMessage other = co_await got;
        EXPECT_TRUE(much == other.data);
        co_await there;
        co_await back;
    });
}

TEST(WebSocket, AReceiveThatIsCancelledLosesNothing) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server);
        const std::string bytes = frame(0x01, "ab") + frame(0x80, "cd");
        for (const char byte : bytes.substr(0, bytes.size() - 1)) {
            auto receiving = create_task(far.receive());
            co_await turns(2);
            co_await pair.near.write(std::string_view(&byte, 1));
            co_await turns(2);
            receiving.cancel();
            EXPECT_EQ("CancelledError", co_await error_of(receiving));
        }
        co_await pair.near.write("d");
        EXPECT_EQ("abcd", (co_await far.receive()).data);
    });
}

TEST(WebSocket, AbortEndsWhatIsUnderWay) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        auto receiving = create_task(code_of(pair.near.receive()));
        co_await turns();
        pair.near.abort();
        EXPECT_EQ(std::errc::operation_canceled, co_await receiving);
        EXPECT_EQ(1006, (co_await pair.far.receive()).code);
        EXPECT_EQ(std::errc::broken_pipe, co_await code_of(pair.near.send_text("x")));
    });
}

TEST(WebSocket, OneThatIsDestroyedAfterThePeersCloseStillAnswersIt) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        co_await pair.near.write(frame(0x81, "x") + frame(0x88, "\x0f\xa0"));
        {
            WebSocket far(std::move(pair.far), WebSocketRole::server);
            while (co_await far.next()) {
            }
        }
        char buffer[100];
        const std::size_t count = co_await pair.near.read_some(buffer);
        EXPECT_EQ(frame(0x88, "\x0f\xa0", false), std::string(buffer, count));
        EXPECT_EQ(0U, co_await pair.near.read_some(buffer));
    });
}

TEST(WebSocket, AbortTellsASenderWhoseMessageItThrowsAway) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        const std::string much(8'000'000, 'x');
        auto sending = create_task(code_of(pair.near.send_binary(much)));
        auto behind = create_task(code_of(pair.near.send_text("never sent")));
        co_await turns(50);
        pair.near.abort();
        EXPECT_EQ(std::errc::operation_canceled, co_await sending);
        EXPECT_EQ(std::errc::operation_canceled, co_await behind);
    });
}

/// A stream whose writes fail.
class Unwritable {
public:
    explicit Unwritable(TcpStream stream) : stream_(std::move(stream)) {}
    Coro<std::size_t> read_some(std::span<std::byte> buffer) { co_return co_await stream_.read_some(buffer); }
    Coro<std::size_t> write(std::span<const std::byte> bytes) {
        co_await yield();
        if (!bytes.empty()) {
            throw std::system_error(ECONNRESET, std::generic_category(), "write");
        }
        co_return 0;
    }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    TcpStream stream_;
};

TEST(WebSocket, AWriteThatFailsTakesNothingFromTheReceiver) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(Unwritable(std::move(pair.far)), WebSocketRole::server);
        auto sending = create_task(code_of(far.send_binary(std::string(100'000, 'x'))));
        EXPECT_EQ(std::errc::connection_reset, co_await sending);
        EXPECT_EQ(std::errc::connection_reset, co_await code_of(far.send_text("more")));
        co_await pair.near.write(frame(0x81, "last words") + frame(0x88, "\x0f\xa0"));
        EXPECT_EQ("last words", (co_await far.receive()).data);
        EXPECT_EQ(4000, (co_await far.receive()).code);
        char byte[1];
        EXPECT_EQ(0U, co_await pair.near.read_some(byte));
    });
}

TEST(WebSocket, ATextThatIsMovedInIsKept) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        const std::string text(100, 'x');
        auto sending = create_task(pair.near.send_text(std::string(text)));
        auto other = create_task(pair.near.send_binary(std::string(text)));
        EXPECT_EQ(text, (co_await pair.far.receive()).data);
        EXPECT_EQ(text, (co_await pair.far.receive()).data);
        co_await sending;
        co_await other;
    });
}

TEST(WebSocket, AGoodByeThatNobodyAnswersEnds) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket near(std::move(pair.near), WebSocketRole::client, {.close_timeout = 20ms});
        co_await near.close();
        EXPECT_TRUE(near.is_closed());
        EXPECT_EQ(1006, near.close_code());
        char buffer[100];
        EXPECT_EQ(8U, co_await pair.far.read_some(buffer));
        EXPECT_EQ(0U, co_await pair.far.read_some(buffer));
    });
}

// Through the HTTP server.

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
