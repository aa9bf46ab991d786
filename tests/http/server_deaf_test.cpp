// The server on a stream of somebody's own, whose reads go on when they are cancelled: a body's reader that is left
// behind holds up neither the answer nor the connection's end.
#include <array>
#include <stdexcept>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::BodyWriter;
using http::Request;
using http::Response;
using http::Router;
using http::Server;

constexpr std::string_view kBegun = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n0123456789";

Coro<std::size_t> read_from(io::TcpStream& stream, std::span<std::byte> buffer) {
    const std::size_t count = co_await stream.read_some(buffer);
    co_return count;
}

/// Only the peer and close() end a read.
class DeafStream {
public:
    explicit DeafStream(io::TcpStream stream) : stream_(std::move(stream)) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        Task<std::size_t> reading = create_task(read_from(stream_, buffer));
        const std::array<Task<std::size_t>, 1> readings = {reading};
        while (!reading.done()) {
            try {
                co_await wait(readings);
            } catch (const CancelledError&) {
                continue;
            }
        }
        const std::size_t count = co_await reading;
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) { co_await stream_.write(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    io::TcpStream stream_;
};

/// A task that a handler leaves behind, and what it has met.
struct Left {
    Task<> task;
    std::error_code code;
};

Coro<> read_all(Left& left, Request& request) {
    try {
        while (!(co_await request.read_some()).empty()) {
            co_await yield();
        }
    } catch (const std::system_error& error) {
        left.code = error.code();
    }
}

/// Reads until the text has come, or the server has closed, which takes five seconds at most.
Coro<std::string> read_until(io::TcpStream& stream, std::string_view text) {
    std::string come;
    std::array<char, 4096> buffer;
    try {
        for (std::size_t size = 1; size != 0 && count_of(come, text) == 0;) {
            size = co_await wait_for(stream.read_some(buffer), 5s);
            come.append(buffer.data(), size);
        }
    } catch (const TimeoutError&) {
        come.append("[open]");
    } catch (const std::system_error&) {
        come.append("[reset]");
    }
    co_return come;
}

/// Runs `body(stream)` beside a server of `router`; how many errors the loop is told of.
int errors_beside(Router router, Left& left, std::function<Coro<>(io::TcpStream&)> body) {
    int errors = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext&) { ++errors; });
        const auto wrap = [](io::TcpStream stream) -> Coro<DeafStream> { co_return DeafStream(std::move(stream)); };
        Server server = co_await http::serve("127.0.0.1:0", router, {}, wrap);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        co_await stream.write(kBegun);
        Coro<> running = body(stream);
        co_await std::move(running);
        stream.close();
        server.close();
        co_await server.wait_closed();
        left.task = Task<>();
    });
    return errors;
}

/// Leaves a reader behind, and fails if it is to.
Router leaving_router(Left& left, bool is_failing) {
    Router router;
    router.get("/", [](Request&) -> Coro<Response> { co_return Response::text("Hello"); });
    router.post("/", [&left, is_failing](Request& request) -> Coro<Response> {
        co_return Response::stream([&left, &request, is_failing](BodyWriter& writer) -> Coro<> {
            left.task = create_task(read_all(left, request));
            co_await turns(5);
            co_await writer.write("piece");
            if (is_failing) {
                throw std::runtime_error("mine");
            }
        });
    });
    return router;
}

TEST(HttpServerDeaf, AnAnswerGoesWhateverAReaderDoesThatIsLeft) {
    Left left;
    const int errors = errors_beside(leaving_router(left, false), left, [](io::TcpStream& stream) -> Coro<> {
        const std::string answer = co_await read_until(stream, "\r\n0\r\n\r\n");
        EXPECT_TRUE(answer.ends_with("piece\r\n0\r\n\r\n")) << answer;
        const std::string more = std::string(40, 'x') + "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        co_await stream.write(more);
        const std::string next = co_await read_until(stream, "Hello");
        EXPECT_EQ(count_of(next, "Hello"), 1) << next;
    });
    EXPECT_EQ(errors, 1);
    EXPECT_EQ(left.code, std::errc::operation_canceled);
}

TEST(HttpServerDeaf, AConnectionThatIsCutOffEndsWhateverAReaderDoesThatIsLeft) {
    Left left;
    errors_beside(leaving_router(left, true), left, [](io::TcpStream& stream) -> Coro<> {
        const std::string answer = co_await read_until(stream, "[nothing]");
        EXPECT_EQ(count_of(answer, "[open]"), 0) << answer;
        EXPECT_EQ(count_of(answer, "\r\n0\r\n\r\n"), 0) << answer;
    });
    EXPECT_EQ(left.code, std::errc::operation_canceled);
}

}  // namespace
}  // namespace knit::test
