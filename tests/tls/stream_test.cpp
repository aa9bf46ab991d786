// TlsStream over TCP, both ends ours: reading, writing, the end of the stream, and what goes wrong on the way.

#include "tls_pair.hpp"

namespace knit::test {
namespace {

static_assert(io::ByteStream<TcpTls>);

TEST(TlsStream, CarriesBytesBothWaysAndTellsWhatWasAgreedOn) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        co_await pair.near.write("hello");
        EXPECT_EQ("hello", co_await read_exactly(pair.far, 5));
        co_await pair.far.write("world");
        EXPECT_EQ("world", co_await read_exactly(pair.near, 5));
        EXPECT_EQ("TLSv1.3", pair.near.version());
        EXPECT_EQ("server.test", pair.far.server_name());
        EXPECT_NE("", pair.near.cipher());
        EXPECT_EQ(pair.near.local_endpoint(), pair.far.peer_endpoint());
        const std::optional<tls::Certificate> shown = pair.near.peer_certificate();
        EXPECT_TRUE(shown.has_value());
        if (shown) {
            EXPECT_EQ("CN=server.test", shown->subject);
            EXPECT_EQ("CN=Knit Test CA", shown->issuer);
            EXPECT_EQ((std::vector<std::string>{"server.test", "127.0.0.1"}), shown->names);
            EXPECT_LT(shown->not_before, std::chrono::system_clock::now());
            EXPECT_GT(shown->not_after, std::chrono::system_clock::now());
        }
        EXPECT_FALSE(pair.far.peer_certificate().has_value());
    });
}

TEST(TlsStream, AShutdownIsTheEndOfTheStreamAndTheOtherWayStaysOpen) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        co_await pair.near.write("question");
        co_await pair.near.shutdown();
        EXPECT_EQ("question", co_await read_all(pair.far));
        EXPECT_EQ(std::errc::broken_pipe, co_await code_of(pair.near.write("more")));
        co_await pair.far.write("answer");
        co_await pair.far.shutdown();
        EXPECT_EQ("answer", co_await read_all(pair.near));
        EXPECT_EQ("", co_await read_all(pair.near));  // for good
    });
}

TEST(TlsStream, ASecondReaderGetsWhatTheFirstOneHasTakenFromTheSocket) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        auto first = create_task(read_exactly(pair.far, 1));
        auto second = create_task(read_exactly(pair.far, 1));
        co_await turns();
        co_await pair.near.write("ab");  // one record, and nothing after it
        EXPECT_EQ("a", co_await wait_for(first, 20s));
        EXPECT_EQ("b", co_await wait_for(second, 20s));
    });
}

TEST(TlsStream, AnEndWithoutCloseNotifyIsAnErrorAfterWhatCameBefore) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        co_await pair.far.write("x");
        EXPECT_EQ("x", co_await read_exactly(pair.near, 1));  // nothing is unread: no reset
        co_await pair.near.write("half");
        pair.near.abort();
        EXPECT_EQ("half", co_await read_exactly(pair.far, 4));
        char byte[1];
        EXPECT_EQ(tls::Errc::unexpected_eof, co_await code_of(pair.far.read_some(byte)));
        EXPECT_EQ(tls::Errc::unexpected_eof, co_await code_of(pair.far.read_some(byte)));
    });
}

TEST(TlsStream, CloseSendsWhatWasWrittenAndCloseNotifyAndEndsWhatIsUnderWay) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        char byte[1];
        auto reading = create_task(code_of(pair.near.read_some(byte)));
        co_await turns();
        co_await pair.near.write("last words");
        pair.near.close();
        EXPECT_EQ("last words", co_await read_all(pair.far));
        EXPECT_EQ(std::errc::operation_canceled, co_await reading);
        EXPECT_EQ(std::errc::operation_canceled, co_await code_of(pair.near.read_some(byte)));
    });
}

TEST(TlsStream, CloseEndsAWriteToAPeerThatDoesNotRead) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        const std::string much = pattern(8'000'000);
        auto writing = create_task(code_of(pair.near.write(much)));
        co_await turns(50);
        EXPECT_FALSE(writing.done());
        pair.near.close();
        EXPECT_EQ(std::errc::operation_canceled, co_await writing);
    });
}

TEST(TlsStream, CloseWaitsForThePeersEndSoThatItsLastBytesMakeNoReset) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        co_await pair.far.write("never read");
        pair.near.close();
        EXPECT_EQ("", co_await read_all(pair.far));
        co_await pair.far.write("never read either");  // no EPIPE: the other side still takes it
        pair.far.close();
    });
}

/// As little as the kernel keeps for a connection.
void keep_little(TcpTls& stream) {
    stream.lower().set_option(SOL_SOCKET, SO_SNDBUF, 16384);
    stream.lower().set_option(SOL_SOCKET, SO_RCVBUF, 16384);
}

TEST(TlsStream, LargeTransfersGoBothWaysAtOnceHoweverLittleTheKernelKeeps) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        keep_little(pair.near);
        keep_little(pair.far);
        const std::string there = pattern(400'001, 1);
        const std::string back = pattern(300'003, 2);
        auto send = [](TcpTls& stream, const std::string& text) -> Coro<> {
            const std::size_t count = co_await stream.write(text);
            EXPECT_EQ(text.size(), count);
            co_await stream.shutdown();
        };
        auto sent = create_task(send(pair.near, there));
        auto sent_back = create_task(send(pair.far, back));
        auto got = create_task(read_all(pair.far));
        const std::string got_back = co_await read_all(pair.near);
        EXPECT_TRUE(back == got_back);
        EXPECT_TRUE(there == co_await got);
        co_await sent;
        co_await sent_back;
    });
}

TEST(TlsStream, AbortCutsACloseShort) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        pair.near.close();
        EXPECT_EQ("", co_await read_all(pair.far));  // close-notify has come; the peer's is awaited
        pair.near.abort();
        EXPECT_EQ(-1, pair.near.native_handle());
    });
}

TEST(TlsStream, CloseSendsWhatACancelledWriteSomeHasTaken) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        keep_little(pair.near);
        keep_little(pair.far);
        const std::string text = pattern(3'000'000);
        std::size_t taken = 0;
        auto write = [](TcpTls& stream, std::string_view bytes, std::size_t& count) -> Coro<> {
            for (;;) {
                count += co_await stream.write_some(bytes.substr(count));
            }
        };
        auto writing = create_task(write(pair.near, text, taken));
        co_await turns(50);
        writing.cancel();
        EXPECT_EQ("CancelledError", co_await error_of(std::move(writing)));
        pair.near.close();
        const std::string got = co_await read_all(pair.far);  // to close-notify
        EXPECT_EQ(taken, got.size());
        EXPECT_TRUE(std::string_view(text).substr(0, taken) == got);
    });
}

TEST(TlsStream, AShutdownWaitsForAnotherTasksWrite) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        const std::string much = pattern(8'000'000);
        auto writing = create_task(pair.near.write(much));
        co_await turns(10);
        auto ending = create_task(pair.near.shutdown());
        co_await turns(10);
        EXPECT_FALSE(writing.done());
        EXPECT_TRUE(much == co_await read_all(pair.far));
        EXPECT_EQ(much.size(), co_await writing);
        co_await ending;
    });
}

TEST(TlsStream, AClientThatTalksAtOnceStillHearsWhyItIsRefused) {
    run_io([]() -> Coro<> {
        tls::Context server = server_context();
        server.use_verify_certificates(authority().pem()).verify_mode(tls::VerifyMode::required);
        Pair pair = co_await connected_pair();
        auto accepting = create_task(error_of(tls::accept(std::move(pair.far), server)));
        Coro<TcpTls> connecting = tls::connect(std::move(pair.near), client_context(), to("server.test"));
        TcpTls stream = co_await std::move(connecting);  // over for a client of TLS 1.3
        const std::string much = pattern(65536);
        auto writing = create_task(code_of(stream.write(much)));
        co_await turns(20);
        char byte[1];
        EXPECT_EQ(tls::Errc::refused, co_await code_of(stream.read_some(byte)));
        static_cast<void>(co_await writing);
        stream.close();
        EXPECT_EQ("TLS handshake with a client: the peer has shown no certificate: certificate verification failed",
                  co_await accepting);
    });
}

TEST(TlsStream, MayBeMovedClosedAndDestroyedWhileItIsRead) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        char byte[1];
        auto reading = create_task(code_of(pair.near.read_some(byte)));
        co_await turns();
        {
            const TcpTls moved = std::move(pair.near);
            EXPECT_THROW(static_cast<void>(pair.near.version()), RuntimeError);
            co_await turns();
        }
        EXPECT_EQ(std::errc::operation_canceled, co_await reading);
    });
}

TEST(TlsStream, GarbageFromTheClientFailsTheHandshakeAndSaysSo) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto accepting = create_task(error_of(tls::accept(std::move(pair.far), server_context())));
        co_await pair.near.write("GET / HTTP/1.1\r\n\r\n");
        pair.near.shutdown();
        EXPECT_EQ("TLS handshake with a client: http request (the peer speaks HTTP without TLS): protocol error",
                  co_await accepting);
        pair = co_await connected_pair();
        auto connecting = create_task(error_of(tls::connect(std::move(pair.near), client_context(), to("a.test"))));
        co_await pair.far.write("SSH-2.0-OpenSSH_9.2p1\r\n");
        EXPECT_EQ("TLS handshake with a.test: wrong version number (does the peer speak TLS here?): protocol error",
                  co_await connecting);
    });
}

TEST(TlsStream, ARecordThatWasChangedOnItsWayIsAnErrorForGood) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        co_await pair.near.lower().write(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
        char byte[1];
        EXPECT_EQ(tls::Errc::protocol, co_await code_of(pair.far.read_some(byte)));
        EXPECT_EQ(tls::Errc::protocol, co_await code_of(pair.far.read_some(byte)));
        EXPECT_EQ(tls::Errc::protocol, co_await code_of(pair.far.write("x")));
        EXPECT_EQ(tls::Errc::refused, co_await code_of(pair.near.read_some(byte)));  // the alert
    });
}

TEST(TlsStream, AHandshakeThatTakesTooLongIsTimedOut) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        tls::Options options;
        options.handshake_timeout = 10ms;
        auto accepting = tls::accept(std::move(pair.far), server_context(), options);
        const std::string error = co_await error_of(std::move(accepting));
        EXPECT_EQ("TimeoutError", error);
        char byte[1];
        EXPECT_EQ(0U, co_await pair.near.read_some(byte));  // and the stream was closed
    });
}

TEST(TlsStream, GetsAReaderAndAWriterLikeAnyStream) {
    run_io([]() -> Coro<> {
        TlsPair pair = co_await tls_pair();
        io::Connection near = make_streams(std::move(pair.near));
        io::Connection far = make_streams(std::move(pair.far));
        EXPECT_FALSE(near.writer.can_write_eof());
        near.writer.write("hello\n");
        EXPECT_EQ("hello\n", co_await far.reader.readline());
        const std::string much = pattern(500'000);
        near.writer.write(much);
        co_await close_writer(near.writer);
        const std::string got = co_await far.reader.read();
        EXPECT_TRUE(much == got);
        EXPECT_TRUE(far.writer.get_extra_info("peername").has_value());
        co_await close_writer(far.writer);
    });
}

}  // namespace
}  // namespace knit::test
