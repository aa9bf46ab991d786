// Who is trusted and what for, what is agreed on, and what is resumed.

#include <filesystem>

#include "tls_pair.hpp"

namespace knit::test {
namespace {

struct Refused {
    std::string client;  ///< what it throws
    std::error_code server;
};

/// Both sides of a handshake that the client refuses.
Coro<Refused> refused(tls::Context client, tls::Context server, std::string_view name) {
    Pair pair = co_await connected_pair();
    auto accepting = create_task(code_of(tls::accept(std::move(pair.far), server)));
    Refused told;
    told.client = co_await error_of(tls::connect(std::move(pair.near), client, to(name)));
    told.server = co_await accepting;
    co_return told;
}

/// What a client that trusts Knit Test CA says of the server's certificate.
void expect_refusal(const tls::Context& server, const std::string& name, const std::string& what) {
    run_io([&]() -> Coro<> {
        const Refused told = co_await refused(client_context(), server, name);
        EXPECT_EQ("TLS handshake with " + name + ": the certificate " + what + ": certificate verification failed",
                  told.client);
        EXPECT_EQ(tls::Errc::refused, told.server);
    });
}

TEST(TlsVerify, ACertificateForAnotherHostIsRefusedAndSaysWhomItIsFor) {
    expect_refusal(server_context(), "other.test",
                   "\"CN=server.test\", issued by \"CN=Knit Test CA\", is refused: hostname mismatch: it is for "
                   "server.test, 127.0.0.1");
    expect_refusal(server_context(), "127.0.0.2",
                   "\"CN=server.test\", issued by \"CN=Knit Test CA\", is refused: IP address mismatch: it is for "
                   "server.test, 127.0.0.1");
}

TEST(TlsVerify, NamesThatAPeerHasMadeUpAreShortInTheMessage) {
    run_io([]() -> Coro<> {
        Wanted wanted;
        wanted.hosts.clear();
        for (int i = 0; i < 20; ++i) {
            wanted.hosts.push_back("DNS:" + std::to_string(i) + ".test");
        }
        wanted.hosts.front() = "DNS:" + std::string(1000, 'x');
        Coro<TlsPair> making = tls_pair(client_context(), server_context(wanted), "a.test");
        const std::string error = co_await error_of(std::move(making));
        EXPECT_NE(std::string::npos,
                  error.find("it is for " + std::string(200, 'x') + "..., 1.test, 2.test, 3.test, 4.test and 15 more"))
            << error;
    });
}

TEST(TlsVerify, ACertificateThatHasExpiredOrIsNotValidYetIsRefused) {
    Wanted wanted;
    wanted.from_seconds = -7200;
    wanted.to_seconds = -3600;
    expect_refusal(server_context(wanted), "server.test",
                   "\"CN=server.test\", issued by \"CN=Knit Test CA\", is refused: certificate has expired");
    wanted.from_seconds = 1800;
    wanted.to_seconds = 3600;
    expect_refusal(server_context(wanted), "server.test",
                   "\"CN=server.test\", issued by \"CN=Knit Test CA\", is refused: certificate is not yet valid");
}

TEST(TlsVerify, ACertificateOfAnAuthorityThatNobodyTrustsIsRefused) {
    const Authority stranger("Stranger CA");
    const Identity identity = stranger.issue();
    tls::Context server = tls::Context::server();
    server.use_cert_chain(identity.chain, identity.key);
    expect_refusal(server, "server.test",
                   "\"CN=server.test\", issued by \"CN=Stranger CA\", is refused: unable to get local issuer "
                   "certificate");
}

TEST(TlsVerify, AMissingIntermediateCertificateIsRefusedAndAShownOneIsFine) {
    const Authority intermediate = authority().intermediate("Knit Intermediate");
    Identity identity = intermediate.issue();
    tls::Context whole = tls::Context::server();
    whole.use_cert_chain(identity.chain, identity.key);
    run_io([&]() -> Coro<> { static_cast<void>(co_await tls_pair(client_context(), whole)); });
    identity.chain.resize(identity.chain.find("-----BEGIN", 1));  // its own alone
    tls::Context half = tls::Context::server();
    half.use_cert_chain(identity.chain, identity.key);
    expect_refusal(half, "server.test",
                   "\"CN=server.test\", issued by \"CN=Knit Intermediate\", is refused: unable to get local issuer "
                   "certificate");
}

TEST(TlsVerify, TheErrorHasTheCertificateInParts) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto accepting = create_task(code_of(tls::accept(std::move(pair.far), server_context())));
        bool is_refused = false;
        try {
            const tls::Context nobody = tls::Context::client(tls::Roots::none);
            auto shaking = tls::connect(std::move(pair.near), nobody, to("server.test"));
            static_cast<void>(co_await std::move(shaking));
        } catch (const CertificateError& error) {
            is_refused = true;
            EXPECT_EQ("CN=server.test", error.subject());
            EXPECT_EQ("CN=Knit Test CA", error.issuer());
            EXPECT_EQ("unable to get local issuer certificate", error.reason());
            EXPECT_EQ(0, error.depth());
            EXPECT_EQ(20, error.verify_code());
            EXPECT_EQ(tls::Errc::certificate, error.code());
        }
        EXPECT_TRUE(is_refused);
        static_cast<void>(co_await accepting);
    });
}

TEST(TlsVerify, AnAddressIsComparedWithTheCertificatesAddresses) {
    run_io([]() -> Coro<> {
        Coro<TlsPair> making = tls_pair(client_context(), server_context(), "127.0.0.1");
        TlsPair pair = co_await std::move(making);
        EXPECT_EQ("", pair.far.server_name());  // no SNI for an address
    });
}

TEST(TlsVerify, WhatIsSwitchedOffIsNotChecked) {
    run_io([]() -> Coro<> {
        tls::Context any_host = client_context();
        any_host.check_hostname(false);
        Coro<TlsPair> of_any_host = tls_pair(any_host, server_context(), "other.test");
        static_cast<void>(co_await std::move(of_any_host));
        tls::Context anybody = tls::Context::client(tls::Roots::none);
        anybody.verify_mode(tls::VerifyMode::none);
        Coro<TlsPair> of_anybody = tls_pair(anybody, server_context(), "other.test");
        static_cast<void>(co_await std::move(of_anybody));
    });
}

TEST(TlsVerify, AServerMayAskForTheClientsCertificate) {
    run_io([]() -> Coro<> {
        tls::Context server = server_context();
        server.use_verify_certificates(authority().pem()).verify_mode(tls::VerifyMode::required);
        Wanted wanted;
        wanted.name = "a client";
        const Identity identity = authority().issue(wanted);
        tls::Context client = client_context();
        client.use_cert_chain(identity.chain, identity.key);
        TlsPair pair = co_await tls_pair(client, server);
        const auto shown = pair.far.peer_certificate();
        EXPECT_EQ("CN=a client", shown ? shown->subject : "none");
        // One that has none is refused; with TLS 1.3 it hears of that only when it reads.
        Pair bare = co_await connected_pair();
        auto accepting = create_task(error_of(tls::accept(std::move(bare.far), server)));
        TcpTls stranger = co_await tls::connect(std::move(bare.near), client_context(), to("server.test"));
        char byte[1];
        EXPECT_EQ(tls::Errc::refused, co_await code_of(stranger.read_some(byte)));
        stranger.close();
        EXPECT_EQ("TLS handshake with a client: the peer has shown no certificate: certificate verification failed",
                  co_await accepting);
    });
}

TEST(TlsAgree, TheServersFirstProtocolThatTheClientHasTooIsSpoken) {
    run_io([]() -> Coro<> {
        tls::Context server = server_context();
        server.alpn({"h2", "http/1.1"});
        tls::Context both = client_context();
        both.alpn({"http/1.1", "h2"});
        TlsPair pair = co_await tls_pair(both, server);
        EXPECT_EQ("h2", pair.near.alpn_protocol());
        EXPECT_EQ("h2", pair.far.alpn_protocol());
        TlsPair silent = co_await tls_pair(client_context(), server);
        EXPECT_EQ("", silent.far.alpn_protocol());
        tls::Context other = client_context();
        other.alpn({"smtp"});
        const Refused told = co_await refused(other, server, "server.test");
        EXPECT_EQ("TLS handshake with server.test: the peer says \"tlsv1 alert no application protocol\": refused by "
                  "the peer", told.client);
    });
}

TEST(TlsAgree, VersionsBelowTheLeastAreRefused) {
    run_io([]() -> Coro<> {
        tls::Context old = client_context();
        old.maximum_version(tls::Version::tls1_2);
        TlsPair pair = co_await tls_pair(old, server_context());
        EXPECT_EQ("TLSv1.2", pair.far.version());
        tls::Context modern = server_context();
        modern.minimum_version(tls::Version::tls1_3);
        const Refused told = co_await refused(old, modern, "server.test");
        EXPECT_EQ("TLS handshake with server.test: the peer says \"tlsv1 alert protocol version\": refused by the peer",
                  told.client);
    });
}

tls::Context context_for(const std::string& name, const std::string& host) {
    Wanted wanted;
    wanted.name = name;
    wanted.hosts = {"DNS:" + host};
    return server_context(wanted);
}

TEST(TlsAgree, TheNameAskedForChoosesTheCertificate) {
    run_io([]() -> Coro<> {
        tls::Context server = server_context();
        server.add_server_name("one.test", context_for("one", "one.test"));
        server.add_server_name("*.wide.test", context_for("wide", "*.wide.test"));
        server.server_name_callback([](std::string_view name) -> std::optional<tls::Context> {
            if (name == "never.test") {
                throw ValueError("never");
            }
            return name == "called.test" ? std::optional(context_for("called", "called.test")) : std::nullopt;
        });
        const std::pair<const char*, const char*> cases[] = {{"server.test", "CN=server.test"},
                                                             {"One.Test", "CN=one"},
                                                             {"a.wide.test", "CN=wide"},
                                                             {"called.test", "CN=called"}};
        for (const auto& [name, subject] : cases) {
            TlsPair pair = co_await tls_pair(client_context(), server, name);
            EXPECT_EQ(subject, pair.near.peer_certificate()->subject);
            EXPECT_EQ(name, pair.far.server_name());
        }
        Pair pair = co_await connected_pair();
        auto accepting = create_task(error_of(tls::accept(std::move(pair.far), server)));
        const tls::Options never = to("never.test");
        EXPECT_EQ(tls::Errc::refused, co_await code_of(tls::connect(std::move(pair.near), client_context(), never)));
        EXPECT_EQ("server_name_callback, asked for \"never.test\": never: unusable setting", co_await accepting);
    });
}

TEST(TlsAgree, TheContextOfANameDecidesAllAndMayNotBeAClients) {
    run_io([]() -> Coro<> {
        tls::Context strict = context_for("strict", "strict.test");
        strict.minimum_version(tls::Version::tls1_3);
        tls::Context old = context_for("old", "old.test");
        old.maximum_version(tls::Version::tls1_2);
        tls::Context server = server_context();
        server.add_server_name("strict.test", strict).add_server_name("old.test", old);
        server.server_name_callback([](std::string_view name) {
            return name == "client.test" ? std::optional(client_context()) : std::nullopt;
        });
        Coro<TlsPair> first = tls_pair(client_context(), server, "old.test");
        TlsPair pair = co_await std::move(first);
        EXPECT_EQ("TLSv1.2", pair.near.version());
        Coro<TlsPair> second = tls_pair(client_context(), server, "strict.test.");
        pair = co_await std::move(second);  // the dot is not sent
        EXPECT_EQ("CN=strict", pair.near.peer_certificate()->subject);
        EXPECT_EQ("strict.test", pair.far.server_name());
        tls::Context client = client_context();
        client.maximum_version(tls::Version::tls1_2);
        EXPECT_EQ(tls::Errc::refused, co_await code_of(tls_pair(client, server, "strict.test")));
        Pair lower = co_await connected_pair();
        auto accepting = create_task(error_of(tls::accept(std::move(lower.far), server)));
        const tls::Options wrong = to("client.test");
        EXPECT_EQ(tls::Errc::refused, co_await code_of(tls::connect(std::move(lower.near), client_context(), wrong)));
        EXPECT_EQ("ValueError: what a server_name_callback() gives has to be a server's Context, with a certificate",
                  co_await accepting);
    });
}

/// Connects over TCP, for the client's memory of whom it has talked to. A byte goes back, after the tickets.
Coro<bool> is_resumed(const tls::Context& client, const tls::Context& server, const std::string& name = "localhost") {
    // A port of its own for each process, the same each time: the memory is of a host and its port.
    static const std::uint16_t port = TcpListener::bind("127.0.0.1:0").local_endpoint().port();
    TcpListener listener = TcpListener::bind("127.0.0.1:" + std::to_string(port));
    auto serving = create_task([](TcpListener& from, tls::Context context) -> Coro<> {
        TcpStream stream = co_await from.accept();
        Coro<TcpTls> accepting = tls::accept(std::move(stream), context);
        TcpTls tls_stream = co_await std::move(accepting);
        co_await tls_stream.write("x");
        co_await tls_stream.shutdown();
    }(listener, server));
    Coro<TcpTls> connecting = tls::connect(listener.local_endpoint(), client, to(name));
    TcpTls stream = co_await std::move(connecting);
    static_cast<void>(co_await read_all(stream));
    co_await serving;
    co_return stream.is_resumed();
}

tls::Context local_server() {
    Wanted wanted;
    wanted.hosts = {"DNS:localhost", "DNS:other.test"};
    return server_context(wanted);
}

TEST(TlsResumption, TheSecondConnectionToAHostIsResumed) {
    for (const auto version : {tls::Version::tls1_3, tls::Version::tls1_2}) {
        run_io([&]() -> Coro<> {
            const tls::Context server = local_server();
            tls::Context client = client_context();
            client.maximum_version(version);
            EXPECT_FALSE(co_await is_resumed(client, server));
            EXPECT_TRUE(co_await is_resumed(client, server));
            EXPECT_TRUE(co_await is_resumed(client, server));
            EXPECT_FALSE(co_await is_resumed(client, server, "other.test"));
            EXPECT_FALSE(co_await is_resumed(client, local_server()));  // another server's tickets are of no use to it
        });
    }
}

TEST(TlsResumption, IsSwitchedOffOnEitherSide) {
    run_io([]() -> Coro<> {
        const tls::Context server = local_server();
        tls::Context client = client_context();
        client.resumption(false);
        EXPECT_FALSE(co_await is_resumed(client, server));
        EXPECT_FALSE(co_await is_resumed(client, server));
        tls::Context forgetful = local_server();
        forgetful.resumption(false);
        const tls::Context willing = client_context();
        EXPECT_FALSE(co_await is_resumed(willing, forgetful));
        EXPECT_FALSE(co_await is_resumed(willing, forgetful));
    });
}

TEST(TlsResumption, ASessionOfOneNameDoesNotPassTheClientCheckOfAnother) {
    run_io([]() -> Coro<> {
        tls::Context closed = context_for("closed", "closed.test");
        closed.use_verify_certificates(authority().pem()).verify_mode(tls::VerifyMode::required);
        tls::Context server = local_server();
        server.add_server_name("closed.test", closed);
        tls::Context client = client_context();
        client.check_hostname(false);
        EXPECT_FALSE(co_await is_resumed(client, server));
        // Offers the session of "localhost" to "closed.test".
        auto core = std::make_shared<knit::detail::TlsCoreOf<TcpStream>>(TcpStream(), client.state(), "closed.test",
                                                                         "localhost 127.0.0.1:40123", 1s);
        Pair pair = co_await connected_pair();
        core->lower() = std::move(pair.near);
        auto accepting = create_task(error_of(tls::accept(std::move(pair.far), server)));
        Coro<> shaking = knit::detail::TlsCore::handshake(core, 5s);
        co_await std::move(shaking);
        TcpTls stream(core);
        char byte[1];
        EXPECT_EQ(tls::Errc::refused, co_await code_of(stream.read_some(byte)));
        stream.close();
        EXPECT_EQ("TLS handshake with a client: the peer has shown no certificate: certificate verification failed",
                  co_await accepting);
    });
}

TEST(TlsContext, MistakesSayWhatToWriteInstead) {
    const Identity identity = authority().issue();
    const Identity other = authority().issue();
    EXPECT_THROW(tls::Context::server("/nonexistent/chain.pem"), std::system_error);
    tls::Context server = tls::Context::server();
    auto setup_error = [](auto act) -> std::string {
        try {
            act();
        } catch (const TlsError& error) {
            EXPECT_EQ(tls::Errc::setup, error.code());
            return error.what();
        }
        return "";
    };
    EXPECT_EQ("the private key in the key given is not that of the certificate: key values mismatch: unusable setting",
              setup_error([&] { server.use_cert_chain(identity.chain, other.key); }));
    EXPECT_NE("", setup_error([&] { server.use_cert_chain("nonsense", identity.key); }));
    EXPECT_NE("", setup_error([&] { server.use_cert_chain(identity.chain, "nonsense"); }));
    EXPECT_NE("", setup_error([&] { server.use_verify_certificates(""); }));
    EXPECT_NE("", setup_error([&] { server.ciphers("NO-SUCH-CIPHER"); }));
    EXPECT_THROW(server.alpn({""}), ValueError);
    EXPECT_THROW(server.add_server_name("a.test", tls::Context::client(tls::Roots::none)), ValueError);
    EXPECT_THROW(client_context().verify_mode(tls::VerifyMode::optional), ValueError);
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        EXPECT_THROW(static_cast<void>(tls::connect(std::move(pair.near), server_context(), to("a.test"))), ValueError);
        EXPECT_THROW(static_cast<void>(tls::connect(std::move(pair.near), client_context(), {})), ValueError);
        EXPECT_THROW(static_cast<void>(tls::accept(std::move(pair.far), client_context())), ValueError);
        const std::string error = co_await error_of(tls::accept(TcpStream(), tls::Context::server()));
        EXPECT_EQ("RuntimeError: a server's tls::Context needs a certificate: load_cert_chain(chain, key) first",
                  error);
        auto never = [](TcpTls) -> Coro<> { co_return; };
        EXPECT_THROW(static_cast<void>(tls::serve("127.0.0.1:0", tls::Context::server(), never)), RuntimeError);
        tls::Context used = client_context();
        static_cast<void>(co_await tls_pair(used, server_context()));
        EXPECT_THROW(used.check_hostname(false), RuntimeError);
    });
}

TEST(TlsContext, ReadsFiles) {
    const IdentityFiles files(authority().issue(), authority().pem());
    run_io([&]() -> Coro<> {
        tls::Context client = tls::Context::client(tls::Roots::none);
        client.load_verify_locations(files.authority());
        static_cast<void>(co_await tls_pair(client, tls::Context::server(files.chain(), files.key())));
    });
}

}  // namespace
}  // namespace knit::test
