// The snippets of docs/tls.md.

#include "tls_pair.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

const IdentityFiles& local_files() {
    static const IdentityFiles files = [] {
        Wanted wanted;
        wanted.hosts = {"DNS:localhost"};
        return IdentityFiles(authority().issue(wanted), authority().pem());
    }();
    return files;
}

TEST(TlsDocs, ClientAndServer) {
    run_io([]() -> Coro<> {
        const IdentityFiles& files = local_files();
        const tls::Context other = server_context();
        tls::Context server_side = tls::Context::server(files.chain(), files.key());
        server_side.alpn({"h2", "http/1.1"}).add_server_name("*.example.org", other);
        Server server = co_await tls::serve("127.0.0.1:0", server_side, [](TlsStream<TcpStream> stream) -> Coro<> {
            std::array<char, 4096> buffer;
            while (const std::size_t count = co_await stream.read_some(buffer)) {
                co_await stream.write(std::string_view(buffer.data(), count));
            }
            stream.close();
        });
        const auto port = server.local_endpoint().port();
        tls::Context context = tls::Context::client(tls::Roots::none);
        context.load_verify_locations(files.authority());
        {
            TlsStream<TcpStream> stream = co_await tls::connect("localhost", port, context);
            co_await stream.write("hello\n");
            co_await stream.shutdown();
            EXPECT_EQ("hello\n", co_await read_all(stream));
        }
        {
            io::Connection connection = co_await open_connection("localhost", port, context);
            connection.writer.write("hello\n");
            const std::string line = co_await connection.reader.readline();
            EXPECT_EQ("hello\n", line);
            co_await close_writer(connection.writer);
        }
        server.close();
        co_await server.wait_closed();
    });
}

Coro<> answer(StreamReader, StreamWriter writer) {
    const auto client = writer.get_extra_info("peercert", tls::Certificate());  // empty: it has shown none
    writer.write("hello " + client.subject + "\n");
    co_await writer.drain();
    writer.close();  // close-notify
}

TEST(TlsDocs, StartServer) {
    run_io([]() -> Coro<> {
        const IdentityFiles& files = local_files();
        const tls::Context context = tls::Context::server(files.chain(), files.key());
        Server server = co_await start_server(answer, "127.0.0.1:0", context, {.shutdown_timeout = 5s});
        const auto port = server.local_endpoint().port();
        io::Connection connection = co_await open_connection("localhost", port, client_context());
        EXPECT_EQ("hello \n", co_await connection.reader.read());
        co_await close_writer(connection.writer);
        server.close();
        co_await server.wait_closed();
    });
}

TEST(TlsDocs, OverAnyStream) {
    run_io([]() -> Coro<> {
        const IdentityFiles& files = local_files();
        const tls::Context server_side = tls::Context::server(files.chain(), files.key());
        auto [stream, other_end] = UnixStream::pair();
        auto accepting = create_task(tls::accept(std::move(other_end), server_side));
        const tls::Options options = {.server_name = "localhost"};
        auto secured = co_await tls::connect(std::move(stream), client_context(), options);
        auto accepted = co_await std::move(accepting);
        co_await secured.write("x");
        EXPECT_EQ("x", co_await read_exactly(accepted, 1));
    });
}

TEST(TlsDocs, AWriterThatIsAbortedSaysNoCloseNotifyAndOneThatIsClosedDoes) {
    run_io([]() -> Coro<> {
        for (const bool is_aborted : {false, true}) {
            TlsPair pair = co_await tls_pair();
            io::Connection near = make_streams(std::move(pair.near));
            co_await pair.far.write("x");
            EXPECT_EQ("x", co_await near.reader.readexactly(1));
            is_aborted ? near.writer.abort() : near.writer.close();
            char byte[1];
            const std::error_code code = co_await code_of(pair.far.read_some(byte));
            EXPECT_EQ(is_aborted ? make_error_code(tls::Errc::unexpected_eof) : std::error_code(), code);
            co_await near.writer.wait_closed();
        }
    });
}

}  // namespace
}  // namespace knit::test
