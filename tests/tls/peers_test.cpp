// TLS with others: Python's asyncio and ssl on either side, openssl(1) as client and as server.

#include <algorithm>

#include "tls_pair.hpp"

namespace knit::test {
namespace {

using io::Server;

const std::string& much() {
    static const std::string text = [] {
        std::string made;
        for (int i = 0; i < 8192 * 256; ++i) {
            made += static_cast<char>(i);
        }
        return made;
    }();
    return text;
}

/// What tls_peer.py's client wants of a server.
Coro<> answer(TcpTls stream) {
    co_await stream.write(co_await read_exactly(stream, 6));
    std::string got = co_await read_exactly(stream, much().size());
    EXPECT_TRUE(got == much());
    std::reverse(got.begin(), got.end());
    co_await stream.write(got);
    co_await stream.shutdown();
    EXPECT_EQ("", co_await read_all(stream));
}

Coro<Process> start(std::vector<std::string> command) {
    ProcessOptions options;
    options.in = PIPE;
    options.out = PIPE;
    options.err = STDOUT;
    Coro<Process> starting = create_subprocess_exec(std::move(command), options);
    Process process = co_await std::move(starting);
    co_return process;
}

/// Reads lines up to one that begins so, and gives that; "" when there is none.
Coro<std::string> line_with(Process& process, std::string start) {
    std::string line;
    do {
        line = co_await process.out().readline();
    } while (!line.empty() && !line.starts_with(start));
    co_return line;
}

const std::string kPeer = KNIT_SOURCE_DIR "/tests/tls/tls_peer.py";

TEST(TlsPeers, AsyncioIsServed) {
    run_io([]() -> Coro<> {
        const IdentityFiles files(authority().issue(), authority().pem());
        tls::Context context = tls::Context::server(files.chain(), files.key());
        context.alpn({"first", "second"});
        Server server = co_await tls::serve("127.0.0.1:0", context, answer);
        const std::string port = std::to_string(server.local_endpoint().port());
        std::vector<std::string> command = {"python3", kPeer, "connect", port, files.authority()};
        Process peer = co_await start(std::move(command));
        EXPECT_EQ(0, co_await peer.wait());
        server.close();
        co_await server.wait_closed();
    });
}

/// The same over a reader and a writer.
Coro<> answer_as_asyncio(io::StreamReader reader, io::StreamWriter writer) {
    writer.write(co_await reader.readline());
    std::string got = co_await reader.readexactly(std::ssize(much()));
    EXPECT_TRUE(got == much());
    std::reverse(got.begin(), got.end());
    writer.write(got);
    co_await close_writer(writer);
}

TEST(TlsPeers, AsyncioIsServedByStartServer) {
    run_io([]() -> Coro<> {
        const IdentityFiles files(authority().issue(), authority().pem());
        tls::Context context = tls::Context::server(files.chain(), files.key());
        context.alpn({"first", "second"});
        Server server = co_await start_server(answer_as_asyncio, "127.0.0.1", 0, context);
        const std::string port = std::to_string(server.local_endpoint().port());
        std::vector<std::string> command = {"python3", kPeer, "connect", port, files.authority()};
        Process peer = co_await start(std::move(command));
        EXPECT_EQ(0, co_await peer.wait());
        server.close();
        co_await server.wait_closed();
    });
}

TEST(TlsPeers, AsyncioServes) {
    run_io([]() -> Coro<> {
        const IdentityFiles files(authority().issue());
        std::vector<std::string> command = {"python3", kPeer, "serve", files.chain(), files.key()};
        Process peer = co_await start(std::move(command));
        const std::string line = co_await peer.out().readline();
        tls::Context context = client_context();
        context.alpn({"first", "second"});
        TcpTls stream = co_await tls::connect("127.0.0.1", std::stoi(line), context, to("server.test"));
        EXPECT_EQ("second", stream.alpn_protocol());
        co_await stream.write("hello\n");
        EXPECT_EQ("hello\n", co_await read_exactly(stream, 6));
        co_await stream.write(much());
        std::string got = co_await read_all(stream);
        std::reverse(got.begin(), got.end());
        EXPECT_TRUE(got == much());
        stream.close();
        EXPECT_EQ(0, co_await peer.wait());
    });
}

/// Echoes lines, and answers a client's "Q" by the end.
Coro<> echo_lines(TcpTls stream) {
    char buffer[1000];
    for (;;) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            stream.close();
            co_return;
        }
        co_await stream.write(std::string_view(buffer, count));
    }
}

TEST(TlsPeers, OpensslIsServedThroughChangesOfKeys) {
    run_io([]() -> Coro<> {
        const IdentityFiles files(authority().issue(), authority().pem());
        const tls::Context context = tls::Context::server(files.chain(), files.key());
        Server server = co_await tls::serve("127.0.0.1:0", context, echo_lines);
        const std::string where = server.local_endpoint().to_string();
        std::vector<std::string> command = {"openssl", "s_client", "-connect", where, "-servername", "server.test",
                                            "-CAfile", files.authority(), "-verify_return_error", "-verify_hostname",
                                            "server.test", "-brief"};
        Process peer = co_await start(std::move(command));
        for (int round = 0; round < 3; ++round) {
            const std::string line = "line " + std::to_string(round) + "\n";
            peer.in().write(line);
            EXPECT_EQ(line, co_await line_with(peer, "line"));
            peer.in().write("K\n");  // new keys, here and there
            EXPECT_EQ("KEYUPDATE\n", co_await line_with(peer, "KEYUPDATE"));
        }
        peer.in().write("Q\n");
        EXPECT_EQ(0, co_await peer.wait());
        server.close();
        co_await server.wait_closed();
    });
}

TEST(TlsPeers, OpensslServes) {
    run_io([]() -> Coro<> {
        const IdentityFiles files(authority().issue());
        std::vector<std::string> command = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", files.chain(),
                                            "-key", files.key(), "-rev", "-naccept", "1"};
        Process peer = co_await start(std::move(command));
        const std::string line = co_await line_with(peer, "ACCEPT ");
        const Endpoint where(std::string_view(line).substr(7, line.size() - 8));
        TcpTls stream = co_await tls::connect(where, client_context(), to("server.test"));
        co_await stream.write("knit\n");
        EXPECT_EQ("tink\n", co_await read_exactly(stream, 5));
        stream.close();
        co_await peer.wait();
    });
}

}  // namespace
}  // namespace knit::test
