// tls::start_server(): asyncio's start_server(ssl=...). Handshakes and handlers.

#include <filesystem>
#include <stdexcept>

#include "tls_streams.hpp"

namespace knit::test {
namespace {

TEST(TlsStartServer, CallsTheHandlerOncePerConnection) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        Server server = co_await start_server(echo_line, "127.0.0.1:0", server_context());
        EXPECT_EQ("hello\n", co_await ask_line(server.local_endpoint(), "hello\n"));
        EXPECT_EQ("again\n", co_await ask_line(server.local_endpoint(), "again\n"));
        co_await end_server(server);
        EXPECT_EQ(0U, server.connection_count());
    });
    EXPECT_EQ(before, open_descriptors());
}

TEST(TlsStartServer, TheWriterIsAsThatOfOpenConnection) {
    run_io([]() -> Coro<> {
        auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<> {
            EXPECT_FALSE(writer.can_write_eof());
            EXPECT_TRUE(writer.get_extra_info("peername").has_value());
            EXPECT_LE(0, writer.get_extra_info("socket", -1));
            writer.write(writer.local_endpoint().to_string());
            writer.close();
            co_await reader.read();
        };
        Server server = co_await start_server(handler, "127.0.0.1", 0, server_context(), {.limit = 100});
        const std::string answer = co_await ask_line(server.local_endpoint(), "x");
        EXPECT_EQ(server.local_endpoint().to_string(), answer);
        co_await end_server(server);
    });
}

TEST(TlsStartServer, TheWritersOfBothSidesTellOfTls) {
    run_io([]() -> Coro<> {
        std::optional<StreamWriter> far;
        auto handler = [&far](StreamReader, StreamWriter writer) { far = std::move(writer); };
        tls::Context context = server_context();
        context.use_verify_certificates(authority().pem()).verify_mode(tls::VerifyMode::required).alpn({"knit"});
        Server server = co_await start_server(handler, "127.0.0.1:0", context);
        const Wanted wanted{.name = "client.test", .hosts = {"DNS:client.test"}};
        const Identity identity = authority().issue(wanted);
        tls::Context client = client_context();
        client.use_cert_chain(identity.chain, identity.key);
        const tls::Options options = {.server_name = "server.test", .alpn = "knit"};
        io::Connection near = co_await open_connection(server.local_endpoint(), client, {}, options);
        while (!far) {
            co_await yield();
        }
        EXPECT_EQ("CN=client.test", far->get_extra_info("peercert", tls::Certificate()).subject);
        EXPECT_EQ("CN=server.test", near.writer.get_extra_info("peercert", tls::Certificate()).subject);
        const auto info = far->get_extra_info("ssl_object", tls::ConnectionInfo());
        EXPECT_EQ("TLSv1.3", info.version);
        EXPECT_EQ("knit", info.alpn_protocol);
        EXPECT_EQ("server.test", info.server_name);
        EXPECT_FALSE(info.is_resumed);
        EXPECT_EQ(info.cipher, near.writer.get_extra_info("cipher", std::string()));
        EXPECT_FALSE(far->get_extra_info("nonsense").has_value());
        co_await close_writer(near.writer);
        co_await close_writer(*far);
        EXPECT_EQ(info.cipher, far->get_extra_info("cipher", std::string()));  // also after the end
        co_await end_server(server);
    });
}

TEST(TlsStartServer, ServesOthersWhileOnePeerIsSilentAndAnotherSpeaksNoTls) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        Server server = co_await start_server(echo_line, "127.0.0.1:0", server_context());
        const Endpoint where = server.local_endpoint();
        TcpStream silent = co_await TcpStream::connect(where);
        TcpStream stranger = co_await TcpStream::connect(where);
        co_await stranger.write("GET / HTTP/1.1\r\n\r\n");
        co_await wait_for_connections(server, 2);
        std::vector<Task<std::string>> asking;
        for (int i = 0; i < 8; ++i) {
            asking.push_back(create_task(ask_line(where, "client " + std::to_string(i) + "\n")));
        }
        for (int i = 0; i < 8; ++i) {
            const std::string answer = co_await asking[static_cast<std::size_t>(i)];
            EXPECT_EQ("client " + std::to_string(i) + "\n", answer);
        }
        char byte[1];
        EXPECT_EQ(0U, co_await stranger.read_some(byte));  // OpenSSL has no alert for HTTP
        stranger.close();
        co_await wait_for_connections(server, 1);
        silent.close();
        co_await end_server(server);
        EXPECT_TRUE(heard.empty());
    });
    EXPECT_TRUE(logged.warnings().empty());
    EXPECT_NE(std::string::npos, logged.text().find("http request")) << logged.text();
}

TEST(TlsStartServer, AClientThatRefusesTheCertificateIsNoMatter) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        Server server = co_await start_uncalled();
        const tls::Context untrusting = tls::Context::client(tls::Roots::none);
        const std::string error = co_await error_of(open_connection(server.local_endpoint(), untrusting));
        EXPECT_NE(std::string::npos, error.find("unable to get local issuer certificate")) << error;
        co_await end_server(server);
        EXPECT_TRUE(heard.empty());
    });
    EXPECT_NE(std::string::npos, logged.text().find("the peer says \"tlsv1 alert unknown ca\"")) << logged.text();
    EXPECT_TRUE(logged.warnings().empty());
}

TEST(TlsStartServer, AClientWhoseCertificateIsRefusedHearsWhyAndNoHandlerRuns) {
    run_io([]() -> Coro<> {
        auto never = [](StreamReader, StreamWriter writer) {
            ADD_FAILURE() << "the handler is called";
            writer.close();
        };
        tls::Context context = server_context();
        context.use_verify_certificates(authority().pem()).verify_mode(tls::VerifyMode::required);
        context.maximum_version(tls::Version::tls1_2);  // where a client hears it in its handshake
        Server server = co_await start_server(never, "127.0.0.1:0", context);
        const std::string error = co_await error_of(open_connection(server.local_endpoint(), client_context()));
        EXPECT_NE(std::string::npos, error.find("the peer says")) << error;
        co_await end_server(server);
    });
}

TEST(TlsStartServer, AHandshakeHasALimit) {
    Logged logged;
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        Server server = co_await start_uncalled({}, {.handshake_timeout = 10ms});
        TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
        char byte[1];
        EXPECT_EQ(0U, co_await silent.read_some(byte));
        co_await wait_for_connections(server, 0);
        co_await end_server(server);
        EXPECT_TRUE(heard.empty());
    });
    EXPECT_NE(std::string::npos, logged.text().find("TLS handshake is taking longer than")) << logged.text();
}

TEST(TlsStartServer, AHandshakeTakesTheRoomOfAConnection) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(echo_line, "127.0.0.1:0", server_context(), {.max_connections = 1});
        TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
        co_await wait_for_connections(server, 1);
        Task<std::string> asking = create_task(ask_line(server.local_endpoint(), "x\n"));
        co_await turns(50);
        EXPECT_FALSE(asking.done());
        EXPECT_EQ(1U, server.connection_count());
        silent.close();
        EXPECT_EQ("x\n", co_await asking);
        co_await end_server(server);
    });
}

TEST(TlsStartServer, AHandlerThatThrowsIsReportedAndItsConnectionClosed) {
    run_io([]() -> Coro<> {
        std::vector<std::string>& heard = listen_for_failures();
        auto handler = [](StreamReader reader, StreamWriter writer) -> Coro<> {
            writer.write(co_await reader.readline());
            throw std::runtime_error("no");
        };
        Server server = co_await start_server(handler, "127.0.0.1:0", server_context());
        EXPECT_EQ("x\n", co_await ask_line(server.local_endpoint(), "x\n"));
        co_await end_server(server);
        EXPECT_EQ(std::vector<std::string>{"Unhandled exception in client_connected_cb"}, heard);
    });
}

TEST(TlsStartServer, AContextThatCannotServeIsRefusedAtOnce) {
    run_io([]() -> Coro<> {
        EXPECT_THROW(static_cast<void>(start_server(echo_line, "127.0.0.1:0", client_context())), ValueError);
        EXPECT_THROW(static_cast<void>(start_server(echo_line, "127.0.0.1:0", tls::Context::server())), RuntimeError);
        EXPECT_THROW(static_cast<void>(start_unix_server(echo_line, "@knit", client_context())), ValueError);
        co_return;
    });
}

TEST(TlsStartServer, AUnixSocketWillDo) {
    run_io([]() -> Coro<> {
        const std::string path = "@knit-tls-" + std::to_string(getpid());
        Server server = co_await start_unix_server(echo_line, path, server_context());
        EXPECT_THROW(static_cast<void>(open_unix_connection(path, client_context())), ValueError);
        UnixStream silent = co_await UnixStream::connect(path);
        io::Connection near = co_await open_unix_connection(path, client_context(), {}, to("server.test"));
        near.writer.write("hello\n");
        EXPECT_EQ("hello\n", co_await near.reader.read());
        co_await close_writer(near.writer);
        co_await wait_for_connections(server, 1);
        server.close_clients();
        co_await end_server(server);
    });
}

}  // namespace
}  // namespace knit::test
