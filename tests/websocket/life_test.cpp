// How long a WebSocket lives, and on which loop.
#include <array>
#include <atomic>
#include <mutex>
#include <set>

#include "websocket_test.hpp"

namespace knit::test {
namespace {

using http::Request;
using http::Response;
using http::Router;

using Speak = std::function<Coro<>(WebSocket&)>;

/// A server with a WebSocket at /, whose handler it is, and how often the loops' exception handlers have been called.
Coro<> with_websocket(Speak speak, WebSocketOptions options, http::ServerOptions server_options,
                      std::function<Coro<>(http::Server&)> body) {
    Router router;
    router.get("/", [speak, options](Request& request) -> Coro<Response> {
        co_return http::websocket(request, speak, options);
    });
    Coro<http::Server> starting = http::serve("127.0.0.1:0", router, server_options);
    http::Server server = co_await std::move(starting);
    Coro<> running = body(server);
    co_await std::move(running);
    server.close();
    co_await server.wait_closed();
}

std::string url_of(const http::Server& server) { return "ws://" + server.local_endpoint().to_string() + "/"; }

Coro<> listen(WebSocket& socket) {
    while (const std::optional<WebSocketMessage> message = co_await socket.next()) {
    }
}

const std::string kHandshake = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

TEST(WebSocketLife, APeerThatBreaksTheRulesIsNoErrorOfTheHandlers) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        co_await with_websocket(listen, {}, {}, [](http::Server& server) -> Coro<> {
            const std::array<std::string, 2> wrong = {frame(0x81, "unmasked", false), frame(0x81, "\xff")};
            for (const std::string& bytes : wrong) {
                TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
                const std::string request = kHandshake + bytes;
                co_await stream.write(request);
                char buffer[1000];
                while (co_await stream.read_some(buffer) != 0) {
                }
            }
        });
        EXPECT_EQ(0, errors);
    });
}

TEST(WebSocketLife, NorIsItForOneThatHasGoneToAnotherLoop) {
    run_io([]() -> Coro<> {
        std::atomic<int> errors = 0;
        for (std::size_t i = 0; i < 2; ++i) {
            co_await resume_on(get_runtime().loop(i));
            get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        }
        const Speak wander = [](WebSocket& socket) -> Coro<> {
            const Result<WebSocketMessage> heard = co_await as_result(socket.receive());
            co_await resume_on(get_runtime().loop(get_running_loop().id() == 0 ? 1 : 0));
            heard.value();
        };
        co_await with_websocket(wander, {}, {}, [](http::Server& server) -> Coro<> {
            TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
            co_await stream.write(kHandshake + frame(0x81, "\xff"));
            char buffer[1000];
            while (co_await stream.read_some(buffer) != 0) {
            }
        });
        EXPECT_EQ(0, errors);
    }, 2);
}

TEST(WebSocketLife, APeerThatLeavesIsNoErrorOfAHandlerThatOnlySends) {
    run_io([]() -> Coro<> {
        int errors = 0;
        Event ended;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        const Speak tick = [&ended](WebSocket& socket) -> Coro<> {
            try {
                for (;;) {
                    co_await socket.send_text("tick");
                    co_await sleep(1ms);
                }
            } catch (const std::system_error&) {
                ended.set();
                throw;
            }
        };
        co_await with_websocket(tick, {}, {}, [&](http::Server& server) -> Coro<> {
            TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
            co_await stream.write(kHandshake);
            char buffer[1000];
            co_await stream.read_some(buffer);
            stream.close();
            co_await ended.wait();
        });
        EXPECT_EQ(0, errors);
    });
}

TEST(WebSocketLife, AHandlersOwnErrorIsReported) {
    run_io([]() -> Coro<> {
        int errors = 0;
        get_running_loop().set_exception_handler([&](const ExceptionContext&) { ++errors; });
        const Speak fail = [](WebSocket&) -> Coro<> {
            throw std::system_error(EPIPE, std::generic_category(), "another pipe");
            co_return;
        };
        co_await with_websocket(fail, {}, {}, [&](http::Server& server) -> Coro<> {
            WebSocket socket = co_await http::connect_websocket(url_of(server));
            EXPECT_EQ(1011, (co_await socket.receive()).code);
        });
        EXPECT_EQ(1, errors);
    });
}

TEST(WebSocketLife, AServerThatClosesSaysSoAtOnce) {
    run_io([]() -> Coro<> {
        // Its default shutdown_timeout, 30 s, is longer than this test may last.
        co_await with_websocket(listen, {}, {}, [](http::Server& server) -> Coro<> {
            WebSocket socket = co_await http::connect_websocket(url_of(server));
            server.close();
            EXPECT_EQ(1001, (co_await socket.receive()).code);
            co_await server.wait_closed();
        });
    }, 2);
}

TEST(WebSocketLife, AServerThatClosesWaitsNoLongerThanCloseTimeoutForAnAnswer) {
    run_io([]() -> Coro<> {
        co_await with_websocket(listen, {.close_timeout = 20ms}, {}, [](http::Server& server) -> Coro<> {
            TcpStream stream = co_await TcpStream::connect(server.local_endpoint());
            co_await stream.write(kHandshake);
            char buffer[1000];
            co_await stream.read_some(buffer);
            server.close();
            co_await server.wait_closed();
        });
    });
}

TEST(WebSocketLife, ASilentPeerIsPingedAndCutOff) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 20ms});
        EXPECT_EQ(1006, (co_await far.receive()).code);
        char buffer[100];
        const std::size_t count = co_await pair.near.read_some(buffer);
        EXPECT_EQ(frame(0x89, "", false), std::string(buffer, count));
        EXPECT_EQ(0U, co_await pair.near.read_some(buffer));
    });
}

TEST(WebSocketLife, APeerThatAnswersStays) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 1s});
        auto receiving = create_task(far.receive());
        char buffer[100];
        for (int i = 0; i < 2; ++i) {
            const std::size_t count = co_await pair.near.read_some(buffer);
            EXPECT_EQ(frame(0x89, "", false), std::string(buffer, count));
            co_await pair.near.write(frame(0x8a, ""));
        }
        co_await pair.near.write(frame(0x81, "still here"));
        EXPECT_EQ("still here", (co_await receiving).data);
    });
}

TEST(WebSocketLife, APeerThatNobodyListensToStays) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 4ms});
        char buffer[100];
        co_await pair.near.read_some(buffer);  // a ping
        co_await pair.near.write(frame(0x8a, "") + frame(0x81, "still here"));
        co_await sleep(50ms);
        EXPECT_FALSE(far.is_closed());
        EXPECT_EQ("still here", (co_await far.receive()).data);
    });
}

TEST(WebSocketLife, TheHandshakesFieldsAndUserAreSent) {
    run_io([]() -> Coro<> {
        std::string origin;
        std::string authorization;
        Router router;
        router.get("/", [&](Request& request) -> Coro<Response> {
            origin = request.header("Origin");
            authorization = request.header("Authorization");
            co_return http::websocket(request, listen);
        });
        http::Server server = co_await http::serve("127.0.0.1:0", router);
        const std::string url = "ws://user:secret@" + server.local_endpoint().to_string() + "/";
        http::WebSocketHeaders headers = {{"Origin", "https://example.org"}};
        WebSocket socket = co_await http::connect_websocket(url, headers, {});
        EXPECT_EQ("https://example.org", origin);
        EXPECT_EQ("Basic dXNlcjpzZWNyZXQ=", authorization);
        co_await socket.close();
        headers = {{"Sec-WebSocket-Key", "x"}};
        EXPECT_EQ("ValueError: \"Sec-WebSocket-Key\" is no header field that a WebSocket's handshake can be given: it "
                  "is said by the handshake itself", co_await error_of(http::connect_websocket(url, headers, {})));
        server.close();
        co_await server.wait_closed();
    });
}

TEST(WebSocketLife, AnInterimAnswerIsPassedOver) {
    run_io([]() -> Coro<> {
        const auto serve = [](TcpStream stream) -> Coro<> {
            std::string request;
            char buffer[1000];
            while (!request.ends_with("\r\n\r\n")) {
                request.append(buffer, co_await stream.read_some(buffer));
            }
            const std::size_t at = request.find("Sec-WebSocket-Key: ") + 19;
            const std::string answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 x\r\n"
                                       "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " +
                                       http::websocket_accept(request.substr(at, request.find('\r', at) - at)) +
                                       "\r\n\r\n" + frame(0x81, "first", false);
            co_await stream.write(answer);
            co_await stream.read_some(buffer);
        };
        io::Server server = co_await io::serve(io::endpoint("127.0.0.1", 0), serve);
        WebSocket socket = co_await http::connect_websocket("ws://" + server.local_endpoint().to_string() + "/");
        EXPECT_EQ("first", (co_await socket.receive()).data);
        socket.abort();
        server.close();
        co_await server.wait_closed();
    });
}

// The chat of docs/websocket.md.

/// What is to be said to each who is there. Handlers run on all loops at once.
struct Room {
    using Lines = std::shared_ptr<Queue<std::string>>;
    std::mutex mutex;
    std::set<Lines> members;

    Lines enter() {
        const auto lines = std::make_shared<Queue<std::string>>(100);
        const std::lock_guard lock(mutex);
        members.insert(lines);
        return lines;
    }
    void leave(const Lines& lines) {
        const std::lock_guard lock(mutex);
        members.erase(lines);
    }
    void tell_all(const std::string& line) {
        const std::lock_guard lock(mutex);
        for (const Lines& lines : members) {
            if (!lines->full()) {  // who does not keep up misses a line
                lines->put_nowait(line);
            }
        }
    }
};

Coro<> tell(WebSocket& socket, Room::Lines lines) {
    for (;;) {
        const std::string line = co_await lines->get();
        co_await socket.send_text(line);
    }
}

Coro<> hear(WebSocket& socket, Room& room) {
    while (auto message = co_await socket.next()) {
        room.tell_all(message->data);
    }
}

Coro<> chat(Room& room, WebSocket& socket) {
    const Room::Lines lines = room.enter();
    auto telling = create_task(tell(socket, lines));
    const Result<void> heard = co_await as_result(hear(socket, room));
    room.leave(lines);
    telling.cancel();
    static_cast<void>(co_await as_result(telling));  // it has the socket
    heard.value();
}

TEST(WebSocketLife, AChatTellsAllOnAllLoops) {
    run_io([]() -> Coro<> {
        Room room;
        const Speak speak = [&room](WebSocket& socket) { return chat(room, socket); };
        co_await with_websocket(speak, {}, {}, [&](http::Server& server) -> Coro<> {
            constexpr int kMembers = 8;
            std::vector<WebSocket> sockets;
            for (int i = 0; i < kMembers; ++i) {
                sockets.push_back(co_await http::connect_websocket(url_of(server)));
            }
            for (std::size_t there = 0; there != kMembers;) {
                co_await yield();
                const std::lock_guard lock(room.mutex);
                there = room.members.size();
            }
            for (WebSocket& speaker : sockets) {
                co_await speaker.send_text("hello");
            }
            for (WebSocket& socket : sockets) {
                for (int i = 0; i < kMembers; ++i) {
                    EXPECT_EQ("hello", (co_await socket.receive()).data);
                }
            }
        });
    }, 2);
}

TEST(WebSocketLife, ACallFromAnotherLoopGoesOnOnItsOwn) {
    run_io([]() -> Coro<> {
        WebSocketPair pair = co_await websocket_pair();
        Loop& home = get_running_loop();
        Loop& other = get_runtime().loop(home.id() == 0 ? 1 : 0);
        for (int i = 0; i < 3; ++i) {
            co_await resume_on(other);
            co_await pair.near.send_text("x");
            EXPECT_EQ(&home, &get_running_loop());
            co_await resume_on(other);
            EXPECT_EQ("x", (co_await pair.far.receive()).data);
            EXPECT_EQ(&home, &get_running_loop());
        }
        co_await resume_on(other);
        auto closing = create_task(pair.near.close());
        EXPECT_TRUE((co_await pair.far.receive()).is_close());
        co_await closing;
    }, 2);
}

}  // namespace
}  // namespace knit::test
