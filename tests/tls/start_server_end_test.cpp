// tls::start_server(): connections that are ended while they shake hands, or just after.

#include "tls_streams.hpp"

namespace knit::test {
namespace {

enum class How { deadline, close_clients, abort_clients };

/// Ends a server whose only client is silent; what that client's read throws.
Coro<std::error_code> end_of_a_silent_client(How how) {
    Server server = co_await start_uncalled({.shutdown_timeout = how == How::deadline ? 10ms : 1h});
    TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
    co_await wait_for_connections(server, 1);
    co_await turns();  // the handshake waits for the client
    server.close();
    if (how == How::close_clients) {
        server.close_clients();
    } else if (how == How::abort_clients) {
        server.abort_clients();
    }
    co_await server.wait_closed();
    EXPECT_EQ(0U, server.connection_count());
    char byte[1];
    co_return co_await code_of(silent.read_some(byte));
}

TEST(TlsStartServerEnd, AHandshakeEndsWithTheDeadlineOfTheServer) {
    run_io([]() -> Coro<> { EXPECT_EQ(std::error_code(), co_await end_of_a_silent_client(How::deadline)); });
}

TEST(TlsStartServerEnd, CloseClientsEndsAHandshake) {
    run_io([]() -> Coro<> { EXPECT_EQ(std::error_code(), co_await end_of_a_silent_client(How::close_clients)); });
}

TEST(TlsStartServerEnd, AbortClientsEndsAHandshakeByAReset) {
    run_io([]() -> Coro<> {
        EXPECT_EQ(std::errc::connection_reset, co_await end_of_a_silent_client(How::abort_clients));
    });
}

TEST(TlsStartServerEnd, AHandshakeMayBeEndedFromAnotherLoop) {
    run_io(
        []() -> Coro<> {
            for (const bool is_abort : {false, true}) {
                Server server = co_await start_uncalled();
                TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
                co_await wait_for_connections(server, 1);
                co_await resume_on(get_runtime().loop(1));
                server.close();
                is_abort ? server.abort_clients() : server.close_clients();
                co_await server.wait_closed();
                co_await resume_on(get_runtime().loop(0));
            }
        },
        2);
}

Coro<> read_and_close(StreamReader reader, StreamWriter writer) {
    static_cast<void>(co_await code_of(reader.read()));
    writer.close();
}

/// The connections of a server are ended so many turns after a client has come; whether it had a handler by then.
Coro<bool> is_handled_after(int count, How how) {
    bool is_called = false;
    auto handler = [&is_called](StreamReader reader, StreamWriter writer) {
        is_called = true;
        return read_and_close(std::move(reader), std::move(writer));
    };
    Server server = co_await start_server(handler, "127.0.0.1:0", server_context(), {.shutdown_timeout = 1h});
    Task<std::string> asking = create_task(ask_line(server.local_endpoint(), "x\n"));
    co_await turns(count);
    const bool was_called = is_called;
    server.close();
    how == How::abort_clients ? server.abort_clients() : server.close_clients();
    co_await server.wait_closed();
    asking.cancel();  // it may never have been accepted
    static_cast<void>(co_await error_of(std::move(asking)));
    EXPECT_EQ(was_called, is_called) << count;
    co_return was_called;
}

TEST(TlsStartServerEnd, AConnectionMayBeEndedAtAnyStepOfItsHandshake) {
    const std::size_t before = open_descriptors();
    for (const How how : {How::close_clients, How::abort_clients}) {
        run_io([how]() -> Coro<> {
            std::vector<std::string>& heard = listen_for_failures();
            int count = 0;
            bool is_handled = false;
            while (!is_handled && count < 1000) {
                is_handled = co_await is_handled_after(count++, how);
            }
            EXPECT_TRUE(is_handled);
            EXPECT_GT(count, 4);
            EXPECT_TRUE(heard.empty());
        });
    }
    EXPECT_EQ(before, open_descriptors());
}

TEST(TlsStartServerEnd, AHandshakeThatIsCancelledEndsItsConnectionAlone) {
    run_io([]() -> Coro<> {
        Server server = co_await start_server(echo_line, "127.0.0.1:0", server_context());
        TcpStream silent = co_await TcpStream::connect(server.local_endpoint());
        co_await wait_for_connections(server, 1);
        const std::string name = "handshake on " + server.local_endpoint().to_string();
        for (TaskRef task : all_tasks()) {
            if (task.name() == name) {
                task.cancel();
            }
        }
        char byte[1];
        EXPECT_EQ(0U, co_await silent.read_some(byte));
        EXPECT_EQ("x\n", co_await ask_line(server.local_endpoint(), "x\n"));
        co_await end_server(server);
    });
}

TEST(TlsStartServerEnd, TheRunMayEndInTheMiddleOfAHandshake) {
    const std::size_t before = open_descriptors();
    Logged logged;
    {
        std::optional<Server> server;  // may outlive the run
        run_io([&server]() -> Coro<> {
            server = co_await start_uncalled();
            TcpStream silent = co_await TcpStream::connect(server->local_endpoint());
            co_await wait_for_connections(*server, 1);
            co_await turns();
        });
        EXPECT_EQ(0U, server->connection_count());
    }
    EXPECT_EQ(before, open_descriptors());
    EXPECT_TRUE(logged.warnings().empty());
}

TEST(TlsStartServerEnd, CloseClientsSendsWhatIsBufferedAndCloseNotify) {
    run_io([]() -> Coro<> {
        const std::string much(8 << 20, 'x');
        auto handler = [&much](StreamReader reader, StreamWriter writer) -> Coro<> {
            writer.write(much);
            co_await reader.read();
            EXPECT_TRUE(writer.is_closing());
        };
        Server server = co_await start_server(handler, "127.0.0.1:0", server_context());
        io::Connection near = co_await open_connection(server.local_endpoint(), client_context());
        EXPECT_EQ("x", co_await near.reader.readexactly(1));
        server.close();
        server.close_clients();
        const std::string rest = co_await near.reader.read();
        EXPECT_EQ(much.size() - 1, rest.size());
        near.writer.close();
        co_await server.wait_closed();
    });
}

}  // namespace
}  // namespace knit::test
