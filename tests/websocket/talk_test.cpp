// Two sides that talk over TCP.

#include "websocket_test.hpp"

namespace knit::test {
namespace {

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

TEST(WebSocketHeartbeat, ReceivesThatAreShorterThanTheHeartbeatMissASilentPeerToo) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 80ms});
        int code = 0;
        for (int i = 0; i < 100 && code == 0; ++i) {
            try {
                const WebSocketMessage message = co_await with_timeout(20ms, far.receive());
                code = message.code;
            } catch (const TimeoutError&) {
                continue;
            }
        }
        EXPECT_EQ(1006, code);
    });
}

TEST(WebSocketHeartbeat, OneThatAlwaysHasSomethingToSendIsPingedAndStays) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 400ms});
        auto receiving = create_task(far.receive());
        bool is_enough = false;
        auto feeding = create_task([&]() -> Coro<> {
            while (!is_enough) {
                co_await far.send_text("tick");
                co_await yield();
            }
        });
        std::string got;
        char buffer[4096];
        for (int pings = 0; pings < 2;) {
            got.append(buffer, co_await pair.near.read_some(buffer));
            const std::size_t at = got.find(frame(0x89, "", false));
            const bool is_pinged = at != std::string::npos;
            got.erase(0, is_pinged ? at + 2 : got.size() - 1);
            if (is_pinged) {
                ++pings;
                co_await pair.near.write(frame(0x8a, ""));
            }
        }
        co_await pair.near.write(frame(0x81, "still here"));
        EXPECT_EQ("still here", (co_await receiving).data);
        is_enough = true;
        co_await feeding;
    });
}

TEST(WebSocketHeartbeat, APeerThatIsSlowToTakeWhatComesBeforeThePingStays) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.far.set_option(SOL_SOCKET, SO_SNDBUF, 65536);
        pair.near.set_option(SOL_SOCKET, SO_RCVBUF, 65536);
        WebSocket far(std::move(pair.far), WebSocketRole::server, {.heartbeat = 400ms});
        auto receiving = create_task(far.receive());
        auto sending = create_task(far.send_binary(std::string(4'000'000, 'x')));
        co_await sleep(700ms);  // longer than a peer has to answer a ping
        EXPECT_FALSE(far.is_closed());
        WebSocket near(std::move(pair.near), WebSocketRole::client);
        EXPECT_EQ(4'000'000U, (co_await near.receive()).data.size());
        co_await sending;
        co_await near.send_text("still here");
        EXPECT_EQ("still here", (co_await receiving).data);
    });
}

}  // namespace
}  // namespace knit::test
